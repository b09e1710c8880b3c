package disco

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// info is what is known about an address, sorted and each thing once.
type info struct {
	identities []mux.DiscoIdentity
	features   []string
	forms      []form
}

// form is a form of XEP-0128: as it is written, and what it says.
type form struct {
	raw    string
	typ    string // FORM_TYPE, empty if it has none
	fields []formField
}

type formField struct {
	Var    string   `xml:"var,attr"`
	Type   string   `xml:"type,attr"`
	Values []string `xml:"value"`
}

// collect takes what the providers said. The error is that of a form that cannot
// be written.
func collect(q *mux.DiscoQuery) (*info, error) {
	i := &info{identities: slices.Clone(q.Identities), features: slices.Clone(q.Features)}
	// XEP-0030 §3.1: there may be several names of one category and type only in
	// several languages. Of those said twice the first counts.
	slices.SortStableFunc(i.identities, compareIdentities)
	i.identities = slices.CompactFunc(i.identities, func(a, b mux.DiscoIdentity) bool { return compareIdentities(a, b) == 0 })
	slices.Sort(i.features)
	i.features = slices.Compact(i.features)
	for _, m := range q.Forms {
		f, err := readForm(m)
		if err != nil {
			return nil, err
		}
		i.forms = append(i.forms, f)
	}
	slices.SortStableFunc(i.forms, func(a, b form) int { return cmp.Compare(a.typ, b.typ) })
	// XEP-0115 §5.4: two forms of one type make the whole answer worthless.
	i.forms = slices.CompactFunc(i.forms, func(a, b form) bool { return a.typ == b.typ && a.typ != "" })
	return i, nil
}

// compareIdentities orders by what makes an identity one of its own.
func compareIdentities(a, b mux.DiscoIdentity) int {
	return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Lang, b.Lang))
}

func readForm(m interface{ TokenReader() xml.TokenReader }) (form, error) {
	c, err := mux.NewChild(m)
	if err != nil {
		return form{}, fmt.Errorf("disco: form: %w", err)
	}
	var x struct {
		Fields []formField `xml:"jabber:x:data field"`
	}
	if err := c.Decode(&x); err != nil {
		return form{}, fmt.Errorf("disco: form: %w", err)
	}
	f := form{raw: c.Raw()}
	for _, field := range x.Fields {
		if field.Var == "FORM_TYPE" && field.Type == "hidden" && len(field.Values) == 1 {
			f.typ = field.Values[0]
			continue
		}
		f.fields = append(f.fields, field)
	}
	return f, nil
}

// write writes the result of disco#info; the node is that of the request.
func (i *info) write(node string) mux.Raw {
	b := startQuery(NSInfo, node)
	for _, id := range i.identities {
		b = append(b, "<identity"...)
		b = appendAttr(b, "xml:lang", id.Lang)
		b = append(b, " category='"...)
		b = xmlwrite.AppendAttrValue(b, id.Category)
		b = append(b, "' type='"...)
		b = xmlwrite.AppendAttrValue(b, id.Type)
		b = append(b, '\'')
		b = appendAttr(b, "name", id.Name)
		b = append(b, "/>"...)
	}
	for _, f := range i.features {
		b = append(b, "<feature"...)
		b = appendAttr(b, "var", f)
		b = append(b, "/>"...)
	}
	for _, f := range i.forms {
		b = append(b, f.raw...)
	}
	return mux.Raw(append(b, "</query>"...))
}

// writeItems writes the result of disco#items, each item once, in the order in
// which they were given.
func writeItems(q *mux.DiscoQuery) mux.Raw {
	b := startQuery(NSItems, q.Node)
	type key struct {
		jid        mux.Address
		node, name string // items without a node are told apart by name (XEP-0060 §5.5)
	}
	seen := make(map[key]bool)
	for _, c := range q.Children {
		k := key{jid: c.JID, node: c.Node}
		if q.Node != "" && c.Node == "" {
			k.name = c.Name
		}
		if c.JID.IsZero() || seen[k] {
			continue
		}
		seen[k] = true
		b = append(b, "<item"...)
		b = appendAttr(b, "jid", c.JID.String())
		b = appendAttr(b, "node", c.Node)
		b = appendAttr(b, "name", c.Name)
		b = append(b, "/>"...)
	}
	return mux.Raw(append(b, "</query>"...))
}

// startQuery begins a result, which repeats the node of the request (XEP-0030
// §3.2).
func startQuery(ns, node string) []byte {
	b := append(make([]byte, 0, 512), "<query xmlns='"+ns+"'"...)
	b = appendAttr(b, "node", node)
	return append(b, '>')
}

// appendAttr appends an attribute that has a value.
func appendAttr(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, "='"...)
	b = xmlwrite.AppendAttrValue(b, value)
	return append(b, '\'')
}
