package register

import (
	"context"
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
)

// ErrOwnServer is returned by [FormAt], [RegisterAt] and [RemoveAt] for the account's own
// server, at which they would mean the account.
var ErrOwnServer = errors.New("register: that is the account's own server")

// FormError is returned by [RemoveAt] if the service wants to know something first
// (XEP-0077 §3.2): the Form, which is to be filled in with [RegisterAt]. It wraps the
// stanza.Error of the service.
type FormError struct {
	Form *Form
	Err  stanza.Error
}

// Error implements error.
func (e *FormError) Error() string { return "register: the service wants a form: " + e.Err.Error() }

// Unwrap implements the interface of package errors.
func (e *FormError) Unwrap() error { return e.Err }

// FormAt asks a service, such as a gateway, what it wants to know of those who register
// with it: the account of the session is what is registered, so no password of that is
// to be told. [Form.Registered] says that it is, and the values of the fields what the
// service knows.
//
// Errors are [ErrInsecure], [ErrOwnServer], a [stanza.Error] of the service or the server,
// and those of the session, on which Serve must be running.
func FormAt(ctx context.Context, s *xmpp.Session, service jid.JID) (*Form, error) {
	return askAt(ctx, s, service, stanza.GetIQ, nil)
}

// RegisterAt registers the account of the session with a service, or tells it something
// else than before, with a form that [FormAt] or a [FormError] has brought and the values
// of its fields by their names; those that are left out have what the form says. Errors
// are those of FormAt, [ErrQuestions] if a required field has no value, [ErrNotOffered] if
// there are no fields, and [ErrElsewhere] if there is an address in their place.
func RegisterAt(ctx context.Context, s *xmpp.Session, service jid.JID, f *Form, values map[string][]string) error {
	o := ClientOptions{Answer: func(context.Context, *Form) (map[string][]string, error) { return values, nil }}
	answer, err := o.fill(ctx, f, service.Domainpart(), "")
	if err != nil {
		return err
	}
	_, err = askAt(ctx, s, service, stanza.SetIQ, answer)
	return err
}

// RemoveAt ends the registration of the session's account with a service (XEP-0077 §3.2).
// Errors are those of [FormAt], and a [FormError].
func RemoveAt(ctx context.Context, s *xmpp.Session, service jid.JID) error {
	_, err := askAt(ctx, s, service, stanza.SetIQ, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "remove"}}))
	return err
}

// askAt makes a request at a service.
func askAt(ctx context.Context, s *xmpp.Session, service jid.JID, typ stanza.IQType, fields xml.TokenReader) (*Form, error) {
	own := s.LocalAddr()
	switch {
	case s.State()&xmpp.Secure == 0:
		return nil, ErrInsecure
	case service.Equal(jid.JID{}), service.Equal(own.Domain()), service.Bare().Equal(own.Bare()):
		return nil, ErrOwnServer
	}
	ctx, done := asking.Context(ctx)
	defer done()
	query := xmlstream.Wrap(fields, xml.StartElement{Name: queryName})
	r, err := s.SendIQElement(ctx, query, stanza.IQ{Type: typ, To: service})
	if err != nil {
		return nil, err
	}
	var answer answerXML
	err = xml.NewTokenDecoder(&limited{r, maxTokens}).Decode(&answer)
	closed := r.Close() // the session goes on behind the answer
	switch {
	case err != nil:
		return nil, err
	case closed != nil:
		return nil, closed
	case answer.Type == "result":
		return formOf(answer.Query), nil
	case answer.Error == nil:
		return nil, errServer
	}
	if f := formOf(answer.Query); f.form && fields != nil {
		return nil, &FormError{f, *answer.Error}
	}
	return nil, *answer.Error
}
