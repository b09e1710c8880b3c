package register

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// FuzzParse: whatever a set holds, it is read without a panic; what is ok has
// each field once and nothing beside a form, and what was read can be written and
// read again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"<username>bill</username><password>secret</password>",
		"<remove/>",
		"<username/><password><![CDATA[a<b]]></password>",
		"<username>a</username><username>b</username>",
		"<x xmlns='jabber:x:data' type='submit'><field var='username'><value>bill</value></field></x>",
		"<username>bill<b/></username><x xmlns='jabber:x:data'/>",
		"text <key>1</key> &amp;",
		"<username xmlns=''>bill</username><q:password xmlns:q='jabber:iq:register'>x</q:password>",
	} {
		f.Add("<iq type='set' id='1'><query xmlns='jabber:iq:register'>" + s + "</query></iq>")
	}
	f.Add("<iq type='set' id='1'/>")
	f.Add("<iq type='set' id='1'><query xmlns='jabber:iq:register'/><query xmlns='jabber:iq:register'/></iq>")
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := mux.Parse([]byte(raw))
		if err != nil {
			return
		}
		q, ok := parse(s)
		if !ok {
			return
		}
		if q.form == nil && q.username != "" && !q.hasUsername || q.password != "" && !q.hasPassword {
			t.Errorf("ok, though %+v", q)
		}
		again, err := mux.Parse([]byte("<iq type='set' id='1'>" + string(fields(false, "", q.username, nil)) + "</iq>"))
		if err != nil {
			t.Fatalf("username %q: %v", q.username, err)
		}
		if r, ok := parse(again); !ok || r.username != q.username {
			t.Errorf("username %q came back as %q, ok %t", q.username, r.username, ok)
		}
	})
}
