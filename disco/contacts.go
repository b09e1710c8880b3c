package disco

import (
	"errors"
	"fmt"
	"net/url"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// nsServerInfo is the FORM_TYPE of contact addresses.
const nsServerInfo = "http://jabber.org/network/serverinfo"

// ErrContact is wrapped by the errors of [Contacts.Check].
var ErrContact = errors.New("disco: contact address is no absolute URI")

// Contacts are where to reach those who run the server (XEP-0157 §3), as URIs
// such as mailto:abuse@example.net, xmpp:admin@example.net or
// https://status.example.net. A server that is open to others should have Abuse
// and Admin.
type Contacts struct {
	Abuse, Admin, Feedback, Sales, Security, Status, Support []string
}

// fields lists the fields by their names in the form, in order.
func (c *Contacts) fields() []formField {
	return []formField{
		{Var: "abuse-addresses", Values: c.Abuse},
		{Var: "admin-addresses", Values: c.Admin},
		{Var: "feedback-addresses", Values: c.Feedback},
		{Var: "sales-addresses", Values: c.Sales},
		{Var: "security-addresses", Values: c.Security},
		{Var: "status-addresses", Values: c.Status},
		{Var: "support-addresses", Values: c.Support},
	}
}

// Check reports whether all are absolute URIs; the error wraps [ErrContact]. A
// nil c is right.
func (c *Contacts) Check() error {
	if c == nil {
		return nil
	}
	for _, f := range c.fields() {
		for _, v := range f.Values {
			u, err := url.Parse(v)
			if err != nil || !u.IsAbs() || !xmlwrite.ValidText(v) {
				return fmt.Errorf("%w: %s %q", ErrContact, f.Var, v)
			}
		}
	}
	return nil
}

// form is the form of XEP-0157, nil if there is nothing to tell.
func (c *Contacts) form() xmlstream.Marshaler {
	if c == nil {
		return nil
	}
	b := []byte("<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>" + nsServerInfo + "</value></field>")
	empty := true
	for _, f := range c.fields() {
		if len(f.Values) == 0 {
			continue
		}
		empty = false
		b = append(b, "<field var='"+f.Var+"' type='list-multi'>"...)
		for _, v := range f.Values {
			b = append(b, "<value>"...)
			b = xmlwrite.AppendText(b, v)
			b = append(b, "</value>"...)
		}
		b = append(b, "</field>"...)
	}
	if empty {
		return nil
	}
	return mux.Raw(append(b, "</x>"...))
}
