package mux

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// atHost reports whether an address is that of a served domain itself. A
// resource of it is the same unless it is somebody's (RFC 6120 §10.5.3).
func (m *Mux) atHost(a Address) bool {
	return a.local == 0 && !a.IsZero() && m.entities[a.Domain()] == nil && m.host.Local(a.Domain())
}

// ours reports whether an address is that of an account served here, if there is
// one.
func (m *Mux) ours(bare Address) bool {
	return bare.local != 0 && m.entities[bare.Domain()] == nil && m.host.Local(bare.Domain())
}

// send is what leaves an account without having come from a client of it.
func (m *Mux) send(ctx context.Context, e *Event, it *Item) {
	s := it.Stanza
	if s.from.Bare() == e.Account && e.acct != nil && m.ours(e.Account) &&
		len(m.guards[FromAccount][kindIndex(s.kind)])+len(m.modifiers[FromAccount][kindIndex(s.kind)])+len(m.observers[FromAccount][kindIndex(s.kind)]) > 0 {
		inner := Event{Account: e.Account, Session: e.Session, Stanza: s, Item: it, Work: e.Work, m: m, r: e.r, acct: e.acct, from: s.from}
		if !m.pass(ctx, &inner, FromAccount) {
			return
		}
		it.Stanza = inner.Stanza
		m.observe(ctx, &inner, FromAccount)
	}
	m.route(ctx, e, it)
}

// route queues an item where its addressee's turns are, or hands it to the host.
func (m *Mux) route(ctx context.Context, e *Event, it *Item) {
	it.Work, it.gen = e.Work, e.Work.generation()
	to := it.Recipient()
	domain := to.Domain()
	kind := arriveTask
	switch {
	case m.upstream:
		m.toDomain(e.r, "", it) // everything is the server's, also what has no address
		return
	case to.IsZero():
		return // nothing to go by; only server code can do this
	case m.entities[domain] != nil:
		kind = entityTask
	case !m.host.Local(domain):
		m.toDomain(e.r, domain, it)
		return
	case to.local == 0:
		m.toHost(ctx, e, it)
		return
	}
	m.enqueue(e.r, to.Bare(), kind, e.Work, it)
}

func (m *Mux) enqueue(r *runner, bare Address, kind taskKind, w *Work, it *Item) {
	w.turns.Add(1)
	t := newTask(kind, w)
	t.item = *it
	r.submit(m.use(bare), t)
}

// toHost is for the server itself (RFC 6120 §10.5.2).
func (m *Mux) toHost(ctx context.Context, e *Event, it *Item) {
	s := it.Stanza
	switch {
	case s.kind == IQ && (s.typ == "get" || s.typ == "set"):
		m.enqueue(e.r, it.Recipient().Bare(), hostTask, e.Work, it)
	case s.kind == IQ:
		m.matchFor(ctx, e, s)
	case s.kind == Message:
		m.comeBack(ctx, e, it, errUnavailable)
	}
}

// submitCall queues a function as a turn of an account.
func (m *Mux) submitCall(r *runner, account Address, w *Work, f func(ctx context.Context, e *Event)) {
	w.turns.Add(1)
	t := newTask(callTask, w)
	t.fn = f
	r.submit(m.use(account), t)
}

// bounce sends a stanza's error back to whom it came from, once for all copies
// of a message.
func (m *Mux) bounce(ctx context.Context, e *Event, it *Item, err error) {
	b := errorItem(e, it, err)
	if b.Stanza == nil {
		return
	}
	if own := b.Stanza.to; own.Bare() == e.Account && e.acct != nil {
		if t := e.acct.find(own); t != nil {
			t.put(e.r, &b)
			return
		}
	}
	m.route(ctx, e, &b)
}

// comeBack is bounce for what has left its account: the error arrives there as one
// of somebody else does, so that observers see it.
func (m *Mux) comeBack(ctx context.Context, e *Event, it *Item, err error) {
	if b := errorItem(e, it, err); b.Stanza != nil {
		m.route(ctx, e, &b)
	}
}

// errorItem is the error that answers an item, without a stanza if there is none.
func errorItem(e *Event, it *Item, err error) (b Item) {
	s := ErrorReply(it.Stanza, err)
	if s == nil || it.Flags&(Copy|ArchiveResult|Service) != 0 && s.kind != IQ {
		return b // an IQ is one of our own requests, see Query
	}
	if s.to.IsZero() {
		if it.Origin == nil || it.Origin.Session() == nil {
			return b
		}
		s.to = it.Origin.Session().jid
	}
	if s.from.IsZero() && s.attrs == "" {
		s.from = it.Recipient()
	}
	return Item{Stanza: s, Flags: Service, At: e.m.now(), Work: e.Work, gen: e.Work.generation()}
}

// Bounce answers an item that could not be sent with an error; for hosts whose
// Route took it.
func (m *Mux) Bounce(it Item, err error) {
	it.Work, it.gen = nil, 0
	m.Go(it.Stanza.from.Bare(), func(ctx context.Context, e *Event) { m.comeBack(ctx, e, &it, err) })
}

// outlet is the way out to another domain: in order, and gated like a session's.
type outlet struct {
	m        *Mux
	domain   string
	mu       sync.Mutex
	q        []Item
	flushing bool
	again    bool
}

// toDomain queues an item for another domain.
func (m *Mux) toDomain(r *runner, domain string, it *Item) {
	if m.committer == nil {
		it.Work = nil
	}
	o := m.putOutlet(domain, it)
	if it.Work == nil {
		r.touchOutlet(o)
	} else {
		it.Work.touchOutlet(o)
	}
}

func (m *Mux) putOutlet(domain string, it *Item) *outlet {
	m.outletMu.Lock()
	defer m.outletMu.Unlock()
	o := m.outlets[domain]
	if o == nil {
		o = &outlet{m: m, domain: strings.Clone(domain)}
		m.outlets[o.domain] = o
	}
	o.mu.Lock()
	o.q = append(o.q, *it)
	o.mu.Unlock()
	return o
}

// drop forgets the outlet if it is empty, so that no peer can make many.
func (o *outlet) drop() {
	o.m.outletMu.Lock()
	defer o.m.outletMu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.q) == 0 && !o.flushing && o.m.outlets[o.domain] == o {
		delete(o.m.outlets, o.domain)
	}
}

// flush hands over what may go, in order.
func (o *outlet) flush(r *runner) {
	o.mu.Lock()
	if o.flushing {
		o.again = true
		o.mu.Unlock()
		return
	}
	o.flushing = true
	for {
		o.again = false
		n := 0
		for n < len(o.q) && o.q[n].gate() != gateShut {
			n++
		}
		ready := o.q[:n:n]
		o.q = o.q[n:]
		if len(o.q) == 0 {
			o.q = nil
		}
		o.mu.Unlock()
		for i := range ready {
			o.hand(&ready[i])
		}
		o.mu.Lock()
		if n == 0 && !o.again {
			break
		}
	}
	o.flushing = false
	empty := len(o.q) == 0
	o.mu.Unlock()
	if empty {
		o.drop()
	}
}

func (o *outlet) hand(it *Item) {
	if it.gate() == gateLost {
		return
	}
	it.Work = nil
	if err := o.m.host.Route(o.m.ctx, it); err != nil {
		if !wireError(err) {
			o.m.log.LogAttrs(o.m.ctx, slog.LevelError, "routing failed", slog.Any("err", err))
			err = errInternal
		}
		o.m.Bounce(*it, err)
	}
}
