package archive

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/xml"
	"time"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// NSSID is the namespace of stanza IDs (XEP-0359), and the feature.
const NSSID = "urn:xmpp:sid:0"

var sidName = xml.Name{Space: NSSID, Local: "stanza-id"}

// idText keeps the order.
var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newID makes the name of a message. Nobody can guess one: 96 bits are random. In
// front of them is the second, which says no more than the message itself, so that those
// made together are together in an index: a store that commits many at once writes few
// of its pages.
func newID(at time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[4:]) // never fails
	binary.BigEndian.PutUint32(b[:4], uint32(at.Unix()))
	var text [26]byte
	idText.Encode(text[:], b[:])
	return string(text[:])
}

// stanzaID is the element that says how the archive of an account calls a message
// (XEP-0359 §3).
func stanzaID(account mux.Address, id string) mux.Child {
	b := make([]byte, 0, 64+len(account.String())+len(id))
	b = append(b, "<stanza-id xmlns='"+NSSID+"' id='"...)
	b = append(b, id...)
	b = append(b, "' by='"...)
	b = xmlwrite.AppendAttrValue(b, account.String())
	return mux.RawChild(sidName, string(append(b, "'/>"...)))
}

// StanzaID is the element that says how the archive of the turn's account calls the
// message of the event (XEP-0359), and false if it is not in there. It is for copies
// that the account's own sessions get of what it sends: what leaves the account does
// not carry it. It may be called at FromAccount, behind this extension, and later.
func StanzaID(e *mux.Event) (mux.Child, bool) {
	if e.Item == nil {
		return mux.Child{}, false
	}
	id := e.Item.Record.Archived(e.Account)
	if id == "" {
		return mux.Child{}, false
	}
	return stanzaID(e.Account, id), true
}

// withoutForged is a message without the IDs that claim to be from an archive of
// the account (XEP-0359 §5 rule 3): only we give those.
func withoutForged(s *mux.Stanza, account mux.Address) *mux.Stanza {
	if !s.Has(sidName) {
		return s
	}
	return s.Without(func(c mux.Child) bool { return c.Name == sidName && by(c, account) })
}

// by reports whether an ID claims to be of the account, however that is written.
func by(c mux.Child, account mux.Address) bool {
	text := c.Attr("by")
	if text == account.String() {
		return true
	}
	a, err := mux.ParseAddress(text)
	return err == nil && a.Bare() == account
}
