package mux

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/stream"
)

// Stream is one live connection. One goroutine, its reader, calls Receive and
// Flush; the other methods may be called by any.
type Stream struct {
	m       *Mux
	role    Role
	conn    Conn
	ns      string // to be declared on each element
	framed  bool
	session atomic.Pointer[Session]
	run     *runner // the reader's, between Receive and Flush

	mu       sync.Mutex
	calm     *sync.Cond // credit came back, or closed
	state    State
	account  Address
	domain   string   // served domain the peer asked for
	domains  []string // a server's or component's own
	tls      *tls.ConnectionState
	lang     string
	credit   int // stanzas in progress
	bytes    int
	promised int // answers that are due later, which count as in progress
	frozen   bool
	closed   bool
	waiting  bool // the reader waits for credit
	ended    bool // Gone was called
}

// NewStream begins a stream over a connection. For a client's stream Receive
// must not be called before a session is bound.
func (m *Mux) NewStream(c Conn, role Role) *Stream {
	st := &Stream{m: m, role: role, conn: c}
	st.calm = sync.NewCond(&st.mu)
	if _, ok := c.(FramedConn); ok {
		st.ns, st.framed = NSClient, true
	}
	m.streams.Store(st, struct{}{})
	return st
}

// Mux is the mux of the stream.
func (st *Stream) Mux() *Mux { return st.m }

// Role is what the peer is.
func (st *Stream) Role() Role { return st.role }

// Conn is the connection as the embedder gave it.
func (st *Stream) Conn() Conn { return st.conn }

// Session is the attached session, nil before binding and after its end.
func (st *Stream) Session() *Session { return st.session.Load() }

// State is how far the stream has come.
func (st *Stream) State() State {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.state
}

// Account is who a client has proved to be, zero before.
func (st *Stream) Account() Address {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.account
}

// Domain is the served domain that the peer asked for.
func (st *Stream) Domain() string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.domain
}

// TLS is the state of the TLS connection below, nil without one.
func (st *Stream) TLS() *tls.ConnectionState {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.tls
}

// SetLang notes the language of the peer's stream header, which stanzas without
// one of their own get (RFC 6120 §4.7.4).
func (st *Stream) SetLang(lang string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lang = legal(lang)
}

// SetDomain notes which served domain the peer asked for.
func (st *Stream) SetDomain(domain string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.domain = domain
}

// SetTLS notes the TLS connection, and that the stream is secure.
func (st *Stream) SetTLS(cs *tls.ConnectionState) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.tls = cs
	st.state |= Secure
}

// SetState notes that states hold from now on.
func (st *Stream) SetState(s State) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.state |= s
}

// SetAccount notes who a client has proved to be.
func (st *Stream) SetAccount(a Address) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.account = a
	st.state |= Authenticated
}

// Authorize lets a server or component send for a domain (RFC 6120 §8.1.2.2).
func (st *Stream) Authorize(domain string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.domains = append(st.domains, domain)
	st.state |= Authenticated | Bound
}

// Receive takes one stanza or nonza from the peer, which it owns from then on,
// and returns when it is accepted: what it leads to has then happened or is
// queued. It waits while the stream has too much in progress, and while its
// session is being taken over. An error ends the reader's work: [ErrClosed], or a
// [stream.Error] for which the stream was closed already.
func (st *Stream) Receive(ctx context.Context, s *Stanza) error {
	switch st.role {
	case Client:
		return st.fromClient(ctx, s)
	case Upstream:
		return st.fromUpstream(ctx, s)
	}
	return st.fromDomain(ctx, s)
}

// Flush writes what the stanzas received since the last Flush have led to. The
// reader calls it when its input is used up, before it waits for more.
func (st *Stream) Flush() {
	r := st.run
	if r == nil {
		return
	}
	st.run = nil
	r.end()
}

// runner is the reader's runner, which lives as long as there is input, so that
// an idle stream keeps none.
func (st *Stream) runner() *runner {
	if st.run == nil {
		st.run = st.m.newRunner()
	}
	return st.run
}

// fail ends the stream with a stream error.
func (st *Stream) fail(e stream.Error) error {
	st.Flush()
	st.Close(e)
	return e
}

func (st *Stream) fromClient(ctx context.Context, s *Stanza) error {
	sess := st.session.Load()
	if sess == nil {
		if st.hasEnded() {
			return ErrClosed
		}
		return st.fail(stream.Error{Err: "not-authorized"}) // core-im LC-5
	}
	if s.kind == Nonza {
		return st.nonza(ctx, sess, s)
	}
	// core-im CORE-2: stamped, whatever the client wrote, and refused if that is
	// somebody else.
	if s.badFrom != "" || !s.from.IsZero() && s.from != sess.jid && s.from != sess.acct.addr {
		return st.fail(errInvalidFrom)
	}
	s.from = sess.jid
	if s.lang == "" {
		s.lang = st.lang // set before there is a session
	}
	it := Item{Stanza: s, Origin: st, At: st.m.now(), Record: s.rec}
	return st.accept(it, sess, true)
}

