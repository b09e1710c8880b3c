package mux

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmlstream"
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

// findIQ is the handler for a request in a scope, nil if there is none.
func (m *Mux) findIQ(sc Scope, s *Stanza) *entry {
	if s.kind != IQ || len(s.kids) != 1 {
		return nil
	}
	k := iqKey{sc, s.typ, s.kids[0].Name}
	if x := m.iqs[k]; x != nil {
		return x
	}
	k.payload.Local = ""
	return m.iqs[k]
}

// answerIQ has a request answered by whoever registered for it.
func (m *Mux) answerIQ(ctx context.Context, e *Event, sc Scope) {
	x := m.findIQ(sc, e.Stanza)
	if x == nil {
		m.refuse(ctx, e, "", errUnavailable)
		return
	}
	payload, err := x.iq(ctx, e)
	if err != nil && e.later != nil {
		e.later.Reply(nil, err)
	} else if err != nil {
		m.refuse(ctx, e, x.ext, err)
	} else if e.reply == replyOwed {
		e.reply = replyGiven
		m.answer(ctx, e, e.Stanza, e.from, payload, nil)
	}
	e.doneWith(ctx)
}

// answer writes the one answer to a request.
func (m *Mux) answer(ctx context.Context, e *Event, req *Stanza, to Address, payload xmlstream.Marshaler, err error) {
	var reply *Stanza
	if err == nil {
		err = errPanic
		m.protect(func() { reply, err = resultOf(req, payload) })
		if err != nil {
			m.log.LogAttrs(ctx, slog.LevelError, "result cannot be written", slog.Any("err", err))
			err = errInternal
		}
	}
	if err != nil {
		if reply = ErrorReply(req, err); reply == nil {
			return
		}
	}
	reply.to = to
	if reply.from.IsZero() && reply.attrs == "" && !m.upstream {
		reply.from = to.Bare() // on behalf of the account (RFC 6120 §8.1.2.1)
	}
	it := Item{Stanza: reply, Flags: Service, Work: e.Work, gen: e.Work.generation()}
	if e.acct != nil && to.Bare() == e.Account {
		if s := e.acct.find(to); s != nil {
			s.put(e.r, &it)
			return
		}
	}
	m.route(ctx, e, &it)
}

func resultOf(req *Stanza, payload xmlstream.Marshaler) (*Stanza, error) {
	h := Head{Kind: IQ, Type: "result", ID: req.id, From: req.to}
	if payload == nil {
		return Make(h), nil
	}
	c, err := NewChild(payload)
	if err != nil {
		return nil, err
	}
	return Make(h, c), nil
}

// Later is the promise of an answer.
type Later struct {
	m       *Mux
	work    *Work
	account Address
	to      Address
	req     *Stanza
	stream  *Stream // whose credit it takes
	done    atomic.Bool
	timer   *time.Timer
	ready   chan struct{} // closed when what the request has written is durable
	failed  error         // or not
}

func newLater(e *Event) *Later {
	l := &Later{m: e.m, work: e.Work, account: e.Account, to: e.from, req: e.Stanza, stream: e.Origin(), ready: make(chan struct{})}
	if l.stream != nil {
		l.stream.promise(1)
	}
	e.Work.After(func(err error) {
		l.failed = err
		close(l.ready)
	})
	l.timer = time.AfterFunc(e.m.opt.ReplyTimeout, func() { l.answer(nil, errInternal) })
	return l
}

// Reply answers, once; what comes later is lost. It may be called by any
// goroutine.
func (l *Later) Reply(payload xmlstream.Marshaler, err error) {
	l.timer.Stop()
	l.answer(payload, err)
}

func (l *Later) answer(payload xmlstream.Marshaler, err error) {
	if l.done.Swap(true) {
		return
	}
	if err != nil && !wireError(err) {
		l.m.log.LogAttrs(l.m.ctx, slog.LevelError, "request failed", slog.String("account", l.account.String()), slog.Any("err", err))
		err = errInternal
	}
	l.m.goes.Add(1)
	go func() {
		defer l.m.goes.Done()
		select {
		case <-l.ready: // not before the writes that it tells of (kernel rule 1)
		case <-l.m.ctx.Done():
			return
		}
		if l.failed != nil {
			err = errInternal
		}
		_ = l.m.Do(l.m.ctx, l.account, func(ctx context.Context, e *Event) { // a failed commit was dealt with
			l.m.answer(ctx, e, l.req, l.to, payload, err)
		})
		if l.stream != nil {
			l.stream.promise(-1)
		}
	}()
}

// Run answers with what f returns, which runs on a goroutine of its own and may
// wait, once all that the request's turn has written is durable. It must be
// called in that turn.
func (l *Later) Run(f func(ctx context.Context) (xmlstream.Marshaler, error)) {
	l.work.After(func(err error) {
		if err != nil {
			l.Reply(nil, errInternal)
			return
		}
		l.m.goes.Add(1)
		go func() {
			defer l.m.goes.Done()
			var payload xmlstream.Marshaler
			err := errPanic
			l.m.protect(func() { payload, err = f(l.m.ctx) })
			l.Reply(payload, err)
		}()
	})
}

