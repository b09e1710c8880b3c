package pep

import (
	"crypto/rand"
	"encoding/xml"
	"errors"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Namespaces.
const (
	NS       = "http://jabber.org/protocol/pubsub"
	NSOwner  = "http://jabber.org/protocol/pubsub#owner"
	NSEvent  = "http://jabber.org/protocol/pubsub#event"
	NSErrors = "http://jabber.org/protocol/pubsub#errors"

	nsRSM  = "http://jabber.org/protocol/rsm"
	nsForm = "jabber:x:data"
)

// Limits of what is said.
const (
	maxName = 1024 // NodeIDs and ItemIDs, in octets
	maxText = 4096 // of a field
	maxIDs  = 1000 // items named in one request
)

// request is what an IQ asks for.
type request struct {
	action string
	el     *mux.Stanza // the action's element
	node   string
	// Beside it.
	form   *formData // of publish-options, configure, options, or inside configure
	with   string    // the element with the form: publish-options, configure, options
	withIn bool      // configure has a node
	rsm    *mux.Stanza
}

// formData is a submitted form.
type formData struct {
	Type   string      `xml:"type,attr"`
	Fields []formField `xml:"jabber:x:data field"`
}

type formField struct {
	Var    string   `xml:"var,attr"`
	Values []string `xml:"jabber:x:data value"`
}

// companions are the elements that may stand beside an action.
var companions = map[string]string{"publish-options": "publish", "configure": "create", "options": "subscribe"}

// parse reads the payload of a request (XEP-0060, pep E-32).
func parse(s *mux.Stanza) (*request, error) {
	if len(s.Children()) != 1 {
		return nil, errBadRequest
	}
	pubsub, err := s.Children()[0].Element()
	if err != nil {
		return nil, unread(err, errBadRequest)
	}
	ns := pubsub.Name().Space
	kids := pubsub.Children()
	if len(kids) == 0 {
		return nil, errBadRequest
	}
	r := new(request)
	for _, k := range kids {
		if k.Name.Space == nsRSM && k.Name.Local == "set" {
			if r.rsm != nil {
				return nil, errBadRequest
			}
			if r.rsm, err = k.Element(); err != nil {
				return nil, errBadRequest
			}
			continue
		}
		if k.Name.Space != ns {
			continue // not ours (RFC 6120 §8.4)
		}
		if main := companions[k.Name.Local]; ns == NS && main != "" && r.action == main {
			if err := r.companion(k); err != nil {
				return nil, err
			}
			continue
		}
		if r.action != "" {
			return nil, errBadRequest
		}
		r.action = k.Name.Local
		if r.el, err = k.Element(); err != nil {
			return nil, unread(err, errBadRequest)
		}
		r.node = r.el.Attr("node")
	}
	if r.action == "" {
		return nil, errBadRequest
	}
	if len(r.node) > maxName {
		return nil, errOutOfRange
	}
	return r, nil
}

// unread says why an element could not be looked into: streams may take larger ones
// than can be (pep E-3).
func unread(err, otherwise error) error {
	if e := (*xmlscan.Error)(nil); errors.As(err, &e) && e.Reason == xmlscan.LimitBytes {
		return errPayloadTooBig
	}
	return otherwise
}

// named is the node that a request names, as parse will find it.
func named(s *mux.Stanza) string {
	if len(s.Children()) != 1 {
		return ""
	}
	if node := s.Children()[0].Attr("node"); node != "" { // of service discovery
		return node
	}
	pubsub, err := s.Children()[0].Element()
	if err != nil {
		return ""
	}
	for _, k := range pubsub.Children() {
		if node := k.Attr("node"); node != "" {
			return node
		}
	}
	return ""
}

// cutField is the name of a field of pubsub.
func cutField(name string) (local string, ours bool) { return strings.CutPrefix(name, varPrefix) }

// companion reads an element beside the action.
func (r *request) companion(k mux.Child) error {
	if r.with != "" {
		return errBadRequest
	}
	r.with, r.withIn = k.Name.Local, k.Attr("node") != ""
	el, err := k.Element()
	if err != nil {
		return errBadRequest
	}
	r.form, err = formOf(el)
	return err
}

// formOf reads the form in an element, nil if there is none.
func formOf(el *mux.Stanza) (*formData, error) {
	c, ok := el.Child(xml.Name{Space: nsForm, Local: "x"})
	if !ok {
		return nil, nil
	}
	f := new(formData)
	if err := c.Decode(f); err != nil {
		return nil, errBadRequest
	}
	return f, nil
}

// submitted are the fields of a form of a type, without that (XEP-0068). The error is
// E-11's.
func (f *formData) submitted(formType string) ([]formField, error) {
	if f == nil || f.Type != "submit" {
		return nil, errBadRequest
	}
	var l []formField
	typed := false
	seen := make(map[string]bool)
	for _, ff := range f.Fields {
		if seen[ff.Var] {
			return nil, errBadRequest
		}
		seen[ff.Var] = true
		if ff.Var == "FORM_TYPE" {
			if len(ff.Values) != 1 || ff.Values[0] != nsPrefix+formType {
				return nil, errBadRequest
			}
			typed = true
			continue
		}
		l = append(l, ff)
	}
	if !typed && len(l) > 0 {
		return nil, errBadRequest
	}
	return l, nil
}

// given are the items in the action's element.
func (r *request) given() []mux.Child {
	var l []mux.Child
	for _, k := range r.el.Children() {
		if k.Name.Space == NS && k.Name.Local == "item" {
			l = append(l, k)
		}
	}
	return l
}

// ids are the IDs of the items in the action's element, each once.
func (r *request) ids() ([]string, error) {
	var l []string
	seen := make(map[string]bool)
	for _, k := range r.given() {
		id := k.Attr("id")
		if len(id) > maxName || len(l) >= maxIDs {
			return nil, errOutOfRange
		}
		if id != "" && !seen[id] {
			seen[id] = true
			l = append(l, id)
		}
	}
	return l, nil
}

// payload reads an item's payload as XML that stands for itself, empty if there is
// none.
func payload(item mux.Child) (string, error) {
	el, err := item.Element()
	if err != nil {
		return "", unread(err, errInvalidPayload)
	}
	kids := el.Children()
	switch {
	case len(kids) > 1, len(kids) == 0 && strings.TrimSpace(el.Text()) != "":
		return "", errInvalidPayload
	case len(kids) == 0:
		return "", nil
	}
	c, err := mux.NewChild(kids[0])
	if err != nil {
		return "", errInvalidPayload
	}
	return c.Raw(), nil
}

// newID makes a name that nobody can guess.
func newID() string { return rand.Text() }

func appendAttr(b []byte, name, value string) []byte {
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, "='"...)
	b = xmlwrite.AppendAttrValue(b, value)
	return append(b, '\'')
}

// appendItem writes an item, whose namespace the place has (pep PUB-5, PUB-7).
func appendItem(b []byte, i *Item, c *Config, payloads bool) []byte {
	b = appendAttr(append(b, "<item"...), "id", i.ID)
	if c.ItemReply == "publisher" && !i.Publisher.IsZero() {
		b = appendAttr(b, "publisher", i.Publisher.String())
	}
	if !payloads || i.Payload == "" {
		return append(b, "/>"...)
	}
	b = append(append(b, '>'), i.Payload...)
	return append(b, "</item>"...)
}

func appendPubsub(ns string, content ...string) mux.Raw {
	return mux.Raw("<pubsub xmlns='" + ns + "'>" + strings.Join(content, "") + "</pubsub>")
}

// sortedKeys are the names of nodes in order.
func sortedKeys[V any](m map[string]V) []string {
	l := make([]string, 0, len(m))
	for k := range m {
		l = append(l, k)
	}
	slices.Sort(l)
	return l
}
