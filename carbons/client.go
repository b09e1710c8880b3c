package carbons

import (
	"context"
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
	"github.com/propolis-im/propolis/mux"
)

// Enable asks the server for copies, for as long as the session lives: again in each
// new session, and not in one that was resumed. Errors are a [stanza.Error] of the
// server and those of the session, on which Serve must be running.
func Enable(ctx context.Context, s *xmpp.Session) error { return ask(ctx, s, enableName) }

// Disable asks the server for no more copies. Errors are those of [Enable].
func Disable(ctx context.Context, s *xmpp.Session) error { return ask(ctx, s, disableName) }

// ask sends a request without an address, which means the own account.
func ask(ctx context.Context, s *xmpp.Session, name xml.Name) error {
	ctx, done := asking.Context(ctx)
	defer done()
	return s.UnmarshalIQElement(ctx, xmlstream.Wrap(nil, xml.StartElement{Name: name}), stanza.IQ{Type: stanza.SetIQ}, nil)
}

// Supported asks the server whether it makes copies, and whether it keeps all rules
// of XEP-0280 §6.1, which must not be relied on otherwise. Errors are those of
// [Enable].
func Supported(ctx context.Context, s *xmpp.Session) (copies, rules bool, err error) {
	ctx, done := asking.Context(ctx)
	defer done()
	info, err := disco.GetInfo(ctx, "", domainOf(s), s)
	for _, f := range info.Features {
		copies = copies || f.Var == NS
		rules = rules || f.Var == NSRules
	}
	return copies, rules, err
}

func domainOf(s *xmpp.Session) jid.JID { return s.LocalAddr().Domain() }

// ErrBare is returned by [Private] for a message to a bare address.
var ErrBare = errors.New("carbons: a private message needs a full address")

var (
	privateChild = mux.RawChild(xml.Name{Space: NS, Local: "private"}, "<private xmlns='"+NS+"'/>")
	noCopyChild  = mux.RawChild(xml.Name{Space: nsHints, Local: "no-copy"}, "<no-copy xmlns='"+nsHints+"'/>")
)

// Private is a message with the marks that keep servers from copying it (XEP-0280
// §9). Only one to a full address may have them (XEP-0334 §4.3); the error is
// ErrBare for others. That a message has no such marks does not mean that all
// devices get it.
func Private(s *mux.Stanza) (*mux.Stanza, error) {
	if s.To().IsBare() {
		return nil, ErrBare
	}
	return s.With(privateChild).With(noCopyChild), nil
}
