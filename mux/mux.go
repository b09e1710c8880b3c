package mux

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/stream"
)

// Mux is the kernel. All methods may be called concurrently, with the
// exceptions that are named.
type Mux struct {
	host      Host
	opt       Options
	log       *slog.Logger
	committer Committer
	exts      []Extension

	upstream bool // a client's: what is sent goes to its server

	// Frozen when New returns.
	guards, modifiers, observers table
	undelivered, leftovers       [len(kinds)][]entry
	blocking                     [points][len(kinds)][]func(*Event) bool
	blocks                       bool
	iqs                          map[iqKey]*entry
	iqOrder                      []iqKey
	entities                     map[string]*entry
	nonzas                       map[xml.Name]*entry
	remotes                      map[string]remoteBinder
	inbound, outbound            [layers][]binder
	features                     []Feature
	inlines                      []Inline
	lifecycles                   []Lifecycle
	discos                       []discoProvider
	slots                        []slot
	accountSlots, streamSlots    []func() any
	events                       map[reflect.Type][]eventHandler
	sealers                      []func(w *Work)
	restored                     []func(it *Item)

	shards   [accountShards]accountShard
	sessions lockedMap[SessionID, *Session]
	streams  lockedMap[*Stream, *Stream]
	endings  endings
	queries  queries
	commits  commits
	stamps   atomic.Uint64 // of writes
	outletMu sync.Mutex
	outlets  map[string]*outlet

	restoring sync.Mutex
	records   records

	ctx      context.Context
	cancel   context.CancelFunc
	goes     goroutines
	open     atomic.Int64  // Works that have not ended, and runners
	quiet    chan struct{} // told when open gets to zero
	stopping atomic.Bool
}

// New makes a mux. The order of the extensions is the order in which they take
// part, within each phase; nothing can be registered afterwards. o may be nil and
// is copied. The error joins all that is wrong with the registrations.
func New(h Host, o *Options, exts ...Extension) (*Mux, error) {
	m := &Mux{host: h, opt: o.withDefaults(), exts: exts,
		iqs: make(map[iqKey]*entry), entities: make(map[string]*entry), nonzas: make(map[xml.Name]*entry), remotes: make(map[string]remoteBinder),
		events: make(map[reflect.Type][]eventHandler), outlets: make(map[string]*outlet), quiet: make(chan struct{}, 1)}
	m.log = m.opt.Logger
	m.committer = m.opt.Committer
	m.queries.m = make(map[queryKey]*query)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for i := range m.shards {
		m.shards[i].m = make(map[Address]*account)
	}
	var errs []error
	seen := make(map[string]bool)
	for _, x := range exts {
		if seen[x.Name()] {
			errs = append(errs, fmt.Errorf("mux: two extensions are named %s", x.Name()))
		}
		seen[x.Name()] = true
		r := &Registry{m: m, ext: x.Name()}
		if err := x.Register(r); err != nil {
			errs = append(errs, fmt.Errorf("mux: %s: %w", x.Name(), err))
		}
		errs = append(errs, r.err...)
	}
	if err := errors.Join(errs...); err != nil {
		m.cancel()
		return nil, err
	}
	m.freezeRegistry()
	if m.committer != nil {
		m.committer.Notify(m.committed)
	}
	return m, nil
}

// freezeRegistry works out what turns may have to wait for.
func (m *Mux) freezeRegistry() {
	for p := range points {
		for i := range kinds {
			for _, list := range [][]entry{m.guards[p][i], m.modifiers[p][i], m.observers[p][i]} {
				for _, x := range list {
					if x.blocks != nil {
						m.blocking[p][i] = append(m.blocking[p][i], x.blocks)
						m.blocks = true
					}
				}
			}
		}
	}
	for i, list := range m.undelivered {
		for _, x := range list {
			if x.blocks != nil {
				m.blocking[ToAccount][i] = append(m.blocking[ToAccount][i], x.blocks)
				m.blocks = true
			}
		}
	}
	for _, x := range m.iqs {
		m.blocks = m.blocks || x.blocks != nil
	}
	for _, x := range m.entities {
		m.blocks = m.blocks || x.blocks != nil
	}
}

