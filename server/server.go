// Package server is a complete XMPP server for clients on top of package mux:
// listeners, accounts, limits, timeouts and an orderly shutdown (RFC 6120, RFC
// 7590, XEP-0368 version 1.1.0). What the server can do beyond routing is up to
// the extensions it is given.
//
//	s, err := server.New(&server.Options{
//		Domains: []string{"example.net"}, Accounts: accounts, SASL: sasl,
//		Certificate: certificate,
//	}, roster.New(store, nil), presence.New(…))
//	…
//	go s.Serve(listener)      // STARTTLS
//	go s.ServeTLS(direct)     // direct TLS
//	…
//	err = s.Shutdown(ctx)
//
// # Security
//
// TLS 1.2 or newer comes before authentication. Everything that a peer can make
// the server keep is bounded by [Limits]; a peer that exceeds them is slowed down
// or cut, and others go on. Extensions that panic cost one stream.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/propolis-im/propolis/internal/netio"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// Server is a running server. Its methods may be called concurrently.
type Server struct {
	opt       Options
	lim       Limits
	log       *slog.Logger
	counters  Counters
	host      *host
	mux       *mux.Mux
	neg       *negotiate.Negotiator
	tls       *tls.Config
	directTLS *tls.Config
	budget    *netio.Budget
	admit     *admission

	ctx     context.Context
	cancel  context.CancelFunc
	readers sync.WaitGroup

	mu        sync.Mutex
	conns     map[*conn]struct{}
	listeners map[net.Listener]struct{}
	stopping  bool
	stopped   chan struct{} // closed when Shutdown is through
}

// ErrClosed is returned by Serve after Shutdown.
var ErrClosed = errors.New("server: closed")

