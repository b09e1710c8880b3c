package scram

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"
)

const (
	// nsSASL is the namespace of the SASL profile of RFC 6120.
	nsSASL = "urn:ietf:params:xml:ns:xmpp-sasl"
	// NSBinding is the namespace of the list of channel binding types
	// (XEP-0440).
	NSBinding = "urn:xmpp:sasl-cb:0"
)

var errClientOnly = errors.New("scram: a feature for clients only")

// Features are the stream features of a client that logs in by the SASL profile of
// RFC 6120: that profile, and the list of channel binding types (XEP-0440). Put both
// among those of a session; they replace xmpp.SASL. Its errors are those of this
// package: a failure of the server is a [*RefusedError].
//
// When one hash is refused, the next one is tried once on the same stream, for the
// account may lack keys for the first (XEP-0474). A server that claims success
// before it has proved that it knows the account is refused with
// [ErrServerNotAuthenticated]. Whatever the client finds wrong ends with an abort to
// the server, and the session should be closed.
//
// The TLS connection must be in sight of the session: it is if the session runs on a
// *tls.Conn or something with its method ConnectionState, or has negotiated TLS
// itself.
func Features(o *ClientOptions) []xmpp.StreamFeature {
	var options ClientOptions
	if o != nil {
		options = *o
	}
	return []xmpp.StreamFeature{bindingFeature(), {
		Name:       xml.Name{Space: nsSASL, Local: "mechanisms"},
		Necessary:  xmpp.Secure,
		Prohibited: xmpp.Authn,
		List:       listNothing,
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			var parsed struct {
				List []string `xml:"urn:ietf:params:xml:ns:xmpp-sasl mechanism"`
			}
			err := d.DecodeElement(&parsed, start)
			return true, parsed.List, err
		},
		Negotiate: func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
			mechanisms, _ := data.([]string)
			return options.negotiate(ctx, s, mechanisms)
		},
	}}
}

// bindingFeature reads the list of types. Inside TLS only: what was said in clear is
// not to be believed.
func bindingFeature() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:       xml.Name{Space: NSBinding, Local: "sasl-channel-binding"},
		Necessary:  xmpp.Secure,
		Prohibited: xmpp.Authn,
		List:       listNothing,
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			var parsed struct {
				List []struct {
					Type string `xml:"type,attr"`
				} `xml:"urn:xmpp:sasl-cb:0 channel-binding"`
			}
			if err := d.DecodeElement(&parsed, start); err != nil {
				return false, nil, err
			}
			types := make([]string, len(parsed.List))
			for i, b := range parsed.List {
				types[i] = b.Type
			}
			return false, types, nil
		},
	}
}

func listNothing(context.Context, xmlstream.TokenWriter, xml.StartElement) (bool, error) {
	return false, errClientOnly
}

// negotiate logs in, with a second hash if the first is refused.
func (o ClientOptions) negotiate(ctx context.Context, s *xmpp.Session, mechanisms []string) (xmpp.SessionState, io.ReadWriter, error) {
	if s.State()&xmpp.Received != 0 {
		return 0, nil, errClientOnly
	}
	offer := Listing{Profile: SASL1, Mechanisms: mechanisms}
	if data, ok := s.Feature(NSBinding); ok {
		offer.BindingTypes, _ = data.([]string)
	}
	cs := s.ConnectionState()
	local := LocalTLS(&cs)
	local.Secure = true // the session's own bit, else the feature is not negotiated
	if o.Username == "" {
		o.Username = s.LocalAddr().Localpart()
	}
	o.Password = askedOnce(o.Password)
	w := newSASLStream(s)
	defer w.close()
	var first error
	for {
		choice, err := Choose(offer, local, o.Policy, o.Pins)
		if err == nil {
			err = o.login(ctx, w, choice)
		}
		switch {
		case err == nil:
			return xmpp.Authn, s.Conn(), nil
		case first == nil && mayRetry(choice, err):
			first = err
			o.Policy.Tried = append(o.Policy.Tried[:len(o.Policy.Tried):len(o.Policy.Tried)], choice.Mechanism)
		case first != nil && saysNothing(choice, err):
			return 0, nil, first
		case first != nil && errors.Is(err, ErrNeedPassword):
			// Kept keys were refused: they, or the password behind them, are old.
			return 0, nil, errors.Join(first, err)
		default:
			return 0, nil, err
		}
	}
}

// mayRetry reports whether another hash may help (XEP-0474, business rules).
func mayRetry(c Choice, err error) bool {
	refused, ok := errors.AsType[*RefusedError](err)
	return ok && c.Hash != 0 && (refused.Condition == NotAuthorized || refused.Condition == InvalidMechanism)
}

// saysNothing reports whether the second attempt tells no more than the first: no
// other hash, the same refusal, or a server that has hung up.
func saysNothing(c Choice, err error) bool {
	_, closed := errors.AsType[stream.Error](err)
	_, cut := errors.AsType[*xml.SyntaxError](err) // what a stream is that ends without its end
	_, broken := errors.AsType[net.Error](err)
	return closed || cut || broken || mayRetry(c, err) || errors.Is(err, ErrNoMechanism) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// askedOnce asks for a password once, for both hashes.
func askedOnce(ask func(context.Context) (string, error)) func(context.Context) (string, error) {
	if ask == nil {
		return nil
	}
	var password string
	var known bool
	return func(ctx context.Context) (string, error) {
		if known {
			return password, nil
		}
		p, err := ask(ctx)
		if err == nil {
			password, known = p, true
		}
		return p, err
	}
}
