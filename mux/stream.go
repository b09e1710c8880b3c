package mux

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

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
	far     *far    // of a server's stream, else nil

	mu       sync.Mutex
	calm     sync.Cond // credit came back, or closed
	state    State
	account  Address
	domain   string   // served domain the peer asked for
	from     Address  // account the peer says it has
	domains  []string // a server's or component's own
	tls      *tls.ConnectionState
	leaf     *x509.Certificate
	values   []any // see StreamSlot
	lang     string
	credit   int // stanzas in progress
	bytes    int
	promised int // answers that are due later, which count as in progress
	frozen   bool
	parting  *Session // has ended; its last words are still to be written
	closed   bool
	waiting  bool   // the reader waits for credit
	ended    bool   // Gone was called
	final    bool   // it was ended with an error that is told: so is its session
	login    uint64 // which ending of logins was the last before its own began
}

// NewStream begins a stream over a connection. For a client's stream Receive
// must not be called before a session is bound.
func (m *Mux) NewStream(c Conn, role Role) *Stream {
	st := &Stream{m: m, role: role, conn: c, login: m.endings.now()}
	st.calm.L = &st.mu
	if _, ok := c.(FramedConn); ok {
		st.ns, st.framed = NSClient, true
	}
	if role == Server {
		st.far = &far{st: st}
	}
	m.streams.put(st, st)
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

// Certificate is the certificate that our side has shown on the TLS connection
// below, for the channel binding of RFC 5929 §4; nil if that is not known.
func (st *Stream) Certificate() *x509.Certificate {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.leaf
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

// From is the account that the peer's stream header names, zero if it names none.
// It says what the peer is going to ask for, and proves nothing.
func (st *Stream) From() Address {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.from
}

// SetFrom notes the account that the peer's stream header names.
func (st *Stream) SetFrom(a Address) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.from = a
}

// SetTLS notes the TLS connection, and that the stream is secure.
func (st *Stream) SetTLS(cs *tls.ConnectionState) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.tls = cs
	st.state |= Secure
}

// SetCertificate notes the certificate that our side has shown.
func (st *Stream) SetCertificate(leaf *x509.Certificate) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.leaf = leaf
}

// SetState notes that states hold from now on.
func (st *Stream) SetState(s State) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.state |= s
}

// SetAccount notes who a client has proved to be. The stream ends if what was
// proved holds no more, see [Stream.BeginLogin].
func (st *Stream) SetAccount(a Address) {
	st.mu.Lock()
	st.account = a
	st.state |= Authenticated
	since := st.login
	st.mu.Unlock()
	if why := st.m.endings.since(since, a); why != nil && st.role == Client {
		st.Close(why)
	}
}

// Authorize lets a server or component send for a domain (RFC 6120 §8.1.2.2).
func (st *Stream) Authorize(domain string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.domains = append(st.domains, domain)
	st.state |= Authenticated | Bound
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
	var told stream.Error
	st.closed, st.final = true, errors.As(err, &told)
	st.mu.Unlock()
	st.calm.Broadcast()
	if st.far != nil && proper(err) {
		st.far.part()
	}
	st.conn.Close(err)
}

// Abandon ends a stream whose peer seems to be gone: without a word if its session
// can be resumed, which the peer does when it is not (smacks SM-42), else with the
// stream error.
func (st *Stream) Abandon(why stream.Error) {
	if s := st.session.Load(); s != nil {
		kept := false
		s.locked(func() { kept = s.tracked })
		if kept {
			st.Close(ErrDropped)
			return
		}
	}
	st.Close(why)
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
	st.m.streams.remove(st)
	st.Flush()
	if s := st.session.Load(); s != nil {
		s.detach(st, clean || st.isFinal())
	}
}

// isFinal reports whether the stream was ended with a stream error: its session
// does not outlive that (smacks SM-55).
func (st *Stream) isFinal() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.final
}

// finish lets what the peer is still owed go out before its stream ends: answers
// may wait for the store.
func (st *Stream) finish() {
	if st.isClosed() {
		return
	}
	done := st.freeze(st.m.opt.TakeOverTimeout)
	if st.far != nil {
		st.far.part() // whatever is not done: that is not counted
	}
	if !done {
		return
	}
	s := st.session.Load()
	if s == nil {
		st.mu.Lock()
		s = st.parting
		st.mu.Unlock()
	}
	if s == nil {
		return
	}
	s.locked(func() {
		for _, l := range st.m.lifecycles {
			if l.Parting != nil && s.stream.Load() == st && s.open() {
				st.m.protect(func() { l.Parting(s) })
			}
		}
	})
	r := st.m.newRunner()
	s.flush(r) // now, although others may be about to
	r.end()
}

// hasGone reports whether Gone was called.
func (st *Stream) hasGone() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ended
}
