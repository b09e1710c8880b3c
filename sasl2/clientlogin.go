package sasl2

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

const (
	nsTLS  = "urn:ietf:params:xml:ns:xmpp-tls"
	nsBind = "urn:ietf:params:xml:ns:xmpp-bind" // of the older binding
)

// clientLogin negotiates one session. Headers, features and whatever the features
// of the caller do is mellium's negotiator; around it this decides what is told in
// clear, sees to it that this profile comes before the older one, and reads what
// comes behind a success.
type clientLogin struct {
	o       ClientOptions
	enable  []Element // as parsed from o.Enable
	resumes Element
	wrong   error // of the options

	inner   xmpp.Negotiator
	cache   any // of the inner one
	account jid.JID
	conn    *clientConn
	tls     *tls.ConnectionState // nil in clear
	state   ClientState
	log     *slog.Logger

	header     bool       // the next thing is a stream header
	flight     *clientTry // what went with it
	settled    bool       // authenticated within this call of inner
	bound      bool       // features of a bound session follow, which are read here
	tried      []string   // mechanisms refused
	noUpgrades bool
	login      Login
}

func newClientLogin(o *ClientOptions, features []xmpp.StreamFeature) *clientLogin {
	x := &clientLogin{}
	if o != nil {
		x.o = *o
	}
	x.state, x.log = x.o.State, x.o.Logger
	if x.log == nil {
		x.log = slog.New(slog.DiscardHandler)
	}
	if x.o.Tokens == nil {
		x.o.Tokens = clientTokens
	}
	if x.o.Upgrades == nil {
		x.o.Upgrades = []string{"UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256"}
	}
	x.wrong = x.parseOptions()
	list := x.wrap(features)
	x.inner = xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: list}
	})
	return x
}

// parseOptions reads the elements of the caller.
func (x *clientLogin) parseOptions() error {
	if x.o.Mechanism == nil {
		return fmt.Errorf("%w: no Mechanism", ErrNoLogin)
	}
	for _, text := range x.o.Enable {
		e, err := parseElement(text)
		if err != nil {
			return fmt.Errorf("sasl2: Enable: %w", err)
		}
		x.enable = append(x.enable, e)
	}
	if x.o.Resume == "" {
		return nil
	}
	var err error
	if x.resumes, err = parseElement(x.o.Resume); err != nil {
		return fmt.Errorf("sasl2: Resume: %w", err)
	}
	return nil
}

// negotiate is an [xmpp.Negotiator].
func (x *clientLogin) negotiate(ctx context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
	// A deadline in the past can be overtaken by its removal; a closed connection
	// cannot (auth-register ML-6).
	conn := s.Conn()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	mask, rw, err := x.advance(ctx, in, out, s)
	if !stop() && err == nil {
		err = ctx.Err() // the connection is closed, or will be in a moment
	}
	if err == nil && (mask|s.State())&xmpp.Ready != 0 {
		err = x.ready(ctx, s, mask)
	}
	if err != nil {
		// Whoever is there is not to be talked to.
		_ = s.Conn().Close()
		return 0, nil, nil, x.lost(ctx, cmp.Or(ctx.Err(), err))
	}
	return mask, rw, nil, nil
}

// advance makes the next step: the connection is wrapped, a stream begun with its
// features, or the features of a bound session are read.
func (x *clientLogin) advance(ctx context.Context, in, out *stream.Info, s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	switch {
	case x.wrong != nil:
		return 0, nil, x.wrong
	case s.State()&xmpp.Received != 0:
		return 0, nil, errors.New("sasl2: a negotiator for clients only")
	case x.conn == nil:
		x.account = s.LocalAddr()
		x.conn, x.header = newClientConn(s.Conn()), true
		return 0, x.conn, nil
	case x.bound:
		return xmpp.Ready, nil, x.readFeatures(s)
	}
	if err := x.begin(ctx, s); err != nil {
		return 0, nil, err
	}
	x.settled = false
	mask, rw, cache, err := x.inner(ctx, in, out, s, x.cache)
	if err != nil {
		return 0, nil, err
	}
	x.cache, x.header = cache, rw != nil
	if rw != nil {
		mask &^= xmpp.Ready // mellium sets it where the server says that TLS is optional
	}
	return mask, rw, nil
}

// begin prepares a stream header: in clear nobody is named (auth-register ST-6),
// inside TLS the account, without a resource, since then a server takes it for none
// (RFC 6120 §4.7.1).
func (x *clientLogin) begin(ctx context.Context, s *xmpp.Session) error {
	if !x.header {
		return nil
	}
	if s.State()&xmpp.Secure == 0 {
		s.UpdateAddr(jid.JID{})
		return nil
	}
	s.UpdateAddr(x.account.Bare())
	if s.State()&xmpp.Authn != 0 {
		return nil
	}
	if err := x.conn.handshake(ctx); err != nil {
		return err
	}
	if cs := s.ConnectionState(); cs.Version != 0 {
		if cs.Version < tls.VersionTLS12 { // RFC 8996
			return fmt.Errorf("%w: TLS is too old", ErrNoLogin)
		}
		x.tls = &cs
	}
	return x.pipeline(ctx)
}

// ready checks what mellium does not: that the session is authenticated. The
// connection is free from here on.
func (x *clientLogin) ready(ctx context.Context, s *xmpp.Session, mask xmpp.SessionState) error {
	if (mask|s.State())&xmpp.Authn == 0 {
		return ErrNoLogin
	}
	x.login.SASL1 = x.login.Mechanism == ""
	x.login.JID, x.login.State = s.LocalAddr(), x.state
	x.conn.free.Store(true)
	if x.o.Done == nil {
		return nil
	}
	return x.o.Done(ctx, x.login)
}

// readFeatures reads what follows on a success that has bound (auth-register IN-13:
// nothing of it is negotiated any more).
func (x *clientLogin) readFeatures(s *xmpp.Session) error {
	r := s.TokenReader()
	defer func() { _ = r.Close() }() // only unlocks
	e, err := nextElement(r)
	if err != nil {
		return err
	}
	if e.Name != (xml.Name{Space: stream.NS, Local: "features"}) {
		return broken("no features after success")
	}
	x.login.Features = e.Children
	return nil
}