// accept takes a stanza into a Work of its own.
func (st *Stream) accept(item Item, sess *Session, count bool) error {
	s := item.Stanza
	if err := st.acquire(s.size); err != nil {
		return err
	}
	m := st.m
	w := m.newWork()
	w.stream, w.size = st, s.size
	if sess != nil && count {
		w.sess, w.seq = sess, sess.count.next()
	}
	r := st.runner()
	r.item = item
	it := &r.item
	it.Work, it.gen = w, w.generation()
	if sess != nil && sess.in != nil {
		if err := st.protected(func() error { return sess.in.Put(it) }); err != nil {
			m.log.LogAttrs(m.ctx, slog.LevelWarn, "inbound sink failed", slog.Any("err", err))
			w.turnEnded(r)
			return st.fail(errServer)
		}
	}
	if bad := malformed(s); bad != nil {
		e := &r.ev
		*e = Event{Account: s.from.Bare(), Work: w, m: m, r: r}
		if sess != nil {
			e.acct, e.from = sess.acct, sess.jid
		}
		m.bounce(m.ctx, e, it, bad)
		*e = Event{}
		w.turnEnded(r)
		r.run()
		return nil
	}
	if sess == nil {
		// Nobody's turn: straight to the recipient's, in order of arrival.
		e := &r.ev
		*e = Event{Account: s.from.Bare(), Work: w, m: m, r: r, from: s.from}
		m.route(m.ctx, e, it)
		*e = Event{}
		w.turnEnded(r)
		r.run()
		return nil
	}
	t := newTask(peerTask, w)
	t.item, t.sess = *it, sess
	m.retain(sess.acct)
	r.submit(sess.acct, t)
	r.run()
	return nil
}

// malformed is why a stanza cannot be processed, nil if it can (RFC 6120
// §8.2.3, §8.3.3.8; RFC 6121 §4.7.1).
func malformed(s *Stanza) error {
	switch {
	case s.badTo != "":
		return errMalformed
	case s.kind == IQ && badIQ(s):
		return errBadRequest
	case s.kind == Presence && !presenceType(s.typ):
		return errBadRequest
	}
	return nil
}

func presenceType(t string) bool {
	switch t {
	case "", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error":
		return true
	}
	return false
}

func (st *Stream) nonza(ctx context.Context, sess *Session, s *Stanza) error {
	x := st.m.nonzas[s.name]
	if x == nil {
		return st.fail(errUnsupported)
	}
	if st.isClosed() {
		return ErrClosed
	}
	r := st.runner()
	e := Event{Account: sess.acct.addr, Session: sess, Stanza: s, m: st.m, r: r, Item: &Item{Stanza: s, Origin: st}}
	err := st.protected(func() error {
		_, err := x.h(ctx, &e)
		return err
	})
	r.touch(sess)
	var se stream.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &se):
		return st.fail(se)
	}
	st.m.log.LogAttrs(ctx, slog.LevelError, "handler failed", slog.String("extension", x.ext), slog.Any("err", err))
	return st.fail(errServer)
}

// protected contains a panic outside of turns.
func (st *Stream) protected(f func() error) (err error) {
	if !st.m.opt.NoRecover {
		defer func() {
			if p := recover(); p != nil {
				err = st.m.panicError(p)
			}
		}()
	}
	return f()
}

// fromDomain takes a stanza of a server or component (core-im CORE-3).
func (st *Stream) fromDomain(ctx context.Context, s *Stanza) error {
	switch {
	case s.kind == Nonza:
		return st.fail(errUnsupported)
	case s.badFrom != "" || s.from.IsZero() || s.to.IsZero() && s.badTo == "":
		return st.fail(errAddressing)
	case !st.speaksFor(s.from.Domain()):
		return st.fail(errInvalidFrom)
	case s.badTo == "" && st.role == Server && !st.m.host.Local(s.to.Domain()) && st.m.entities[s.to.Domain()] == nil:
		return st.fail(errHostUnknown)
	}
	it := Item{Stanza: s, Origin: st, At: st.m.now(), Record: s.rec}
	return st.accept(it, nil, false)
}

func (st *Stream) speaksFor(domain string) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, d := range st.domains {
		if d == domain {
			return true
		}
	}
	return false
}

// fromUpstream takes what the server says to a client that runs this mux: there
// is one account, its own.
func (st *Stream) fromUpstream(ctx context.Context, s *Stanza) error {
	sess := st.session.Load()
	if sess == nil {
		return ErrClosed
	}
	if s.kind == Nonza {
		return st.nonza(ctx, sess, s)
	}
	if s.from.IsZero() && s.badFrom == "" {
		s.from = sess.acct.addr
	}
	it := Item{Stanza: s, Origin: st, At: st.m.now(), Record: s.rec}
	return st.accept(it, sess, true)
}

