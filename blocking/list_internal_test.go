package blocking

import (
	"errors"
	"strings"
	"testing"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// listOf is a list with items separated by spaces.
func listOf(items string) *list {
	l := &list{loaded: true}
	for _, i := range strings.Fields(items) {
		l.add(mux.MustParseAddress(i))
	}
	return l
}

// TestMatches: XEP-0191 §5, core-im BL-3.
func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, items, address string
		want                 bool
	}{
		{"nothing", "", "romeo@example.org/orchard", false},
		{"full by full", "romeo@example.org/orchard", "romeo@example.org/orchard", true},
		{"other resource by full", "romeo@example.org/orchard", "romeo@example.org/tomb", false},
		{"resources have case", "romeo@example.org/orchard", "romeo@example.org/Orchard", false},
		{"bare by full", "romeo@example.org/orchard", "romeo@example.org", false},
		{"domain by full", "romeo@example.org/orchard", "example.org", false},
		{"full by bare", "romeo@example.org", "romeo@example.org/orchard", true},
		{"bare by bare", "romeo@example.org", "romeo@example.org", true},
		{"prepared", "Romeo@EXAMPLE.org", "romeo@example.ORG/x", true},
		{"other localpart", "romeo@example.org", "paris@example.org/orchard", false},
		{"domain by bare", "romeo@example.org", "example.org", false},
		{"place by place", "example.org/orchard", "example.org/orchard", true},
		{"other place by place", "example.org/orchard", "example.org/tomb", false},
		{"full by place", "example.org/orchard", "romeo@example.org/orchard", true},
		{"other full by place", "example.org/orchard", "romeo@example.org/tomb", false},
		{"bare by place", "example.org/orchard", "romeo@example.org", false},
		{"domain by place", "example.org/orchard", "example.org", false},
		{"domain by domain", "example.org", "example.org", true},
		{"place by domain", "example.org", "example.org/orchard", true},
		{"bare by domain", "example.org", "romeo@example.org", true},
		{"full by domain", "example.org", "romeo@example.org/orchard", true},
		{"below the domain", "example.org", "romeo@rooms.example.org", false},
		{"above the domain", "rooms.example.org", "romeo@example.org", false},
		{"end of the domain", "example.org", "romeo@anexample.org", false},
		{"resource like an address", "example.org/romeo@example.com", "romeo@example.com", false},
		{"resource with a slash", "example.org/a/b", "x@example.org/a/b", true},
		{"one of several", "example.com romeo@example.org", "romeo@example.org/x", true},
		{"none of several", "example.com romeo@example.org", "paris@example.org/x", false},
		{"long resource", "example.org/" + strings.Repeat("x", 1023), "romeo@example.org/" + strings.Repeat("x", 1023), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listOf(tt.items)
			if got := l.matches(mux.MustParseAddress(tt.address)); got != tt.want {
				t.Errorf("%q matches %s: %t, want %t", tt.items, tt.address, got, tt.want)
			}
		})
	}
	if listOf("example.org").matches(mux.Address{}) {
		t.Error("no address is blocked")
	}
}

// TestExempt: core-im BL-3.
func TestExempt(t *testing.T) {
	t.Parallel()
	account := mux.MustParseAddress("juliet@example.net")
	for address, want := range map[string]bool{
		"juliet@example.net": true, "juliet@example.net/balcony": true, "example.net": true, "example.net/x": true,
		"romeo@example.net": false, "juliet@example.org": false, "example.org": false, "juliet@rooms.example.net": false, "rooms.example.net": false,
	} {
		if got := exempt(account, mux.MustParseAddress(address)); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
	if !exempt(account, mux.Address{}) {
		t.Error("no address is not exempt")
	}
}

// TestListCounts: what is counted is what is there.
func TestListCounts(t *testing.T) {
	t.Parallel()
	l := listOf("a.org a.org/x b@a.org a.org")
	other := l.clone()
	l.remove(mux.MustParseAddress("a.org/x"))
	l.remove(mux.MustParseAddress("a.org/x"))
	if len(l.items) != 2 || l.bytes != len("a.org")+len("b@a.org") || l.places != 0 {
		t.Errorf("%+v", l)
	}
	if len(other.items) != 3 || other.places != 1 {
		t.Errorf("the copy has changed: %+v", other)
	}
}

func TestAllocMatches(t *testing.T) {
	l := listOf("a.org/x b@c.org d.org romeo@example.org/tomb")
	for _, text := range []string{"romeo@example.org/orchard", "example.org", "romeo@example.org"} {
		a := mux.MustParseAddress(text)
		if n := testing.AllocsPerRun(100, func() {
			if l.matches(a) {
				t.Error("matches")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	l := listOf("a.org/x")
	for i := range 5000 {
		l.add(mux.MustParseAddress("spam" + strings.Repeat("x", i%10) + string(rune('a'+i%26)) + "@example.org"))
	}
	a := mux.MustParseAddress("romeo@example.org/orchard")
	b.ReportAllocs()
	for b.Loop() {
		l.matches(a)
	}
}

// FuzzSet: whatever a set holds, it is read without a panic; what is accepted is
// prepared, has no repetitions, and reads the same when it is written.
func FuzzSet(f *testing.F) {
	for _, s := range []string{
		"<block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block>",
		"<unblock xmlns='urn:xmpp:blocking'/>",
		"<block xmlns='urn:xmpp:blocking'><item jid='A@b/&lt;&amp;&apos;'/><item jid='a@b/x'/>text<item jid='a@B/x'/></block>",
		"<block xmlns='urn:xmpp:blocking'><item/><item jid=''/></block>",
		"<block xmlns='urn:xmpp:blocking'><item jid='a'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><item jid='b'/></report></item></block>",
		"<b:block xmlns:b='urn:xmpp:blocking'><b:item jid='a' b:jid='c'/><item jid='d'/></b:block>",
		"<block xmlns='urn:xmpp:blocking'><item jid='@'/></block>",
	} {
		f.Add("<iq type='set' id='1'>" + s + "</iq>")
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := mux.Parse([]byte(raw))
		if err != nil || len(s.Children()) == 0 {
			return
		}
		items, _, err := readSet(s.Children()[0].TokenReader())
		if err != nil {
			var se stanza.Error
			if !errors.As(err, &se) || se.Condition != stanza.BadRequest && se.Condition != stanza.JIDMalformed {
				t.Errorf("error %v", err)
			}
			return
		}
		seen := make(map[mux.Address]bool)
		for _, a := range items {
			if again, err := mux.ParseAddress(a.String()); err != nil || again != a || seen[a] {
				t.Errorf("%q: reads as %q, error %v, seen %t", a, again, err, seen[a])
			}
			seen[a] = true
		}
		again, other, err := readSet(element(blockName, items).TokenReader())
		if err != nil || other || len(again) != len(items) {
			t.Fatalf("%v came back as %v, error %v", items, again, err)
		}
		for i := range items {
			if again[i] != items[i] {
				t.Errorf("%v came back as %v", items, again)
			}
		}
	})
}
