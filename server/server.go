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
	tls       *tls.Config // nil without TLS
	directTLS *tls.Config
	budget    *netio.Budget
	admit     *admission
	guesses   *guesses
	stacks    stacks

	ctx     context.Context
	cancel  context.CancelFunc
	readers sync.WaitGroup

	setting sync.Mutex // held by SetDomains, so that calls are one after another

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
	all := append([]mux.Extension{hostExtension{s.host}, sizeLimit{s.lim.StanzaBytes}, &recipientLimit{max: s.lim.RecipientsPerMinute}, negotiate.Extension()}, exts...)
	if s.mux, err = mux.New(s.host, &mo, all...); err != nil {
		return nil, err
	}
	s.admit, s.guesses = newAdmission(s.lim), newGuesses(s.lim)
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

// negotiation is how streams are negotiated.
func (s *Server) negotiation() *negotiate.Options {
	return &negotiate.Options{
		Domains: func() []string { return s.host.served.Load().list },
		SASL:    s.opt.SASL,
		Timeout: s.lim.Negotiation, TLSTimeout: min(tlsHandshake, s.lim.Negotiation),
		MaxFailures: s.lim.FailuresPerStream, OnFailure: s.loginFailed, OnSuccess: s.loginSucceeded,
		PreAuth:  negotiate.Limits{MaxBytes: s.lim.PreAuthBytes},
		PostAuth: negotiate.Limits{MaxBytes: s.lim.StanzaBytes, Idle: s.lim.Idle},
		Logger:   s.log,
	}
}

// loginFailed slows addresses down that guess passwords (core-im LIM-11).
func (s *Server) loginFailed(_ context.Context, st *mux.Stream, f negotiate.AuthFailure) time.Duration {
	c, ok := st.Conn().(*conn)
	if !ok {
		return 0
	}
	s.log.Info("login failed", "addr", c.nc.RemoteAddr().String(), "mechanism", f.Mechanism, "condition", f.Condition)
	now := time.Now()
	wait := s.admit.failed(c.prefix, now)
	if f.Condition == notAuthorized {
		// All else is nothing that guesses lead to, or the server's own fault
		// (auth-register SA-12).
		wait = max(wait, s.guesses.attempt(c.prefix, f.Account, true, now))
	}
	return wait
}

// notAuthorized is the condition of RFC 6120 §6.5.10 for whatever is wrong with a
// proof.
const notAuthorized = "not-authorized"

// loginSucceeded lets peers wait that have guessed before.
func (s *Server) loginSucceeded(_ context.Context, st *mux.Stream, account mux.Address) time.Duration {
	c, ok := st.Conn().(*conn)
	if !ok {
		return 0
	}
	return s.guesses.attempt(c.prefix, account, false, time.Now())
}
