package caps

import (
	"cmp"
	"encoding/xml"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Namespaces.
const (
	NS115  = "http://jabber.org/protocol/caps"
	NS     = "urn:xmpp:caps" // XEP-0390, which is also its feature
	NSInfo = "http://jabber.org/protocol/disco#info"
	nsHash = "urn:xmpp:hashes:2"
)

var (
	infoName     = xml.Name{Space: NSInfo, Local: "query"}
	capsName     = xml.Name{Space: NS115, Local: "c"}
	newCapsName  = xml.Name{Space: NS, Local: "c"}
	hashName     = xml.Name{Space: nsHash, Local: "hash"}
	occupantName = xml.Name{Space: "http://jabber.org/protocol/muc#user", Local: "x"}
)

// Bounds of what is announced; longer texts are no hashes.
const (
	maxValue  = 128
	maxNode   = 1 << 10
	maxAlgo   = 32
	maxHashes = 16
)

// Announced are the hashes in a presence or in stream features, in the order in which
// they are to be preferred: those of XEP-0390 first, and those that can be checked before
// others. What has no hash attribute is of the time before hashes (XEP-0115 §13) and
// counts as nothing.
func Announced(s *mux.Stanza) []Hash { return appendAnnounced(nil, s) }

func appendAnnounced(list []Hash, s *mux.Stanza) []Hash {
	for _, c := range s.Children() {
		switch c.Name {
		case newCapsName:
			list = appendSet(list, c)
		case capsName:
			h := Hash{Proto: XEP0115, Algo: c.Attr("hash"), Value: c.Attr("ver"), Node: c.Attr("node")}
			if h.plausible() && len(list) < maxHashes {
				list = append(list, h)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Hash) int { return cmp.Compare(a.rank(), b.rank()) })
	return list
}

// rank is the place of a hash among those that are announced together.
func (h Hash) rank() int {
	switch {
	case !h.supported():
		return 2
	case h.Proto == XEP0115:
		return 1
	}
	return 0
}

// appendSet appends the hashes of one set (XEP-0390 §4.2).
func appendSet(list []Hash, c mux.Child) []Hash {
	el, err := c.Element()
	if err != nil {
		return list
	}
	for _, k := range el.Children() {
		h := Hash{Proto: XEP0390, Algo: k.Attr("algo"), Value: strings.TrimSpace(k.Text())}
		if k.Name == hashName && h.plausible() && len(list) < maxHashes {
			list = append(list, h)
		}
	}
	return list
}

func (h Hash) plausible() bool {
	return h.Algo != "" && len(h.Algo) <= maxAlgo && h.Value != "" && len(h.Value) <= maxValue && len(h.Node) <= maxNode
}

// clone is h with texts of its own.
func (h Hash) clone() Hash {
	h.Algo, h.Value, h.Node = strings.Clone(h.Algo), strings.Clone(h.Value), strings.Clone(h.Node)
	return h
}

// fingerprint tells one announcement from another without reading it; 0 if there is
// none. It differs from mux to mux, so that nobody can aim at it.
func fingerprint(seed maphash.Seed, s *mux.Stanza) (fp uint64) {
	for _, c := range s.Children() {
		if c.Name == capsName || c.Name == newCapsName {
			fp = fp*31 + maphash.String(seed, c.Raw()) | 1
		}
	}
	return fp
}

// appendQuery writes the question for a node.
func appendQuery(b []byte, node string) []byte {
	b = append(b, "<query xmlns='"+NSInfo+"' node='"...)
	b = xmlwrite.AppendAttrValue(b, node)
	return append(b, "'/>"...)
}
