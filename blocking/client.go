package blocking

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
)

// Errors of the client's functions.
var (
	// ErrNone: no address was given, or one that is empty.
	ErrNone = errors.New("blocking: no address")
	// ErrSender: an answer came from somebody who was not asked.
	ErrSender = errors.New("blocking: answered by somebody else")
)

// List asks for the addresses that the account of the session has blocked (XEP-0191
// §3.2), in the order of the server. From then on the server tells of changes, see
// [Watch]. Addresses that cannot be read are left out, and the error says so; then
// the others are returned with it.
//
// Other errors are [ErrSender], a [stanza.Error] of the server, and those of the
// session, on which Serve must be running.
func List(ctx context.Context, s *xmpp.Session) ([]jid.JID, error) {
	var list []jid.JID
	var bad []error
	err := ask(ctx, s, stanza.GetIQ, wrap(listName.Local, nil), func(r xml.TokenReader) error {
		name, _, err := readItems(r, func(text string) error {
			j, err := jid.Parse(text)
			if err != nil {
				bad = append(bad, fmt.Errorf("blocking: address %q in the list: %w", text, err))
				return nil
			}
			list = append(list, j)
			return nil
		})
		if err == nil && name != listName {
			err = errPayload
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, errors.Join(bad...)
}

// Block blocks addresses (XEP-0191 §3.3), all or none. A bare address stands for all
// its resources, a domain for everybody there. Errors are [ErrNone] and those of List.
func Block(ctx context.Context, s *xmpp.Session, addresses ...jid.JID) error {
	return set(ctx, s, blockName.Local, addresses)
}

// Unblock unblocks addresses (XEP-0191 §3.4). Without any it does nothing but return
// [ErrNone]: see [UnblockAll]. Other errors are those of List.
func Unblock(ctx context.Context, s *xmpp.Session, addresses ...jid.JID) error {
	return set(ctx, s, unblockName.Local, addresses)
}

// UnblockAll empties the list (XEP-0191 §3.5). Errors are those of List.
func UnblockAll(ctx context.Context, s *xmpp.Session) error {
	return ask(ctx, s, stanza.SetIQ, wrap(unblockName.Local, nil), nil)
}

func set(ctx context.Context, s *xmpp.Session, name string, addresses []jid.JID) error {
	if len(addresses) == 0 {
		return ErrNone
	}
	var items []xml.TokenReader
	for _, j := range addresses {
		if j.Equal(jid.JID{}) {
			return ErrNone
		}
		items = append(items, xmlstream.Wrap(nil, xml.StartElement{
			Name: xml.Name{Local: "item"},
			Attr: []xml.Attr{{Name: xml.Name{Local: "jid"}, Value: j.String()}},
		}))
	}
	return ask(ctx, s, stanza.SetIQ, wrap(name, xmlstream.MultiReader(items...)), nil)
}

func wrap(name string, items xml.TokenReader) xml.TokenReader {
	return xmlstream.Wrap(items, xml.StartElement{Name: xml.Name{Space: NS, Local: name}})
}

// ask sends a request without an address, which means the own account, and has the
// payload of its result read by f, if that is not nil.
func ask(ctx context.Context, s *xmpp.Session, typ stanza.IQType, payload xml.TokenReader, f func(xml.TokenReader) error) (err error) {
	ctx, done := asking.Context(ctx)
	defer done()
	r, err := s.SendIQElement(ctx, payload, stanza.IQ{Type: typ})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	t, err := r.Token()
	start, ok := t.(xml.StartElement)
	if !ok {
		return errors.Join(errPayload, err)
	}
	if !fromServer(start, s.LocalAddr()) {
		return ErrSender // whoever guesses an id must not make a list
	}
	if _, err := stanza.UnmarshalIQError(r, start); err != nil {
		return err
	}
	if f == nil {
		return nil
	}
	return f(r)
}

// fromServer reports whether an answer is from the server, in one of the names that
// servers use for what concerns the account (RFC 6120 §8.1.2.1, §10.3.3).
func fromServer(start xml.StartElement, own jid.JID) bool {
	for _, a := range start.Attr {
		if a.Name.Local != "from" || a.Name.Space != "" || a.Value == "" {
			continue
		}
		from, err := jid.Parse(a.Value)
		return err == nil && (from.Equal(own) || from.Equal(own.Bare()) || from.Equal(own.Domain()))
	}
	return true
}
