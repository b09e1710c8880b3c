package bookmarks_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const ns = "xmlns='urn:xmpp:bookmarks:1'"

// TestPayload: bookmarks are read and written again with all that is unknown of them
// (XEP-0402 §2, §3.4).
func TestPayload(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ payload, fields, written string }{
		"empty":         {"<conference " + ns + "/>", "  false  0", ""},
		"all":           {"<conference " + ns + " name='A &amp; B' autojoin='1'><nick>J&lt;</nick><password> p </password></conference>", "A & B J< true  p  0", "<conference " + ns + " name='A &amp; B' autojoin='true'><nick>J&lt;</nick><password> p </password></conference>"},
		"not a boolean": {"<conference " + ns + " autojoin='yes'/>", "  false  0", "<conference " + ns + "/>"},
		"prefixed":      {"<b:conference xmlns:b='urn:xmpp:bookmarks:1' autojoin='true' name='n'><b:nick>J</b:nick></b:conference>", "n J true  0", "<conference " + ns + " name='n' autojoin='true'><nick>J</nick></conference>"},
		"extensions":    {"<conference " + ns + "><extensions><s xmlns='urn:x' a='1'>text <i/> mixed</s><t xmlns=''/></extensions></conference>", "  false  2", ""},
		"unknown": {"<conference " + ns + " x:z='1' y='2' xml:lang='de' xmlns:x='urn:x'><later/><x:z x:y='1'/><extensions q='3' x:q='4'/></conference>", "  false  0",
			"<conference " + ns + " x:z='1' y='2' xml:lang='de' xmlns:x='urn:x'><later/><x:z x:y='1'/><extensions q='3' x:q='4'/></conference>"},
		"no bookmark":     {"<conference xmlns='urn:x'/>", "error", ""},
		"another element": {"<x " + ns + "/>", "error", ""},
		"no element":      {"text", "error", ""},
		"two":             {"<conference " + ns + "/><conference " + ns + "/>", "error", ""},
		"":                {"", "error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := bookmarks.Parse("a@b.example", mux.Raw(tt.payload))
			fields := fmt.Sprint(b.Name, " ", b.Nick, " ", b.Autojoin, " ", b.Password, " ", len(b.Extensions))
			if err != nil {
				fields = "error"
			}
			if fields != tt.fields {
				t.Fatalf("got %s, want %s", fields, tt.fields)
			}
			if err != nil {
				return
			}
			if tt.written == "" {
				tt.written = tt.payload
			}
			if err := muxtest.Match(tt.written, string(b.Payload()), nil); err != nil {
				t.Errorf("wrote %s: %v", b.Payload(), err)
			}
		})
	}
}

// TestParseList: what an old list says (XEP-0048 §2).
func TestParseList(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ list, rooms, rest string }{
		"empty":       {list(""), "", ""},
		"white space": {list(" \n "), "", ""},
		"text":        {list("x"), "error", ""},
		"not a list":  {"<storage xmlns='urn:x'/>", "error", ""},
		"nothing":     {"", "error", ""},
		"rooms":       {list("<conference jid='A@b.example' name='n'/><conference jid='c@b.example/r'/>"), "A@b.example=n c@b.example/r=", ""},
		"twice":       {list("<conference jid='a@b.example' name='1'/><conference jid='x@b.example'/><conference jid='A@B.example' name='2'/>"), "A@B.example=2 x@b.example=", ""},
		"pages":       {list("<url url='u:1'/><conference jid='a@b.example'/><url url='u:2'/>"), "a@b.example=", "url url"},
		"too long":    {list("<conference jid='a@" + strings.Repeat("b.", 512) + "example'/><conference jid='a@b.example/" + strings.Repeat("r", 1013) + "'/>"), "", "conference conference"},
		"as long":     {list("<conference jid='a@b.example/" + strings.Repeat("r", 1012) + "'/>"), "a@b.example/" + strings.Repeat("r", 1012) + "=", ""},
		"malformed":   {list("<conference/><conference jid=''/><conference jid='@'/><conference xmlns='urn:xmpp:bookmarks:1' jid='a@b.example'/><x/>"), "", "conference conference conference conference x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := bookmarks.ParseList(mux.Raw(tt.list))
			var rooms, rest []string
			for i := range l.Rooms {
				rooms = append(rooms, l.Rooms[i].Room+"="+l.Rooms[i].Name)
			}
			for _, c := range l.Rest {
				rest = append(rest, c.Name.Local)
			}
			if err != nil {
				rooms = []string{"error"}
			}
			if got := strings.Join(rooms, " "); got != tt.rooms {
				t.Errorf("rooms are %s, want %s", got, tt.rooms)
			}
			if got := strings.Join(rest, " "); got != tt.rest {
				t.Errorf("the rest is %s, want %s", got, tt.rest)
			}
		})
	}
}

