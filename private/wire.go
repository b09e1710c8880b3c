package private

import (
	"encoding/xml"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// elements are the children of the query of a request, each written out for
// itself: at least one, of one namespace, no two of one name (XEP-0049 §3).
func elements(iq *mux.Stanza) ([]mux.Child, error) {
	if len(iq.Children()) != 1 {
		return nil, errBadRequest
	}
	query, err := iq.Children()[0].Element()
	if err != nil || len(query.Children()) == 0 {
		return nil, errBadRequest
	}
	var all []mux.Child
	seen := make(map[string]bool)
	for _, c := range query.Children() {
		switch name := c.Name; {
		case name.Space == "" || name.Space == NS:
			return nil, errBadRequest // no namespace of its own
		case name.Space == mux.NSClient:
			return nil, errNotAcceptable // reserved, and written in many ways
		case name.Space != query.Children()[0].Name.Space || seen[name.Local]:
			return nil, errBadRequest
		default:
			seen[name.Local] = true
		}
		// With all declarations, since it will stand elsewhere.
		own, err := mux.NewChild(c)
		if err != nil {
			return nil, errBadRequest
		}
		all = append(all, own)
	}
	return all, nil
}

// empty is an element without content.
func empty(name xml.Name) mux.Raw {
	var b strings.Builder
	b.WriteString("<" + name.Local + " xmlns='")
	b.Write(xmlwrite.AppendAttrValue(nil, name.Space))
	b.WriteString("'/>")
	return mux.Raw(b.String())
}