// Wall is the time on the wall, for times that are kept across restarts
// ([Options.Wall]).
func (m *Mux) Wall() time.Time { return m.opt.Wall() }

// now is the time, which tests may fake by testing/synctest.
func (m *Mux) now() time.Time { return time.Now() }

func (m *Mux) creditOf(r Role) (count, bytes int) {
	count, bytes = m.opt.Credit, m.opt.CreditBytes
	if count <= 0 {
		if count = 64; r != Client {
			count = 1024
		}
	}
	if bytes <= 0 {
		if bytes = 512 << 10; r != Client {
			bytes = 4 << 20
		}
	}
	return count, bytes
}

var errPanic = errors.New("mux: a handler panicked")

// protect runs f with its panics contained, and reports whether there was none;
// for what is not a turn or must not end one.
func (m *Mux) protect(f func()) (ok bool) {
	if !m.opt.NoRecover {
		defer func() {
			if p := recover(); p != nil {
				_ = m.panicError(p) // logged
			}
		}()
	}
	f()
	return true
}

func (m *Mux) panicError(p any) error {
	m.log.LogAttrs(m.ctx, slog.LevelError, "a handler panicked", slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
	return errServer
}

// Start restores saved sessions and starts the extensions, in order. It must be
// called before anything is received; without a store of sessions and extensions
// that want to know, it may be left out.
func (m *Mux) Start(ctx context.Context) error {
	m.restoresRecords(true)
	defer m.restoresRecords(false)
	if err := m.restore(ctx); err != nil {
		return fmt.Errorf("mux: restoring sessions: %w", err)
	}
	for _, x := range m.exts {
		if s, ok := x.(Starter); ok {
			if err := s.Start(ctx, m); err != nil {
				return fmt.Errorf("mux: starting %s: %w", x.Name(), err)
			}
		}
	}
	m.resumeWindows()
	return nil
}

// Do runs f in a turn of an account (or hosted entity or served domain) and
// waits until what it wrote is durable; the error is that of the commit, or
// [ErrClosed]. f always runs if the error is not ErrClosed. It must not be called
// in a turn: there is [Event.Do]. f may wait for a store, as with [Blocks].
func (m *Mux) Do(ctx context.Context, account Address, f func(ctx context.Context, e *Event)) error {
	if m.ctx.Err() != nil {
		return ErrClosed
	}
	return m.do(m.newWork(), account, f)
}

// do is Do in a Work that has begun.
func (m *Mux) do(w *Work, account Address, f func(ctx context.Context, e *Event)) error {
	wait := waits.Get().(*waiting)
	w.fn = wait.tell
	t := newTask(callTask, w)
	t.fn, t.waits = f, true
	r := m.newRunner()
	r.waits = true
	r.submit(m.use(account), t)
	r.end()
	done := wait.unlessOver()
	if done == nil { // mostly it is over by now
		return wait.free()
	}
	select {
	case <-done:
		return wait.free()
	case <-m.ctx.Done():
		select {
		case <-done:
			return wait.free()
		default:
			return ErrClosed // it may be told yet, and is of no use to others
		}
	}
}

// waiting is who waits for the end of a Work.
type waiting struct {
	tell func(error)

	mu   sync.Mutex
	over bool
	err  error
	done chan struct{} // closed when it is over, nil if nobody waits yet
}

var waits = sync.Pool{New: func() any {
	w := new(waiting)
	w.tell = w.told
	return w
}}

func (w *waiting) told(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over, w.err = true, err
	if w.done != nil {
		close(w.done)
	}
}

// unlessOver is closed when it is over, nil if it is already.
func (w *waiting) unlessOver() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.done = make(chan struct{})
	}
	return w.done
}