// New makes a server; the extensions take part in the order given.
func New(o *Options, exts ...mux.Extension) (*Server, error) {
	if o == nil || o.Accounts == nil || o.SASL == nil {
		return nil, errors.New("server: accounts and SASL are required")
	}
	s := &Server{opt: *o, lim: o.Limits.withDefaults(), log: o.Logger, counters: o.Counters,
		conns: make(map[*conn]struct{}), listeners: make(map[net.Listener]struct{}), stopped: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.counters == nil {
		s.counters = noCounters{}
	}
	var err error
	if s.host, err = newHost(o.Domains, o.Accounts); err != nil {
		return nil, err
	}
	mo := o.Mux
	mo.Logger = s.log
	if mo.MaxQueue == 0 {
		mo.MaxQueue = s.lim.WriteBuffer
	}
	all := append([]mux.Extension{hostExtension{s.host}, negotiate.Extension()}, exts...)
	if s.mux, err = mux.New(s.host, &mo, all...); err != nil {
		return nil, err
	}
	s.admit = newAdmission(s.lim)
	s.budget = netio.NewBudget(int64(s.lim.WriteBuffers), 64<<10)
	s.neg = negotiate.New(s.mux, s.negotiation())
	s.tlsConfigs()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Mux is the kernel of the server.
func (s *Server) Mux() *mux.Mux { return s.mux }

// Start restores saved sessions and starts the extensions. It comes before Serve.
func (s *Server) Start(ctx context.Context) error {
	if err := s.mux.Start(ctx); err != nil {
		return err
	}
	s.readers.Add(1)
	go s.watch()
	return nil
}

// tlsConfigs makes what handshakes use (RFC 7590 §3, XEP-0368 §3).
func (s *Server) tlsConfigs() {
	if s.opt.Certificate == nil {
		return
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate}
	s.directTLS = s.tls.Clone()
	s.directTLS.NextProtos = []string{"xmpp-client"}
}

// certificate also tells the connection which certificate its peer sees.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := s.opt.Certificate(hello)
	if c, ok := hello.Context().Value(connKey{}).(*conn); ok && err == nil {
		c.cert = cert
	}
	return cert, err
}

// Serve accepts clients that begin in clear and go on with STARTTLS. It returns
// ErrClosed after Shutdown.
func (s *Server) Serve(l net.Listener) error { return s.accept(l, false) }

// ServeTLS accepts clients that begin with TLS (XEP-0368).
func (s *Server) ServeTLS(l net.Listener) error { return s.accept(l, true) }

func (s *Server) accept(l net.Listener, direct bool) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, l)
	}()
	for pause := 5 * time.Millisecond; ; {
		tcp, err := l.Accept()
		if err != nil {
			if s.isStopping() {
				return ErrClosed
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors or the like: it will pass.
			s.log.Error("accept failed", "err", err)
			if !s.wait(pause) {
				return ErrClosed
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		s.begin(tcp, direct)
	}
}

func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// begin lets a connection in, or closes it before any XML (core-im LIM-10).
func (s *Server) begin(tcp net.Conn, direct bool) {
	p := prefixOf(tcp.RemoteAddr())
	if why := s.admit.enter(p, time.Now()); why != "" {
		s.counters.Refused(why)
		s.log.Warn("connection refused", "addr", tcp.RemoteAddr().String(), "reason", why)
		_ = tcp.Close() // nothing was sent
		return
	}
	if t, ok := tcp.(*net.TCPConn); ok {
		_ = t.SetKeepAlive(true) // best effort (core-im LC-30)
	}
	c := s.newConn(tcp, p, direct)
	s.mu.Lock()
	stopping := s.stopping
	if !stopping {
		s.conns[c] = struct{}{}
		s.readers.Add(1)
	}
	s.mu.Unlock()
	if stopping {
		_ = c.nc.Close()
		c.st.Gone(false)
		s.admit.leave(p, time.Now())
		return
	}
	s.counters.Connection(1)
	go func() {
		defer s.readers.Done()
		c.negotiate(s.ctx)
	}()
}

// forget is the end of a connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	_, had := s.conns[c]
	delete(s.conns, c)
	s.mu.Unlock()
	if had {
		s.counters.Connection(-1)
		s.admit.leave(c.prefix, time.Now())
	}
}

// Shutdown ends the server in order (core-im GS-1): it accepts nothing more,
// finishes what it has accepted, saves what can be resumed, tells the others and
// closes. When ctx ends it is cut short; nothing that was acknowledged is lost
// either way. The store may be closed afterwards. A second call waits for the first,
// as long as its own ctx lasts, and returns ErrClosed.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		select {
		case <-s.stopped:
			return ErrClosed
		case <-ctx.Done():
			return errors.Join(ErrClosed, ctx.Err())
		}
	}
	defer close(s.stopped)
	s.stopping = true
	for l := range s.listeners {
		_ = l.Close() // Serve returns
	}
	s.mu.Unlock()
	err := s.mux.Shutdown(ctx)
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.readers.Wait()
		close(done)
	}()
	// What is still negotiating, or does not read, gets no more time than this.
	t := time.AfterFunc(s.lim.Closing+time.Second, s.closeAll)
	defer t.Stop()
	s.endNegotiations()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		s.closeAll()
		return errors.Join(err, ctx.Err())
	}
}

// endNegotiations ends the streams that have no session yet.
func (s *Server) endNegotiations() {
	for _, c := range s.all() {
		c.st.Close(errShutdown)
	}
}

func (s *Server) closeAll() {
	for _, c := range s.all() {
		_ = c.nc.Close() // its reader ends and cleans up
	}
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		l = append(l, c)
	}
	return l
}

// negotiation is how streams are negotiated.
func (s *Server) negotiation() *negotiate.Options {
	return &negotiate.Options{
		Domains: func() []string { return s.host.list },
		SASL:    s.opt.SASL,
		Timeout: s.lim.Negotiation, TLSTimeout: min(tlsHandshake, s.lim.Negotiation),
		OnFailure: s.loginFailed,
		PreAuth:   negotiate.Limits{MaxBytes: s.lim.PreAuthBytes},
		PostAuth:  negotiate.Limits{MaxBytes: s.lim.StanzaBytes, Idle: s.lim.Idle},
		Logger:    s.log,
	}
}

// loginFailed slows addresses down that guess passwords (core-im LIM-11).
func (s *Server) loginFailed(_ context.Context, st *mux.Stream, f negotiate.AuthFailure) time.Duration {
	c, ok := st.Conn().(*conn)
	if !ok {
		return 0
	}
	s.log.Info("login failed", "addr", c.nc.RemoteAddr().String(), "mechanism", f.Mechanism, "condition", f.Condition)
	return s.admit.failed(c.prefix, time.Now())
}
