package pep

import (
	"github.com/propolis-im/propolis/mux"
)

// refused are entries of a list that cannot become what they should: the answer has those
// alone, as they are (XEP-0060 §8.8.2.3, §8.9.2.4).
type refused struct {
	list, entry, attr string
	b                 []byte
}

func (r *refused) add(jid, is string) {
	r.b = appendAttr(append(append(r.b, '<'), r.entry...), "jid", jid)
	r.b = append(appendAttr(r.b, r.attr, is), "/>"...)
}

// err is the answer, nil if all is well.
func (r *refused) err(node string) error {
	if len(r.b) == 0 {
		return nil
	}
	b := append(appendAttr([]byte("<"+r.list), "node", node), '>')
	b = append(append(b, r.b...), "</"+r.list+">"...)
	return &mux.Error{Stanza: errOutOfRange, Body: appendPubsub(NSOwner, string(b))}
}
