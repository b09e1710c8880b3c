package sasl2

import (
	"encoding/xml"
	"slices"
	"strings"
)

// nsBindingTypes is the namespace of the list of channel binding types (XEP-0440).
const nsBindingTypes = "urn:xmpp:sasl-cb:0"

// Offer is what a server lists for this profile, exactly as received: a mechanism
// may check the lists against what the server signs (XEP-0474).
type Offer struct {
	Mechanisms []string
	// BindingTypes are those of the XEP-0440 element.
	BindingTypes []string `json:",omitempty"`
	// Inline are the namespaces of what else may be asked for with the login.
	Inline []string `json:",omitempty"`
	// Bind are the features of Bind 2.
	Bind []string `json:",omitempty"`
	// Tokens are the mechanisms of XEP-0484, Upgrades the tasks of XEP-0480.
	Tokens   []string `json:",omitempty"`
	Upgrades []string `json:",omitempty"`
	// Scheme and Version are those of XEP-0509, empty without.
	Scheme  string `json:",omitempty"`
	Version string `json:",omitempty"`
}

// parseOffer reads the feature (XEP-0388 §2.1). Unknown children are ignored.
func parseOffer(e *Element) Offer {
	var o Offer
	o.Mechanisms = texts(e, NS, "mechanism")
	o.Upgrades = texts(e, NSUpgrade, "upgrade")
	inline := e.Child(NS, "inline")
	if inline == nil {
		return o
	}
	for _, c := range inline.Children {
		o.Inline = append(o.Inline, c.Name.Space)
	}
	o.Tokens = texts(inline.Child(NSFast, "fast"), NSFast, "mechanism")
	if features := inline.Child(NSBind, "bind").Child(NSBind, "inline"); features != nil {
		for _, f := range features.Children {
			if v := f.Attr("var"); v != "" && f.Name == (xml.Name{Space: NSBind, Local: "feature"}) {
				o.Bind = append(o.Bind, v)
			}
		}
	}
	return o
}

// texts are the texts of the children of that name. White space around them is the
// server's lay-out.
func texts(e *Element, space, local string) (list []string) {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Name == (xml.Name{Space: space, Local: local}) {
			list = append(list, strings.TrimSpace(c.Text))
		}
	}
	return list
}

// inlines reports whether requests of a namespace can go with the login.
func (o *Offer) inlines(space string) bool { return slices.Contains(o.Inline, space) }

// common are the wanted names that are listed too, in the order of preference.
func common(wanted, listed []string) (list []string) {
	for _, w := range wanted {
		if slices.Contains(listed, w) {
			list = append(list, w)
		}
	}
	return list
}