// free is what was told, once it is over.
func (w *waiting) free() error {
	err := w.err
	w.over, w.err, w.done = false, nil, nil
	waits.Put(w)
	return err
}

// Go is Do without waiting; it may be called anywhere.
func (m *Mux) Go(account Address, f func(ctx context.Context, e *Event)) {
	m.goIn(m.newWork(), account, f) // open at once, so that a shutdown waits for it
}

// goIn is Go in a Work that has begun.
func (m *Mux) goIn(w *Work, account Address, f func(ctx context.Context, e *Event)) {
	m.goes.Add(1)
	go func() {
		defer m.goes.Done()
		_ = m.do(w, account, f) // a failed commit was dealt with
	}()
}

// Inject routes a stanza of server code, a gateway or a peer without a stream;
// its from must be set and is believed. It returns when what the stanza leads to
// is durable; the error is that of [Mux.Do].
func (m *Mux) Inject(ctx context.Context, it Item) error {
	it.Work = nil
	it.record()
	if it.At.IsZero() {
		it.At = m.now()
	}
	return m.Do(ctx, it.Stanza.from.Bare(), func(ctx context.Context, e *Event) {
		if bad := malformed(it.Stanza); bad != nil {
			m.bounce(ctx, e, &it, bad)
			return
		}
		m.send(ctx, e, &it)
	})
}

// Deliver hands a stanza to a local account as if it had been routed, and
// reports how many sessions took it; Undelivered handlers were asked if none
// did. For embedders with routing of their own.
func (m *Mux) Deliver(ctx context.Context, it Item) (took int, err error) {
	it.At = m.now()
	it.record()
	err = m.Do(ctx, it.Recipient().Bare(), func(ctx context.Context, e *Event) {
		it.Work, it.gen = e.Work, e.Work.generation()
		e.Item, e.Stanza = &it, it.Stanza
		m.arrive(ctx, e)
		took = len(e.r.targets)
	})
	return took, err
}

// Sessions is a snapshot of an account's sessions, hibernating ones included.
func (m *Mux) Sessions(account Address) []*Session {
	a := m.peek(account.Bare())
	if a == nil {
		return nil
	}
	defer m.release(a)
	return a.list()
}

// Features are the registered stream features, in order.
func (m *Mux) Features() []Feature { return m.features }

// Authenticates reports whether an element is for authenticating: one of SASL, or one
// that a feature owns which is there before that only.
func (m *Mux) Authenticates(name xml.Name) bool {
	if name.Space == "urn:ietf:params:xml:ns:xmpp-sasl" {
		return true
	}
	for i := range m.features {
		if m.features[i].Forbids&Authenticated != 0 && slices.Contains(m.features[i].Owns, name) {
			return true
		}
	}
	return false
}

// Inlines are the registered members of SASL2 and Bind 2, in order.
func (m *Mux) Inlines() []Inline { return m.inlines }

// Durable reports whether there is a committer, so that changes survive a crash, and
// what they lead to waits for them.
func (m *Mux) Durable() bool { return m.committer != nil }

// Host is the host of the mux.
func (m *Mux) Host() Host { return m.host }

// RemoveAccount ends the account's sessions and has every extension remove what
// it keeps. The account's credentials are the embedder's to remove, before.
func (m *Mux) RemoveAccount(ctx context.Context, account Address) error {
	return m.Do(ctx, account.Bare(), func(ctx context.Context, e *Event) { e.RemoveAccount(ctx) })
}