// item is a bookmark by its room and what is inside its element.
func item(t testing.TB, room, inner string) bookmarks.Bookmark {
	t.Helper()
	b, err := bookmarks.Parse(room, mux.Raw(inner))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDiff: what an old list means for the items (XEP-0402 §5.3.2, BM-5, BM-6).
func TestDiff(t *testing.T) {
	t.Parallel()
	have := []bookmarks.Bookmark{
		item(t, "a@x.example", "<conference "+ns+" name='A' autojoin='1'><nick>J</nick><extensions><s xmlns='urn:s' k='1'/><u xmlns='urn:u'/></extensions></conference>"),
		item(t, "B@x.example", "<conference "+ns+" z='1'><later/></conference>"),
		item(t, "no address@@", "<conference "+ns+" name='hidden'/>"),
	}
	const a, b = "<conference jid='a@x.example' name='A' autojoin='true'><nick>J</nick></conference>", "<conference jid='b@x.example'/>"
	for name, tt := range map[string]struct{ list, put, remove string }{
		"nothing new":      {a + b, "", ""},
		"another order":    {b + a, "", ""},
		"as it was shown":  {"<conference jid='a@x.example' autojoin='true' name='A'><nick>J</nick><p:s xmlns:p='urn:s' k='1'/><u xmlns='urn:u'></u></conference>" + b, "", ""},
		"one less":         {a, "", "B@x.example"},
		"none":             {"", "", "a@x.example B@x.example"},
		"one more":         {a + b + "<conference jid='C@x.example' autojoin='1' minimize='1'><k xmlns='urn:k'/></conference>", "c@x.example: <conference " + ns + " autojoin='true' minimize='1'><extensions><k xmlns='urn:k'/></extensions></conference>", ""},
		"another name":     {"<conference jid='a@x.example' name='AA' autojoin='1'><nick>J</nick></conference>" + b, "a@x.example: <conference " + ns + " name='AA' autojoin='true'><nick>J</nick><extensions><s xmlns='urn:s' k='1'/><u xmlns='urn:u'/></extensions></conference>", ""},
		"fields go":        {"<conference jid='a@x.example'/>" + b, "a@x.example: <conference " + ns + "><extensions><s xmlns='urn:s' k='1'/><u xmlns='urn:u'/></extensions></conference>", ""},
		"another value":    {"<conference jid='a@x.example' name='A' autojoin='1'><nick>J</nick><s xmlns='urn:s' k='2'/></conference>" + b, "a@x.example: <conference " + ns + " name='A' autojoin='true'><nick>J</nick><extensions><s xmlns='urn:s' k='2'/><u xmlns='urn:u'/></extensions></conference>", ""},
		"under its ID":     {a + "<conference jid='b@x.example' name='B'/>", "B@x.example: <conference " + ns + " name='B' z='1'><later/></conference>", ""},
		"pages":            {a + "<url url='u:1'/>", "", "B@x.example"},
		"not understood":   {a + "<conference jid='b x.example'/>", "", ""},
		"known before":     {a + "<odd/>", "", "B@x.example"},
		"another language": {"<conference xmlns='urn:xmpp:bookmarks:1' jid='a@x.example'/>", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, err := bookmarks.ParseList(mux.Raw(list("<odd></odd>")))
			if err != nil {
				t.Fatal(err)
			}
			l, err := bookmarks.ParseList(mux.Raw(list(tt.list)))
			if err != nil {
				t.Fatal(err)
			}
			c := bookmarks.Diff(have, before.Rest, &l)
			if got := strings.Join(c.Remove, " "); got != tt.remove {
				t.Errorf("removes %s, want %s", got, tt.remove)
			}
			if len(c.Put) != strings.Count(tt.put, ": ") {
				t.Fatalf("puts %d", len(c.Put))
			}
			for i := range c.Put {
				room, payload, _ := strings.Cut(tt.put, ": ")
				if err := muxtest.Match(payload, string(c.Put[i].Payload()), nil); err != nil || c.Put[i].Room != room {
					t.Errorf("puts %s: %s, want %s: %v", c.Put[i].Room, c.Put[i].Payload(), tt.put, err)
				}
			}
		})
	}
}

// TestOutputIsXML: what is written is well-formed for others too.
func TestOutputIsXML(t *testing.T) {
	t.Parallel()
	b := item(t, "a@x.example", "<conference "+ns+" name='&amp;&lt;&apos;&quot;&#xA;' q:z='1' xmlns:q='urn:q'><nick>]]&gt;</nick><x xmlns=''/><extensions><p:y xmlns:p='urn:p' p:a='1'><z/></p:y></extensions></conference>")
	l := bookmarks.List{Rooms: []bookmarks.Bookmark{b}}
	cmd := exec.Command("xmllint", "--nonet", "--noout", "-")
	cmd.Stdin = strings.NewReader("<all>" + string(b.Payload()) + string(l.Compose()) + "</all>")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := bookmarks.ParseList(l.Compose()); err != nil {
		t.Errorf("%s: %v", l.Compose(), err)
	}
}