// acquire takes credit for a stanza, waiting until there is some.
func (st *Stream) acquire(size int) error {
	count, bytes := st.m.creditOf(st.role)
	st.mu.Lock()
	defer st.mu.Unlock()
	full := func() bool {
		return !st.closed && (st.frozen || st.credit+st.promised >= count || st.credit > 0 && st.bytes+size > bytes)
	}
	for full() {
		// Before waiting: what was caused so far goes out (kernel rule 2).
		st.waiting = true
		st.mu.Unlock()
		st.Flush()
		st.mu.Lock()
		for full() {
			st.calm.Wait()
		}
		st.waiting = false
	}
	if st.closed {
		return ErrClosed
	}
	st.credit++
	st.bytes += size
	return nil
}

// release gives credit back.
func (st *Stream) release(size int) {
	st.mu.Lock()
	st.credit--
	st.bytes -= size
	wake := st.waiting || st.credit == 0
	st.mu.Unlock()
	if wake {
		st.calm.Broadcast()
	}
}

// promise counts answers that are due later.
func (st *Stream) promise(n int) {
	st.mu.Lock()
	st.promised += n
	st.mu.Unlock()
	st.calm.Broadcast()
}

// Waiting reports whether the reader waits for credit: then the peer's silence
// is ours (core-im LC-30).
func (st *Stream) Waiting() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.waiting
}

// InProgress is how many stanzas of the stream are accepted and not finished.
func (st *Stream) InProgress() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.credit
}

// freeze makes the reader's next Receive wait, and waits itself until all that
// was accepted is finished; false if that took too long.
func (st *Stream) freeze(limit time.Duration) bool {
	deadline := time.Now().Add(limit) // before the timer is set, which must find it past
	late := time.AfterFunc(limit, func() {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.calm.Broadcast()
	})
	defer late.Stop()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.frozen = true
	st.calm.Broadcast()
	for st.credit > 0 {
		if !time.Now().Before(deadline) {
			return false
		}
		st.calm.Wait()
	}
	return true
}

func (st *Stream) thaw() {
	st.mu.Lock()
	st.frozen = st.m.stopping.Load()
	st.mu.Unlock()
	st.calm.Broadcast()
}

func (st *Stream) isClosed() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.closed
}

// write serialises items and hands them to the connection.
func (st *Stream) write(r *runner, items []Item) error {
	buf := r.buf[:0]
	for i := range items {
		buf = items[i].Append(buf, st.ns)
		if st.framed {
			if err := st.conn.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	r.buf = buf
	if len(buf) == 0 {
		return nil
	}
	return st.conn.Write(buf)
}

// Close ends the stream: properly (nil), with a stream error, or at once.
func (st *Stream) Close(err error) {
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return
	}
	st.closed = true
	st.mu.Unlock()
	st.calm.Broadcast()
	st.conn.Close(err)
}

// broken is what a failed write leads to.
func (st *Stream) broken(err error) {
	st.m.log.LogAttrs(st.m.ctx, slog.LevelDebug, "stream is broken", slog.Any("err", err))
	st.Close(errBroken)
}

var errBroken = errors.New("mux: connection is broken")

// Drained tells that the connection has little left to write; for Conns whose
// Pending can be above zero.
func (st *Stream) Drained() {
	if s := st.session.Load(); s != nil {
		s.signalLow()
	}
}

// Gone tells that the connection has ended; the reader calls it once, whoever
// ended the stream. clean says that the peer closed the stream properly: then
// its session ends; else it may be kept for a while (core-im LC-8).
func (st *Stream) Gone(clean bool) {
	st.Flush()
	if clean {
		st.finish()
	}
	st.mu.Lock()
	if st.ended {
		st.mu.Unlock()
		return
	}
	st.ended, st.closed = true, true
	st.mu.Unlock()
	st.calm.Broadcast()
	st.m.streams.Delete(st)
	st.Flush()
	if s := st.session.Load(); s != nil {
		s.detach(st, clean)
	}
}

// finish lets what the peer is still owed go out before its stream ends: answers
// may wait for the store.
func (st *Stream) finish() {
	if st.isClosed() || !st.freeze(st.m.opt.TakeOverTimeout) {
		return
	}
	if s := st.session.Load(); s != nil {
		s.flushNow()
	}
}

// hasGone reports whether Gone was called.
func (st *Stream) hasGone() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ended
}

// parsePriority reads a priority (RFC 6121 §4.7.2.3): out of range is clamped,
// garbage counts as 0.
func parsePriority(text string) int {
	text = strings.TrimSpace(text)
	neg := strings.HasPrefix(text, "-")
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if digits == "" {
		return 0
	}
	n := 0
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0
		}
		n = min(n*10+int(c-'0'), 1000)
	}
	if neg {
		return max(-n, -128)
	}
	return min(n, 127)
}
