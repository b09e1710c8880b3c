package negotiate

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

// ConnOptions refine a ConnTransport. The zero value of each field is its
// default.
type ConnOptions struct {
	// TLS is for STARTTLS, as a server; nil offers none. It needs certificates. If it
	// has GetConfigForClient, a configuration that is a new one for each client, and has
	// no keys for tickets, takes up no sessions.
	TLS *tls.Config
	// Certificate is what a connection that is a *tls.Conn has shown to the client in
	// this handshake or in the one that began the session which it has taken up; nil if
	// that is not known for sure, then there is no tls-server-end-point. It does not
	// matter for STARTTLS.
	Certificate *tls.Certificate
	// Trusted allows a client to go on without TLS: on loopback, behind something
	// that has ended TLS already, in tests.
	Trusted bool
	// PreAuthBytes and StanzaBytes bound a first-level element before and after
	// authentication, in octets; 0 for 32 KiB and 256 KiB (core-im LIM-1, LIM-2).
	PreAuthBytes, StanzaBytes int
	// MaxPending bounds what is waiting to be written, in octets; 0 for 4 MiB
	// (core-im LIM-18). A peer that exceeds it is too slow and dropped.
	MaxPending int
	// WriteTimeout is how long one write may take, 0 for 30 s (core-im LC-24).
	WriteTimeout time.Duration
	// Closing bounds the end of a stream, 0 for 5 s (core-im LC-26).
	Closing time.Duration
}

func (o *ConnOptions) withDefaults() ConnOptions {
	var d ConnOptions
	if o != nil {
		d = *o
	}
	n := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	n(&d.PreAuthBytes, xmlscan.PreAuthBytes)
	n(&d.StanzaBytes, xmlscan.DefaultBytes)
	n(&d.MaxPending, 4<<20)
	if d.WriteTimeout <= 0 {
		d.WriteTimeout = 30 * time.Second
	}
	if d.Closing <= 0 {
		d.Closing = 5 * time.Second
	}
	return d
}

var (
	_ Transport = (*ConnTransport)(nil)
	_ mux.Conn  = (*ConnTransport)(nil)
)

// ConnTransport is a client's stream over any net.Conn: a [Transport] to be
// negotiated over, then a [mux.Conn] for its mux stream. It is the plain form,
// in which each connection has its buffers and, while something is being
// written, a goroutine; package server has one for many connections.
//
// What [Transport] asks for, [ConnTransport.Receive] and [ConnTransport.Finish]
// are the reader's, one goroutine; what [mux.Conn] asks for is anybody's.
type ConnTransport struct {
	raw  net.Conn
	opt  ConnOptions
	sc   xmlscan.Scanner
	lim  xmlscan.Limits
	in   []byte // read and not yet given out
	used int    // of in
	tls  *tls.Conn
	cert *tls.Certificate

	peerClosed bool // the peer's end tag was read
	noSpace    bool // white space between elements is refused

	mu      sync.Mutex // what follows
	calm    sync.Cond  // nothing is being written
	out     []byte
	spare   []byte
	writing bool
	opened  bool      // our stream header was written
	closed  bool      // nothing is taken any more
	until   time.Time // with closed: how long the peer is waited for
	err     error     // of a write
	low     func()    // told when little is left to write; nil before the stream is bound
}

// NewConnTransport makes a transport over a connection of which nothing was read
// yet. If it is a *tls.Conn its handshake must be complete (XEP-0368): then
// [ConnOptions.Certificate] says what it has shown, or [NewDirectTLS] makes both. o may
// be nil and is copied.
func NewConnTransport(c net.Conn, o *ConnOptions) *ConnTransport {
	t := &ConnTransport{raw: c, opt: o.withDefaults()}
	t.calm.L = &t.mu
	t.tls, _ = c.(*tls.Conn)
	if t.tls != nil {
		t.cert = t.opt.Certificate
	}
	t.lim = xmlscan.Limits{Bytes: t.opt.PreAuthBytes, Depth: xmlscan.PreAuthDepth}
	t.sc.Reset(t.lim)
	return t
}

// conn is what is read and written: the connection or TLS over it.
func (t *ConnTransport) conn() net.Conn {
	if t.tls != nil {
		return t.tls
	}
	return t.raw
}

// CanSecure implements [Transport].
func (t *ConnTransport) CanSecure() bool { return t.opt.TLS != nil && t.tls == nil }

// errUnread: bytes read in clear would be lost or taken for protected ones.
var errUnread = errors.New("negotiate: unread data before TLS")

// Secure implements [Transport].
func (t *ConnTransport) Secure(ctx context.Context) error {
	switch {
	case !t.CanSecure():
		return errNoTLS
	case t.Buffered():
		return errUnread
	}
	if err := t.readDeadline(); err != nil {
		return err
	}
	c := tls.Server(t.raw, noting(t.opt.TLS, func(c *tls.Certificate) { t.cert = c }))
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tls = c
	return nil
}

// TLS implements [Transport].
func (t *ConnTransport) TLS() *tls.ConnectionState {
	if t.tls == nil {
		return nil
	}
	cs := t.tls.ConnectionState()
	if !cs.HandshakeComplete {
		return nil
	}
	return &cs
}

// Trusted implements [Transport].
func (t *ConnTransport) Trusted() bool { return t.opt.Trusted }

// Certificate implements [Transport]; nil if TLS was on from the start and
// [ConnOptions.Certificate] is.
func (t *ConnTransport) Certificate() *tls.Certificate { return t.cert }

// Restart implements [Transport].
func (t *ConnTransport) Restart() {
	t.Buffered() // white space behind the last element is no beginning of the next stream
	t.sc.Reset(t.lim)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opened = false
}

// Authenticated implements [Transport].
func (t *ConnTransport) Authenticated() {
	t.lim = xmlscan.Limits{Bytes: t.opt.StanzaBytes}
	t.sc.SetLimits(t.lim)
}

// Resumable implements [Transport].
func (t *ConnTransport) Resumable() bool { return true }