// RemoveAccount is [Mux.RemoveAccount] for the account of the turn.
func (e *Event) RemoveAccount(ctx context.Context) {
	m := e.m
	if err := Emit(ctx, e, AccountClosing{}); err != nil {
		m.log.LogAttrs(ctx, slog.LevelError, "closing an account", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
	e.removing = true
	e.endSessions(ctx, nil, stream.NotAuthorized)
	e.removing = false
	if err := Emit(ctx, e, AccountRemoved{}); err != nil {
		m.log.LogAttrs(ctx, slog.LevelError, "removing an account", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
}

// EndSessions ends all sessions of the account of the turn but one, because its
// credentials are others now: with the stream error reset (core-im LC-14). Streams
// that have authenticated as the account and have no session yet end as well.
func (e *Event) EndSessions(ctx context.Context, but *Session) {
	e.endSessions(ctx, but, stream.Reset)
}

// EndSession ends a session of the account of the turn, with a stream error or
// properly, after what it is still owed: the result of the request that ends it.
func (e *Event) EndSession(ctx context.Context, s *Session, err error) {
	if s.acct == e.acct {
		e.m.endSession(ctx, e, s, err)
	}
}

// workEnded is told at the end of each Work and runner.
func (m *Mux) workEnded() {
	if m.open.Add(-1) == 0 && m.stopping.Load() {
		select {
		case m.quiet <- struct{}{}:
		default:
		}
	}
}

// calmDown waits until no Work is open.
func (m *Mux) calmDown(ctx context.Context) error {
	for m.open.Load() > 0 {
		select {
		case <-m.quiet:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Shutdown ends everything in order (core-im GS-1): streams are read no more,
// what is in progress finishes, sessions that can be resumed are saved and
// dropped without a close tag, the others end with system-shutdown, and when all
// that led to is durable and handed over, extensions are told. The embedder has
// stopped accepting before, and closes its store afterwards. When ctx ends first
// the rest is cut short; nothing that was acknowledged is lost.
func (m *Mux) Shutdown(ctx context.Context) error {
	if m.stopping.Swap(true) {
		return ErrClosed
	}
	defer context.AfterFunc(ctx, m.cancel)() // turns that do not end are left
	for _, st := range m.streams.all() {
		st.mu.Lock()
		st.frozen = true
		st.mu.Unlock()
		st.calm.Broadcast()
	}
	err := m.calmDown(ctx)
	for _, s := range m.sessions.all() {
		m.Go(s.acct.addr, func(ctx context.Context, e *Event) { m.stopSession(ctx, e, s) })
	}
	err = errors.Join(err, m.calmDown(ctx))
	for _, st := range m.streams.all() {
		st.Close(stream.SystemShutdown)
	}
	for _, x := range m.exts {
		if s, ok := x.(Stopper); ok {
			err = errors.Join(err, s.Shutdown(ctx))
		}
	}
	m.cancel()
	return errors.Join(err, m.goes.wait(ctx))
}

// ErrDropped is what a connection is closed with whose session lives on: it is
// dropped without a close tag (core-im SM-96).
var ErrDropped = errors.New("mux: dropped, to be resumed")

// stopSession is what a shutdown means for a session, in its account's turn.
func (m *Mux) stopSession(ctx context.Context, e *Event, s *Session) {
	var st *Stream
	keep := time.Duration(0)
	s.locked(func() {
		switch {
		case m.opt.Sessions == nil:
		case s.State() == Hibernating:
			keep = s.until.Sub(m.now())
		case s.State() == Live:
			for _, l := range m.lifecycles {
				if l.Detached != nil {
					m.protect(func() { keep = max(keep, l.Detached(s)) })
				}
			}
		}
		if keep > 0 {
			s.settle()
			if s.State() == Live {
				st = s.stream.Swap(nil)
				s.hibernate(keep)
			}
		}
		if s.timer != nil {
			s.timer.Stop()
		}
	})
	if keep <= 0 {
		m.endSession(ctx, e, s, stream.SystemShutdown)
		return
	}
	e.Work.Save(s)
	if st != nil {
		e.Work.After(func(error) {
			st.session.Store(nil)
			st.Close(ErrDropped)
		})
	}
}
