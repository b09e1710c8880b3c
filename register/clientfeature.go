package register

import (
	"context"
	"encoding/xml"
	"errors"
	"io"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
)

// Errors of a client that registers; those of the server are a stanza.Error.
var (
	// ErrNotOffered: the server does not take the token, or nobody can register.
	ErrNotOffered = errors.New("register: the server does not offer that")
	// ErrForeignToken: the invitation is for another server, which alone may see it.
	ErrForeignToken = errors.New("register: the invitation is for another server")
	// ErrElsewhere is wrapped by the error of a server that has people register at the
	// address in [Form.URL].
	ErrElsewhere = errors.New("register: registration is on a web page")
	// ErrQuestions: the server asks for something that nobody has answered.
	ErrQuestions = errors.New("register: a required field was not filled in")
	errServer    = errors.New("register: the server's answer is no answer")
)

// ClientOptions say how a client registers.
type ClientOptions struct {
	// Invitation is shown first; nil for none. With a Username it decides that.
	Invitation *Invitation
	// Username is the name of the account; empty means the localpart of the session's
	// own address.
	Username string
	// Password is that of the account.
	Password string
	// Answer fills in a form that asks for more, or differently: it returns values for
	// fields by their names, on top of username, password and hashcash. It is called
	// each time, also if nothing is missing; nil leaves the rest empty. An error ends
	// the registration.
	Answer func(ctx context.Context, f *Form) (map[string][]string, error)
	// MaxBits is how much work the client does for a challenge (XEP-0158 §6.2), as the
	// logarithm of the number of hashes; 0 for 22, less for none.
	MaxBits int
}

// Features are the stream features of a client that makes an account on a stream before
// it logs in to it (XEP-0077 §3.1, XEP-0445), followed by those that log in. They are for
// one session, which has the address of the account. Nothing is sent unless the session
// is encrypted. Leave them out when the account exists.
//
// Mellium goes on when a feature fails that is not required. So those that follow fail
// with the error of the registration, in place of what they do, if there was one.
//
// Both features of registration are one: that of XEP-0077 has another namespace than its
// requests, and is stepped once only, so that everything is asked in one go.
func Features(o ClientOptions, login ...xmpp.StreamFeature) []xmpp.StreamFeature {
	var failed error
	feature := func(space string, skip func(s *xmpp.Session) bool) xmpp.StreamFeature {
		return xmpp.StreamFeature{
			Name:       xml.Name{Space: space, Local: "register"},
			Necessary:  xmpp.Secure,
			Prohibited: xmpp.Authn,
			List: func(context.Context, xmlstream.TokenWriter, xml.StartElement) (bool, error) {
				return false, errors.New("register: a feature for clients only")
			},
			Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
				_, err := xmlstream.Copy(xmlstream.Discard(), d)
				return false, true, err
			},
			Negotiate: func(ctx context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
				if !skip(s) {
					failed = o.negotiate(ctx, s)
				}
				return 0, nil, failed
			},
		}
	}
	list := []xmpp.StreamFeature{
		feature(NSFeature, func(*xmpp.Session) bool { return false }),
		feature(NSToken, func(s *xmpp.Session) bool {
			_, both := s.Feature(NSFeature)
			return both // the other one has done it, or will
		}),
	}
	for _, f := range login {
		if negotiate := f.Negotiate; negotiate != nil {
			f.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
				if failed != nil {
					return 0, nil, failed
				}
				return negotiate(ctx, s, data)
			}
		}
		list = append(list, f)
	}
	return list
}

// negotiate makes the account.
func (o ClientOptions) negotiate(ctx context.Context, s *xmpp.Session) error {
	domain := s.LocalAddr().Domainpart()
	name := o.Username
	if name == "" {
		name = s.LocalAddr().Localpart()
	}
	w := newAsker(s, domain)
	defer w.close()
	if i := o.Invitation; i != nil && i.Token != "" {
		if i.Domain != domain {
			return ErrForeignToken // XEP-0379 §4
		}
		if _, ok := s.Feature(NSToken); !ok {
			return ErrNotOffered // XEP-0445 §3
		}
		if i.Username != "" {
			name = i.Username
		}
		preauth := xmlstream.Wrap(nil, xml.StartElement{Name: preauthName, Attr: []xml.Attr{{Name: xml.Name{Local: "token"}, Value: i.Token}}})
		if _, err := w.ask("set", preauth); err != nil {
			return err
		}
	}
	f, err := w.ask("get", xmlstream.Wrap(nil, xml.StartElement{Name: queryName}))
	if err != nil {
		return err
	}
	answer, err := o.fill(ctx, f, domain, name)
	if err != nil {
		return err
	}
	_, err = w.ask("set", xmlstream.Wrap(answer, xml.StartElement{Name: queryName}))
	return err
}
