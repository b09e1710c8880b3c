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
	"net"
	"slices"

	"mellium.im/xmlstream"
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
	defer stop()
	mask, rw, err := x.advance(ctx, in, out, s)
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

// wrap makes the features: those of the caller, what is missing, and this profile.
func (x *clientLogin) wrap(features []xmpp.StreamFeature) []xmpp.StreamFeature {
	list := slices.Clone(features)
	add := func(f xmpp.StreamFeature) {
		if !slices.ContainsFunc(list, func(o xmpp.StreamFeature) bool { return o.Name == f.Name }) {
			list = append(list, f)
		}
	}
	add(xmpp.StartTLS(nil))
	add(xmpp.BindResource())
	add(informational("sasl-channel-binding", nsBindingTypes, func(e *Element) any {
		types := make([]string, 0, len(e.Children))
		for _, c := range e.Children {
			if c.Name == (xml.Name{Space: nsBindingTypes, Local: "channel-binding"}) {
				types = append(types, c.Attr("type"))
			}
		}
		return types
	}))
	add(informational("config-version", NSPipeline, func(e *Element) any { return e }))
	own := informational("authentication", NS, func(e *Element) any { return e })
	parse := own.Parse
	own.Parse = func(ctx context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
		_, data, err := parse(ctx, d, start)
		return true, data, err
	}
	own.Negotiate = func(context.Context, *xmpp.Session, any) (xmpp.SessionState, io.ReadWriter, error) {
		return 0, nil, ErrNoLogin // it is listed, so this is not reached
	}
	list = append(slices.DeleteFunc(list, func(f xmpp.StreamFeature) bool { return f.Name == own.Name }), own)
	for i, f := range list {
		list[i].Negotiate = x.around(f)
	}
	return list
}

// informational is a feature that is read before authentication, inside TLS.
func informational(local, space string, take func(*Element) any) xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:       xml.Name{Space: space, Local: local},
		Necessary:  xmpp.Secure,
		Prohibited: xmpp.Authn,
		List: func(context.Context, xmlstream.TokenWriter, xml.StartElement) (bool, error) {
			return false, errors.New("sasl2: a feature for clients only")
		},
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			e, err := readElement(d, *start)
			return false, take(&e), err
		},
	}
}

type negotiateFunc = func(context.Context, *xmpp.Session, any) (xmpp.SessionState, io.ReadWriter, error)

// around is what happens when mellium has chosen a feature: of those that
// authenticate it takes any.
func (x *clientLogin) around(f xmpp.StreamFeature) negotiateFunc {
	if f.Negotiate == nil {
		return nil
	}
	return func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		switch state := s.State(); {
		case x.settled:
			return 0, nil, nil // of a list that is past
		case f.Name.Space == nsTLS:
			return x.startTLS(ctx, s, f.Negotiate, data)
		case state&xmpp.Authn != 0:
			if f.Name.Space == nsBind {
				s.UpdateAddr(x.account) // with the resource to ask for
			}
		case state&xmpp.Secure != 0:
			offer, ok := offered(s)
			authenticates := f.Name.Space == NS || f.Name.Space == nsSASL
			if ok && (authenticates || x.flight != nil) {
				return x.authenticate(ctx, s, &offer)
			}
			if x.flight != nil {
				return 0, nil, ErrLostSASL2
			}
			if authenticates && x.state.SASL2 {
				// auth-register CB-16: nothing that is signed says so.
				x.log.LogAttrs(ctx, slog.LevelWarn, "the server had SASL2 before and lists the older profile only")
				if x.o.RequireSASL2 {
					return 0, nil, ErrLostSASL2
				}
			}
		}
		return f.Negotiate(ctx, s, data)
	}
}

// startTLS needs the account's domain, for the certificate (auth-register ST-12).
func (x *clientLogin) startTLS(ctx context.Context, s *xmpp.Session, negotiate negotiateFunc, data any) (xmpp.SessionState, io.ReadWriter, error) {
	s.UpdateAddr(x.account.Bare())
	mask, rw, err := negotiate(ctx, s, data)
	if c, ok := rw.(net.Conn); ok && err == nil {
		x.conn.free.Store(true) // it carries TLS from here on
		x.conn = newClientConn(c)
		rw = x.conn
	}
	return mask, rw, err
}

// offered is what the server lists on this stream.
func offered(s *xmpp.Session) (o Offer, ok bool) {
	data, _ := s.Feature(NS)
	e, ok := data.(*Element)
	if !ok {
		return o, false
	}
	o = parseOffer(e)
	data, _ = s.Feature(nsBindingTypes)
	o.BindingTypes, _ = data.([]string)
	data, _ = s.Feature(NSPipeline)
	if v, ok := data.(*Element); ok {
		o.Scheme, o.Version = v.Attr("scheme"), v.Attr("value")
	}
	return o, true
}
