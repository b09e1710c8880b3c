package sasl2

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
)

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
	if err == nil && x.conn.unread() {
		return 0, nil, broken("data behind the beginning of TLS")
	}
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