// FuzzParse: whatever a payload says, what is written of it says the same, and so does
// the old list.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"<conference " + ns + "/>", "<conference " + ns + " name='n' autojoin='1' q:z='1' xmlns:q='u'><nick>n</nick><password>p</password><x/><extensions a='1'><y xmlns=''/></extensions></conference>",
		"<c:conference xmlns:c='urn:xmpp:bookmarks:1'><c:nick>a<b/></c:nick></c:conference>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := bookmarks.Parse("a@b.example", mux.Raw(s))
		if err != nil {
			return
		}
		// Written once it has the declarations of all its parts, and stays as it is.
		for range 2 {
			again, err := bookmarks.Parse("a@b.example", b.Payload())
			if err != nil {
				t.Fatalf("%s: %v", b.Payload(), err)
			}
			if err := muxtest.Match(string(b.Payload()), string(again.Payload()), nil); err != nil && !strings.ContainsAny(s, "*$") {
				t.Fatalf("%s became %s: %v", b.Payload(), again.Payload(), err)
			}
			b = again
		}
		if again, err := bookmarks.Parse("a@b.example", b.Payload()); err != nil || again.Payload() != b.Payload() {
			t.Fatalf("%s became %s, %v", b.Payload(), again.Payload(), err)
		}
		l := bookmarks.List{Rooms: []bookmarks.Bookmark{b}}
		got, err := bookmarks.ParseList(l.Compose())
		if err != nil || len(got.Rooms) != 1 {
			t.Fatalf("%s: %v", l.Compose(), err)
		}
		if c := bookmarks.Diff(l.Rooms, nil, &got); len(c.Put)+len(c.Remove) > 0 {
			t.Fatalf("%s is another bookmark than %s", c.Put[0].Payload(), b.Payload())
		}
	})
}

// FuzzParseList: whatever a list says, it says the same when it is written.
func FuzzParseList(f *testing.F) {
	for _, s := range []string{
		list(""), list("<conference jid='a@b' name='n' autojoin='1' x='y'><nick>n</nick><password>p</password><x xmlns='u'/><extensions><y/></extensions></conference><url url='u'/>"),
		list("<conference jid='a@b'/><conference jid='A@b'/><conference/>text"),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := bookmarks.ParseList(mux.Raw(s))
		if err != nil {
			return
		}
		again, err := bookmarks.ParseList(l.Compose())
		if err != nil {
			t.Fatalf("%s: %v", l.Compose(), err)
		}
		if again.Compose() != l.Compose() {
			t.Fatalf("%s became %s", l.Compose(), again.Compose())
		}
		c := bookmarks.Diff(nil, nil, &l)
		if len(c.Put) != len(l.Rooms) {
			t.Fatalf("of %d rooms %d are put", len(l.Rooms), len(c.Put))
		}
		for i := range c.Put {
			if _, err := bookmarks.Parse(c.Put[i].Room, c.Put[i].Payload()); err != nil {
				t.Fatalf("%s: %v", c.Put[i].Payload(), err)
			}
		}
		if c := bookmarks.Diff(c.Put, l.Rest, &l); len(c.Put)+len(c.Remove) > 0 {
			t.Fatalf("not the same: %v %v", c.Put, c.Remove)
		}
	})
}

// TestLarge: lists as large as stanzas are compared in time that grows with them.
func TestLarge(t *testing.T) {
	t.Parallel()
	var odd, inner strings.Builder
	for i := range 4_000 {
		fmt.Fprintf(&odd, "<o%d/>", i)
		fmt.Fprintf(&inner, "<o%d xmlns='urn:x'/>", i)
	}
	l, err := bookmarks.ParseList(mux.Raw(list(odd.String() + "<conference jid='a@x.example'>" + inner.String() + "</conference>")))
	if err != nil {
		t.Fatal(err)
	}
	have := []bookmarks.Bookmark{item(t, "a@x.example", "<conference "+ns+"/>"), item(t, "b@x.example", "<conference "+ns+"/>")}
	c := bookmarks.Diff(have, l.Rest, &l)
	if len(c.Put) != 1 || len(c.Put[0].Extensions) != 4_000 || len(c.Remove) != 1 {
		t.Errorf("puts %d, removes %d", len(c.Put), len(c.Remove))
	}
	if again := bookmarks.Diff(c.Put, l.Rest, &l); len(again.Put) > 0 {
		t.Error("it is not the same")
	}
}
