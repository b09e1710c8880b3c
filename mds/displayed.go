package mds

import (
	"encoding/xml"
	"errors"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

const nsSID = "urn:xmpp:sid:0"

// ErrMalformed: an item says nothing.
var ErrMalformed = errors.New("mds: malformed")

// Position is how far a chat was displayed.
type Position struct {
	// Chat is the bare address of a contact or a room, or the full one of somebody in
	// a room (XEP-0490 §4.1).
	Chat mux.Address
	// By is whose archive the ID is from: the room's for rooms, else the own
	// account's. ID is the name of the message there (XEP-0359).
	By mux.Address
	ID string
}

// Parse reads the payload of an item, whose ID is the chat. The error is
// [ErrMalformed].
func Parse(chat string, payload mux.Raw) (Position, error) {
	a, err := mux.ParseAddress(chat)
	if err != nil {
		return Position{}, ErrMalformed
	}
	el, err := mux.Parse([]byte(payload))
	if err != nil || el.Name() != displayedName {
		return Position{}, ErrMalformed
	}
	var ids []mux.Child
	for _, c := range el.Children() {
		if c.Name == (xml.Name{Space: nsSID, Local: "stanza-id"}) {
			ids = append(ids, c)
		}
	}
	if len(ids) != 1 || ids[0].Attr("id") == "" { // XEP-0490 §4.1: exactly one
		return Position{}, ErrMalformed
	}
	by, err := mux.ParseAddress(ids[0].Attr("by"))
	if err != nil {
		return Position{}, ErrMalformed
	}
	return Position{a, by, ids[0].Attr("id")}, nil
}

// Payload is the payload of the item.
func (p *Position) Payload() mux.Raw {
	b := []byte("<displayed xmlns='" + NS + "'><stanza-id xmlns='" + nsSID + "' by='")
	b = append(xmlwrite.AppendAttrValue(b, p.By.String()), "' id='"...)
	if xmlwrite.ValidText(p.ID) {
		b = xmlwrite.AppendAttrValue(b, p.ID)
	}
	return mux.Raw(append(b, "'/></displayed>"...))
}
