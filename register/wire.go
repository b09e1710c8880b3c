package register

import (
	"encoding/xml"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

const nsForm = "jabber:x:data"

// query is the payload of a set. Its fields are as typed.
type query struct {
	username, password       string
	hasUsername, hasPassword bool
	remove                   bool
	form                     bool // of XEP-0004
	children                 int
}

// parse reads the payload of a set. It is not ok if a field comes twice or holds
// elements, or if there are fields beside a form (XEP-0077 §4). Fields that were
// not asked for are left alone.
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
		case xml.Name{Space: nsForm, Local: "x"}:
			ok = !q.form
			q.form = true
		default:
			ok = true
		}
		if !ok {
			return q, false
		}
	}
	return q, !q.form || !q.hasUsername && !q.hasPassword
}

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
func fields(registered bool, instructions, username string) mux.Raw {
	b := []byte("<query xmlns='" + NS + "'>")
	if registered {
		b = append(b, "<registered/>"...)
	}
	b = append(b, "<instructions>"...)
	b = xmlwrite.AppendText(b, instructions)
	b = append(b, "</instructions><username>"...)
	b = xmlwrite.AppendText(b, username)
	return mux.Raw(append(b, "</username><password/></query>"...))
}
