package pep

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// FuzzRequest: whatever a request holds, it is read without a panic, its node as it was
// written, and an item comes out as one well-formed element that says the same again.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"<publish node='n'><item id='1'><x xmlns='urn:x'/></item></publish>",
		"<publish node='n'><item id='&lt;&#xa;&apos;'><p:x xmlns:p='urn:x' p:a='1' xml:lang='de'>a<![CDATA[<b>]]> <y xmlns=''/></p:x></item></publish><publish-options/>",
		"<publish node='n'><item><x xmlns='jabber:client'/><y/></item></publish>",
		"<items node='n' max_items='3'><item id='a'/><item/></items><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before/></set>",
		"<create/><configure node='x'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>a</value></field></x></configure>",
		"<subscribe node='n' jid='a@b'/><options><x xmlns='jabber:x:data'/></options>",
		"<retract node='n' notify='1'><item id='1'/></retract>",
		"text", "<q:items xmlns:q='http://jabber.org/protocol/pubsub' q:node='a'/>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		s, err := mux.Parse([]byte("<iq type='set' id='1'><pubsub xmlns='" + NS + "'>" + inner + "</pubsub></iq>"))
		if err != nil {
			return
		}
		_ = named(s)
		q, err := parse(s)
		if err != nil {
			return
		}
		if len(q.node) > maxName {
			t.Errorf("node of %d octets", len(q.node))
		}
		_, _ = q.ids()
		if q.form != nil {
			for _, typ := range []string{"node_config", "publish-options"} {
				checkForm(t, q.form, typ)
			}
			p := new(Peer)
			_ = p.options(q.form)
		}
		for _, g := range q.given() {
			checkItem(t, g)
		}
	})
}

func checkItem(t *testing.T, g mux.Child) {
	t.Helper()
	p, err := payload(g)
	if err != nil {
		return
	}
	i := &Item{Entry: Entry{ID: g.Attr("id")}, Payload: p}
	c := defaultConfig()
	n := &node{Node: Node{Name: i.ID, Config: c}}
	m := message(mux.MustParseAddress("a@b"), &c, itemsEvent(n, i))
	whole, err := mux.Parse(m.Append(nil, mux.NSClient))
	if err != nil {
		t.Fatalf("%s: event %s: %v", p, m.Append(nil, ""), err)
	}
	ev, err := whole.Children()[0].Element()
	if err != nil {
		t.Fatal(err)
	}
	items, err := ev.Children()[0].Element()
	if err != nil || items.Attr("node") != i.ID || len(items.Children()) != 1 || items.Children()[0].Attr("id") != i.ID {
		t.Fatalf("event %s, error %v", m.Append(nil, ""), err)
	}
	again, err := payload(items.Children()[0])
	if err != nil || again != p {
		t.Errorf("%q became %q, error %v", p, again, err)
	}
}

// checkForm: a configuration that a form makes is kept as it is, and shown as it is.
func checkForm(t *testing.T, f *formData, typ string) {
	t.Helper()
	fields, err := f.submitted(typ)
	if err != nil {
		return
	}
	c := defaultConfig()
	if c.apply(fields, unlimited, errOutOfRange) != nil {
		return
	}
	sameConfig(t, c)
	if name, err := c.differs(fields); err == nil && name != "" {
		t.Errorf("%s differs from what was set", name)
	}
}

func sameConfig(t *testing.T, c Config) {
	t.Helper()
	got := DecodeConfig(c.Encode())
	for i := range nodeFields {
		f := &nodeFields[i]
		if a, b := strings.Join(f.values(&c), "\x00"), strings.Join(f.values(&got), "\x00"); a != b {
			t.Errorf("%s: %q became %q", f.name, a, b)
		}
	}
	if _, err := mux.Parse(c.appendForm(nil, "form", unlimited)); err != nil {
		t.Errorf("form: %v", err)
	}
}

// FuzzConfig: any texts are kept and shown as they are.
func FuzzConfig(f *testing.F) {
	f.Add("title", "a\\n\nb=c", "G\\", 7)
	f.Add("", "&<>'\"\r", "", -1)
	f.Add("a", "b", "\x94", 0)
	f.Fuzz(func(t *testing.T, title, description, group string, n int) {
		c := defaultConfig()
		l := []formField{
			{Var: "pubsub#title", Values: []string{title}}, {Var: "pubsub#description", Values: []string{description}},
			{Var: "pubsub#roster_groups_allowed", Values: []string{group, description}},
		}
		if c.apply(l, unlimited, errOutOfRange) != nil {
			return
		}
		c.MaxItems = max(Max, n%1000)
		sameConfig(t, c)
		_ = DecodeConfig(title + "\n" + description)
	})
}
