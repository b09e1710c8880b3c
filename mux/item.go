package mux

import (
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// Item is a stanza on its way to one recipient. Sinks that keep an item copy it.
type Item struct {
	Stanza *Stanza
	// To and ID, if not zero, stand for the stanza's own attributes, so that one
	// stanza can be shared by many recipients.
	To Address
	ID string
	// Extra is written before the end tag: well-formed elements that declare
	// their namespaces (delay, stanza-id).
	Extra []byte
	// Origin is the stream the stanza came in on, nil for what the server made.
	Origin *Stream
	Flags  Flags
	// At is when the server took the stanza; zero for now.
	At time.Time
	// Inner is the original message a carbon was made of.
	Inner *Stanza
	// Record is shared by all copies of one message; nil if there is just one
	// and nobody needs to know what became of it.
	Record *Record
	// Work is what the item belongs to; nil if nothing is to be waited for. It
	// is valid only while it has not ended, see [Work].
	Work *Work

	// Row is where a sink has kept the item durably, 0 for nowhere; the sink's own
	// affair.
	Row uint64

	gen     uint64 // of Work, when the item was made
	also    *Work  // it waits for this one, too
	alsoGen uint64
	loose   bool // nobody tracked when it was queued for writing
}

// Recipient is the address the item goes to.
func (it *Item) Recipient() Address {
	if !it.To.IsZero() {
		return it.To
	}
	return it.Stanza.to
}

// Append writes the item as it goes to the wire. If ns is not empty it is
// declared (WebSocket framing, RFC 7395 §3.3); else the stream's default is
// relied on.
func (it *Item) Append(dst []byte, ns string) []byte {
	s := it.Stanza
	dst = append(dst, '<')
	if s.prefix != "" {
		dst = append(append(dst, s.prefix...), ':')
	}
	dst = append(dst, s.name.Local...)
	if s.prefix != "" && strings.Contains(s.attrs, " xmlns=") {
		// Among the attributes.
	} else if s.kind == Nonza && s.prefix == "" && s.name.Space != NSClient {
		dst = appendAttr(dst, "xmlns", s.name.Space)
	} else if ns != "" {
		dst = appendAttr(dst, "xmlns", ns)
	}
	if !s.from.IsZero() {
		dst = appendAddress(dst, " from='", s.from)
	}
	if to := it.Recipient(); s.kind == Nonza {
		// Has no addressee.
	} else if !to.IsZero() {
		dst = appendAddress(dst, " to='", to)
	} else if s.badTo != "" {
		dst = appendAttr(dst, "to", s.badTo)
	}
	if s.typ != "" {
		dst = appendAttr(dst, "type", s.typ)
	}
	if it.ID != "" {
		dst = appendAttr(dst, "id", it.ID)
	} else if s.id != "" {
		dst = appendAttr(dst, "id", s.id)
	}
	if s.lang != "" {
		dst = appendAttr(dst, "xml:lang", s.lang)
	}
	dst = append(dst, s.attrs...)
	if s.body == "" && len(it.Extra) == 0 {
		return append(dst, '/', '>')
	}
	dst = append(dst, '>')
	dst = append(dst, s.body...)
	dst = append(dst, it.Extra...)
	dst = append(dst, '<', '/')
	if s.prefix != "" {
		dst = append(append(dst, s.prefix...), ':')
	}
	dst = append(dst, s.name.Local...)
	return append(dst, '>')
}

func appendAttr(dst []byte, name, value string) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '\'')
	dst = xmlwrite.AppendAttrValue(dst, value)
	return append(dst, '\'')
}

// declOf declares a default namespace.
func declOf(space string) string {
	var mem [64]byte // most fit
	return string(appendAttr(mem[:0], "xmlns", space))
}

func appendAddress(dst []byte, before string, a Address) []byte {
	dst = append(dst, before...)
	if a.escape {
		dst = xmlwrite.AppendAttrValue(dst, a.s)
	} else {
		dst = append(dst, a.s...)
	}
	return append(dst, '\'')
}

// record makes sure that a message has one: copies for another recipient than
// the stanza says are messages of their own.
func (it *Item) record() {
	switch {
	case it.Record != nil || it.Stanza.kind != Message:
	case !it.To.IsZero() && it.To.Bare() != it.Stanza.to.Bare():
		it.Record = new(Record)
	default:
		it.Record = it.Stanza.rec
	}
}

const nsDelay = "urn:xmpp:delay"

// StampDelay adds when the server took the stanza, unless that is said already
// (XEP-0203 §2).
func (it *Item) StampDelay() {
	if it.At.IsZero() || strings.Contains(string(it.Extra), nsDelay) {
		return
	}
	if c, ok := it.Stanza.Child(xml.Name{Space: nsDelay, Local: "delay"}); ok && c.Attr("from") == it.Recipient().Domain() {
		return
	}
	it.Extra = AppendDelay(slices.Clip(it.Extra), it.Recipient().Domain(), it.At)
}

// AppendDelay appends a delay element (XEP-0203) to an item's Extra.
func AppendDelay(dst []byte, from string, at time.Time) []byte {
	dst = append(dst, "<delay xmlns='"+nsDelay+"'"...)
	dst = appendAttr(dst, "from", from)
	dst = appendAttr(dst, "stamp", at.UTC().Format("2006-01-02T15:04:05.000Z"))
	return append(dst, '/', '>')
}
