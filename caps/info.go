package caps

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// Info is what an entity says of itself: the result of disco#info (XEP-0030 §3.1)
// with its forms (XEP-0128).
type Info struct {
	// Lang is the language that identities without one inherit, from the query or
	// what is around it. Only the hash of XEP-0390 takes note of it (§4.1).
	Lang       string
	Identities []Identity
	Features   []string
	Forms      []Form
	// Other says that there is something else in the result, which has no place in a
	// hash of XEP-0390 (§4.1).
	Other bool
}

// Identity is an identity (XEP-0030 §3.1).
type Identity = mux.DiscoIdentity

// Form is a data form (XEP-0128).
type Form struct {
	Fields []Field
	// Table says that the form has reported fields or items (XEP-0004 §3.4).
	Table bool
}

// Field is one field of a form, as it is written.
type Field struct {
	Var, Type string
	Values    []string
}

// Bounds of a result that is looked at (pep CAPS-13). A result within them is one to two
// orders of magnitude larger than those of clients are.
const (
	maxReply      = 64 << 10
	maxFeatures   = 1000
	maxFeature    = 1 << 10
	maxIdentities = 100
)

// Errors of results that are no use.
var (
	// ErrMalformed is wrapped when a result breaks rules, so that a hash of it would
	// mean nothing.
	ErrMalformed = errors.New("caps: malformed result")
	// ErrTooLarge: the result has more than anybody needs.
	ErrTooLarge = errors.New("caps: result too large")
)

const nsForm = "jabber:x:data"

// node is any element.
type node struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Nodes   []node     `xml:",any"`
	Text    string     `xml:",chardata"`
}

func (n *node) attr(local string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == local && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

func (n *node) lang() string {
	for _, a := range n.Attrs {
		if a.Name.Local == "lang" && (a.Name.Space == "xml" || a.Name.Space == "http://www.w3.org/XML/1998/namespace") {
			return a.Value
		}
	}
	return ""
}

// ReadInfo reads the query element of a result, given as tokens; lang is the language of
// the stanza. Errors are [ErrTooLarge] and what wraps [ErrMalformed].
func ReadInfo(r xml.TokenReader, lang string) (*Info, error) {
	var q node
	if err := xml.NewTokenDecoder(r).Decode(&q); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if q.XMLName != infoName {
		return nil, fmt.Errorf("%w: no query", ErrMalformed)
	}
	i := &Info{Lang: lang, Other: strings.TrimSpace(q.Text) != ""}
	if l := q.lang(); l != "" {
		i.Lang = l
	}
	for k := range q.Nodes {
		if err := i.add(&q.Nodes[k]); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// add takes one child of the query.
func (i *Info) add(n *node) error {
	switch n.XMLName {
	case xml.Name{Space: NSInfo, Local: "identity"}:
		i.Identities = append(i.Identities, Identity{Category: n.attr("category"), Type: n.attr("type"), Name: n.attr("name"), Lang: n.lang()})
	case xml.Name{Space: NSInfo, Local: "feature"}:
		i.Features = append(i.Features, n.attr("var"))
	case xml.Name{Space: nsForm, Local: "x"}:
		i.Forms = append(i.Forms, formOf(n))
	default:
		i.Other = true
	}
	if len(i.Features) > maxFeatures || len(n.attr("var")) > maxFeature || len(i.Identities) > maxIdentities {
		return ErrTooLarge
	}
	return nil
}

func formOf(x *node) (f Form) {
	for k := range x.Nodes {
		n := &x.Nodes[k]
		switch {
		case n.XMLName.Space != nsForm:
		case n.XMLName.Local == "reported" || n.XMLName.Local == "item":
			f.Table = true
		case n.XMLName.Local == "field":
			field := Field{Var: n.attr("var"), Type: n.attr("type")}
			for j := range n.Nodes {
				if v := &n.Nodes[j]; v.XMLName == (xml.Name{Space: nsForm, Local: "value"}) {
					field.Values = append(field.Values, v.Text)
				}
			}
			f.Fields = append(f.Fields, field)
		}
	}
	return f
}
