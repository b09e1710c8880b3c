package register

import (
	"context"
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
)

// ErrInsecure is returned by clients' functions for a session without TLS.
var ErrInsecure = errors.New("register: the session is not encrypted")

// ChangePassword sets the password of the account that the session is logged in
// to (XEP-0077 §3.3). Until it has returned without an error both the old and the
// new password must be kept: if the connection breaks meanwhile, either may count.
// Keys derived from the old one and tokens are of no use afterwards.
//
// Errors are [ErrInsecure], a [stanza.Error] of the server, and those of the
// session, on which Serve must be running.
func ChangePassword(ctx context.Context, s *xmpp.Session, password string) error {
	return ask(ctx, s, xmlstream.MultiReader(
		text("username", s.LocalAddr().Localpart()),
		text("password", password),
	))
}

// NeedsPassword reports whether an error of [ChangePassword] or [Remove] means that the
// server wants the password of the account first, as it may of a session that a token has
// let in: then [ChangePasswordWith] and [RemoveWith] are the way.
func NeedsPassword(err error) bool {
	var se stanza.Error
	return errors.As(err, &se) && se.Condition == stanza.NotAuthorized
}

// ChangePasswordWith is [ChangePassword] with the old password.
func ChangePasswordWith(ctx context.Context, s *xmpp.Session, old, password string) error {
	return ask(ctx, s, submission(
		fieldTokens("FORM_TYPE", []string{formPassword}),
		fieldTokens("username", []string{s.LocalAddr().Localpart()}),
		fieldTokens("old_password", []string{old}),
		fieldTokens("password", []string{password}),
	))
}

// RemoveWith is [Remove] with the password.
func RemoveWith(ctx context.Context, s *xmpp.Session, password string) error {
	return ask(ctx, s, submission(
		fieldTokens("FORM_TYPE", []string{formCancel}),
		fieldTokens("username", []string{s.LocalAddr().Localpart()}),
		fieldTokens("password", []string{password}),
	))
}

// Remove removes the account that the session is logged in to (XEP-0077 §3.2).
// The server ends the stream afterwards. Errors are those of [ChangePassword].
func Remove(ctx context.Context, s *xmpp.Session) error {
	return ask(ctx, s, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "remove"}}))
}

// ask sends a request without an address, which means the own account.
func ask(ctx context.Context, s *xmpp.Session, fields xml.TokenReader) error {
	if s.State()&xmpp.Secure == 0 {
		return ErrInsecure // XEP-0077 §3.3, §11
	}
	query := xmlstream.Wrap(fields, xml.StartElement{Name: xml.Name{Space: NS, Local: "query"}})
	ctx, done := asking.Context(ctx)
	defer done()
	return s.UnmarshalIQElement(ctx, query, stanza.IQ{Type: stanza.SetIQ}, nil)
}

func text(name, value string) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(value)), xml.StartElement{Name: xml.Name{Local: name}})
}