// queries are our own requests that have no answer yet.
type queries struct {
	mu sync.Mutex
	m  map[queryKey]*query
}

// queryKey identifies a request by all that an answer must match (core-im
// CORE-15).
type queryKey struct {
	ours, peer Address
	id         string
}

type query struct {
	f     func(ctx context.Context, e *Event, reply *Stanza, err error)
	timer *time.Timer
	done  bool // answered, or given up
}

// maxQueries bounds the table; above it a request fails at once.
const maxQueries = 100_000

// Query sends a request from one of our addresses (a served domain or an
// account's bare JID) and has f called with its answer, in a turn of that
// address. An error stanza comes as reply with a nil err; err is [ErrTimeout] if
// there was none in time. Without an id the request gets one. A request to a
// session of our own goes through its sinks like anything else.
func (m *Mux) Query(ctx context.Context, iq *Stanza, f func(ctx context.Context, e *Event, reply *Stanza, err error)) {
	m.Go(iq.from.Bare(), func(ctx context.Context, e *Event) { e.Query(ctx, iq, f) })
}

// Query is [Mux.Query] as part of the event's Work.
func (e *Event) Query(ctx context.Context, iq *Stanza, f func(ctx context.Context, e *Event, reply *Stanza, err error)) {
	m := e.m
	if iq.id == "" {
		iq = iq.WithID(rand.Text())
	}
	k := queryKey{iq.from.Bare(), iq.to, iq.id}
	q := &query{f: f}
	m.queries.mu.Lock()
	full := len(m.queries.m) >= maxQueries
	if !full {
		m.queries.m[k] = q
		q.timer = time.AfterFunc(m.opt.ReplyTimeout, func() {
			if m.dropQuery(k, q) {
				m.Go(k.ours, func(ctx context.Context, e *Event) { f(ctx, e, nil, ErrTimeout) })
			}
		})
	}
	m.queries.mu.Unlock()
	if full {
		f(ctx, e, nil, ErrTimeout)
		return
	}
	if iq.to.Bare() == e.Account && e.acct != nil && !iq.to.IsBare() {
		if s := e.acct.find(iq.to); s != nil {
			e.Deliver(Item{Stanza: iq, To: iq.to, Flags: Service}, s)
			return
		}
	}
	e.SendItem(ctx, Item{Stanza: iq, Flags: Service})
}

func (m *Mux) takeQuery(k queryKey) *query {
	m.queries.mu.Lock()
	defer m.queries.mu.Unlock()
	q := m.queries.m[k]
	if q != nil {
		delete(m.queries.m, k)
		q.timer.Stop()
		q.done = true
	}
	return q
}

// dropQuery gives a request up, unless it is answered; a later one may have its
// key.
func (m *Mux) dropQuery(k queryKey, q *query) bool {
	m.queries.mu.Lock()
	defer m.queries.mu.Unlock()
	if q.done {
		return false
	}
	q.done = true
	if m.queries.m[k] == q {
		delete(m.queries.m, k)
	}
	return true
}

// matchReply gives a result or error to whoever asked, if that was us, and
// reports whether it was. Kind, id and peer must match (CVE-2024-46957 shows
// why).
func (m *Mux) matchReply(ctx context.Context, e *Event) bool {
	ours := e.Stanza.to.Bare()
	if e.Stanza.to.IsZero() {
		ours = e.Account
	}
	q := m.takeQuery(queryKey{ours, e.Stanza.from, e.Stanza.id})
	if q == nil && e.Session != nil {
		// A client may answer for its account.
		q = m.takeQuery(queryKey{ours, e.Stanza.from.Bare(), e.Stanza.id})
	}
	if q == nil {
		return false
	}
	q.f(ctx, e, e.Stanza, nil)
	return true
}

// matchFor is matchReply for a served domain, outside of its turn.
func (m *Mux) matchFor(ctx context.Context, e *Event, s *Stanza) {
	q := m.takeQuery(queryKey{s.to.Bare(), s.from, s.id})
	if q == nil {
		return
	}
	m.submitCall(e.r, s.to.Bare(), e.Work, func(ctx context.Context, e *Event) { q.f(ctx, e, s, nil) })
}

// badIQ reports what is wrong with an IQ (RFC 6120 §8.2.3).
func badIQ(s *Stanza) bool {
	switch s.typ {
	case "get", "set":
		return s.id == "" || len(s.kids) != 1
	case "result":
		return s.id == "" || len(s.kids) > 1
	case "error":
		return s.id == "" || !s.Has(errorName)
	}
	return true
}

var errorName = xml.Name{Space: NSClient, Local: "error"}
