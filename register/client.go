package register

import (
	"context"
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"
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
	return s.UnmarshalIQElement(ctx, query, stanza.IQ{Type: stanza.SetIQ}, nil)
}

func text(name, value string) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(value)), xml.StartElement{Name: xml.Name{Local: name}})
}
