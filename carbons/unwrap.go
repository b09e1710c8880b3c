package carbons

import (
	"encoding/xml"
	"errors"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Direction says which way a message went of which a copy has come.
type Direction uint8

// The directions.
const (
	Received Direction = iota // arrived for the own account, at another of its sessions
	Sent                      // was sent by another session of the own account
)

// String names the direction as its element is named.
func (d Direction) String() string {
	if d == Sent {
		return "sent"
	}
	return "received"
}

// Copy is what a copy holds.
type Copy struct {
	Direction Direction
	// Message is the message itself. It is not addressed to this session and must
	// not be treated as if it were: nobody answers by itself to what it has sent, and
	// no receipt is due for it (XEP-0280 §10.4, XEP-0297 §7.1).
	Message *mux.Stanza
	// Delay is when the message was sent, if the server says so; else zero
	// (XEP-0297 §3.2).
	Delay time.Time
}

// Errors of Unwrap.
var (
	// ErrNoCopy: the stanza is no copy, nor does it claim to be one.
	ErrNoCopy = errors.New("carbons: no copy")
	// ErrForeign: the stanza claims to be a copy, but does not come from the own
	// account. It must be ignored, all of it (XEP-0280 §11).
	ErrForeign = errors.New("carbons: copy by somebody else")
	// ErrMalformed: a copy that holds no message, more than one, or one that the own
	// account has neither sent nor received. It must be ignored as well.
	ErrMalformed = errors.New("carbons: malformed copy")
)

const nsForward = "urn:xmpp:forward:0"

var (
	forwardedName = xml.Name{Space: nsForward, Local: "forwarded"}
	messageName   = xml.Name{Space: mux.NSClient, Local: "message"}
	delayName     = xml.Name{Space: "urn:xmpp:delay", Local: "delay"}
)

// Unwrap takes the message out of a copy. own is the address of the account that
// the client is logged in as, bare or full. The error is nil for a copy, ErrNoCopy for
// everything else that is to be treated as usual, and ErrForeign or ErrMalformed for
// what must be ignored.
//
// A stanza without a sender comes from the own account (RFC 6120 §8.1.2.1).
func Unwrap(s *mux.Stanza, own mux.Address) (Copy, error) {
	own = own.Bare()
	claim, n := mux.Child{}, 0
	for _, k := range s.Children() {
		if isCopy(k) {
			claim = k
			n++
		}
	}
	from := s.From()
	switch {
	case n == 0:
		return Copy{}, ErrNoCopy
	case own.IsZero() || !from.IsZero() && from != own || s.MalformedFrom() != "":
		return Copy{}, ErrForeign // XEP-0280 §11: the own bare address and no other
	case n > 1 || s.Kind() != mux.Message || s.Type() == "groupchat":
		return Copy{}, ErrMalformed
	}
	c := Copy{}
	if claim.Name.Local == sentName.Local {
		c.Direction = Sent
	}
	fwd, err := only(claim, forwardedName)
	if err != nil {
		return Copy{}, err
	}
	if d, ok := fwd.Child(delayName); ok {
		c.Delay, _ = time.Parse(time.RFC3339, d.Attr("stamp")) // else it does not say
	}
	if c.Message, err = onlyIn(fwd, messageName); err != nil {
		return Copy{}, err
	}
	return c, c.check(own)
}

// check reports what is wrong with the message of a copy: one of the own account must
// be from it or for it, and holds no copy itself.
func (c *Copy) check(own mux.Address) error {
	m := c.Message
	end := m.To()
	if c.Direction == Sent {
		end = m.From()
	}
	wrong := end.Bare() != own || m.From().IsZero() || m.Type() == "groupchat"
	for _, k := range m.Children() {
		wrong = wrong || isCopy(k)
	}
	if wrong {
		*c = Copy{}
		return ErrMalformed
	}
	return nil
}

func isCopy(k mux.Child) bool { return k.Name == sentName || k.Name == receivedName }

// only is the one child of that name as an element.
func only(c mux.Child, name xml.Name) (*mux.Stanza, error) {
	el, err := c.Element()
	if err != nil {
		return nil, ErrMalformed
	}
	return onlyIn(el, name)
}

func onlyIn(el *mux.Stanza, name xml.Name) (*mux.Stanza, error) {
	found, n := mux.Child{}, 0
	for _, k := range el.Children() {
		if k.Name.Local == name.Local {
			found = k
			n++
		}
	}
	if n != 1 || found.Name != name {
		return nil, ErrMalformed
	}
	s, err := found.Element()
	if err != nil {
		return nil, ErrMalformed
	}
	return s, nil
}

// Read reads an element as mellium hands it to a handler, and takes the message out
// if it is a copy; see [Unwrap]. The stanza is what was read, whether or not it is a
// copy.
func Read(start xml.StartElement, r xml.TokenReader, own mux.Address) (*mux.Stanza, Copy, error) {
	s, err := mux.FromTokens(start, r)
	if err != nil {
		return nil, Copy{}, err
	}
	c, err := Unwrap(s, own)
	if err == nil && s.From().IsZero() {
		for _, a := range start.Attr {
			// A session of mellium empties the attribute if it is the own bare address.
			if a.Name.Space == "" && a.Name.Local == "from" && a.Value != "" {
				return s, Copy{}, ErrForeign // there is one, but it is no address
			}
		}
	}
	return s, c, err
}
