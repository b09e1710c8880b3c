package register

import (
	"encoding/xml"

	"github.com/propolis-im/propolis/internal/dataform"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// The types of forms (XEP-0077 §4, §14.4).
const (
	formRegister = NS
	formCancel   = NS + ":cancel"
	formPassword = NS + ":changepassword"
)

// query is the payload of a set. Its fields are as typed.
type query struct {
	username, password       string
	hasUsername, hasPassword bool
	remove                   bool
	form                     *dataform.Submission // of XEP-0004; fields are then those of it
	children                 int
}

// parse reads the payload of a set. It is not ok if a field comes twice or holds
// elements, or if there are fields beside a form (XEP-0077 §4). Fields that were not
// asked for are left alone.
func parse(s *mux.Stanza) (q query, ok bool) {
	kids := s.Children()
	if len(kids) != 1 || kids[0].Name != (xml.Name{Space: NS, Local: "query"}) {
		return q, false
	}
	el, err := kids[0].Element()
	if err != nil {
		return q, false
	}
	for _, c := range el.Children() {
		q.children++
		switch c.Name {
		case xml.Name{Space: NS, Local: "username"}:
			ok = !q.hasUsername && field(c, &q.username)
			q.hasUsername = true
		case xml.Name{Space: NS, Local: "password"}:
			ok = !q.hasPassword && field(c, &q.password)
			q.hasPassword = true
		case xml.Name{Space: NS, Local: "remove"}:
			ok = !q.remove
			q.remove = true
		case xml.Name{Space: dataform.NS, Local: "x"}:
			ok = q.form == nil
			if ok {
				q.form, err = dataform.Read(c)
				ok = err == nil
			}
		default:
			ok = true
		}
		if !ok {
			return q, false
		}
	}
	if q.form == nil {
		return q, true
	}
	return q, !q.hasUsername && !q.hasPassword && !q.remove && q.fill()
}

// fill takes username and password from the form (XEP-0077 §4).
func (q *query) fill() bool {
	switch q.form.FormType {
	case formRegister, formCancel, formPassword:
	default:
		return false // XEP-0068 §3.2
	}
	var ok bool
	if q.username, ok = q.form.One("username"); !ok {
		return false
	}
	if q.password, ok = q.form.One("password"); !ok {
		return false
	}
	_, q.hasUsername = q.form.Values["username"]
	_, q.hasPassword = q.form.Values["password"]
	return true
}

// is reports whether it is a submission of that form.
func (q *query) is(formType string) bool { return q.form != nil && q.form.FormType == formType }

// field reads a field, which holds text alone.
func field(c mux.Child, into *string) bool {
	el, err := c.Element()
	if err != nil || len(el.Children()) > 0 {
		return false
	}
	*into = c.Text()
	return true
}

// fields is the answer to a get: what to fill in, or what is on file (XEP-0077
// §3.1). No password is ever told.
func fields(registered bool, instructions, username string, form *dataform.Form) mux.Raw {
	b := []byte("<query xmlns='" + NS + "'>")
	if registered {
		b = append(b, "<registered/>"...)
	}
	b = append(b, "<instructions>"...)
	b = xmlwrite.AppendText(b, instructions)
	b = append(b, "</instructions><username>"...)
	b = xmlwrite.AppendText(b, username)
	b = append(b, "</username><password/>"...)
	if form != nil {
		b = form.Append(b)
	}
	return mux.Raw(append(b, "</query>"...))
}

// challenged is the answer to a get with a form that has a challenge. There are no fields
// beside the form, since they would be filled in for nothing: clients that do not know
// forms show the instructions, and the address of a page if there is one (XEP-0158 §5).
func challenged(page string, form *dataform.Form) mux.Raw {
	hint := "To create an account here, your app must be able to solve a challenge against robots."
	if page != "" {
		hint = "If your app cannot solve the challenge against robots, create your account at " + page
	}
	form.Instructions += " " + hint
	b := []byte("<query xmlns='" + NS + "'><instructions>")
	b = xmlwrite.AppendText(b, hint)
	b = form.Append(append(b, "</instructions>"...))
	if page != "" {
		b = appendAddress(b, page)
	}
	return mux.Raw(append(b, "</query>"...))
}

// appendAddress appends the address of a page (XEP-0066).
func appendAddress(b []byte, page string) []byte {
	b = xmlwrite.AppendText(append(b, "<x xmlns='jabber:x:oob'><url>"...), page)
	return append(b, "</url></x>"...)
}

// redirection is the answer where registration is elsewhere (XEP-0077 §5).
func redirection(instructions, address string) mux.Raw {
	b := []byte("<query xmlns='" + NS + "'><instructions>")
	b = xmlwrite.AppendText(b, instructions)
	b = appendAddress(append(b, "</instructions>"...), address)
	return mux.Raw(append(b, "</query>"...))
}

// registerForm is the form for a new account (XEP-0077 §4).
func (x *Extension) registerForm(instructions, username string, reason bool) *dataform.Form {
	f := &dataform.Form{Type: "form", Instructions: instructions, FormType: formRegister}
	name := dataform.Field{Var: "username", Type: "text-single", Label: "Username", Required: true}
	if username != "" {
		name.Values = []string{username}
	}
	f.Fields = append(f.Fields, name, dataform.Field{Var: "password", Type: "text-private", Label: "Password", Required: true})
	if reason {
		f.Fields = append(f.Fields, dataform.Field{Var: "reason", Type: "text-multi", Label: "Why you would like an account here"})
	}
	return f
}

// askPassword is a form that wants the password of an account, before it is changed
// (XEP-0077 §3.3) or the account goes (§3.2).
func askPassword(formType, username string) *dataform.Form {
	f := &dataform.Form{Type: "form", FormType: formType}
	name := dataform.Field{Var: "username", Type: "text-single", Label: "Username", Required: true, Values: []string{username}}
	if formType == formCancel {
		f.Title, f.Instructions = "Removal of the account", "Enter the password to remove the account with all that belongs to it."
		f.Fields = []dataform.Field{name, {Var: "password", Type: "text-private", Label: "Password", Required: true}}
		return f
	}
	f.Title, f.Instructions = "Change of the password", "Enter the old password and a new one."
	f.Fields = []dataform.Field{name,
		{Var: "old_password", Type: "text-private", Label: "Old password", Required: true},
		{Var: "password", Type: "text-private", Label: "New password", Required: true}}
	return f
}
