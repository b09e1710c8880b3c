package archive

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
)

func parse(t testing.TB, text string) *mux.Stanza {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// TestWorth is what is archived (MAM-10).
func TestWorth(t *testing.T) {
	t.Parallel()
	const (
		body  = "<body>x</body>"
		store = "<store xmlns='urn:xmpp:hints'/>"
		no    = "<no-store xmlns='urn:xmpp:hints'/>"
		noPer = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
		state = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
	)
	for _, tt := range []struct {
		name, typ, in string
		want          bool
	}{
		{"body", "", body, true},
		{"chat", "chat", body, true},
		{"unknown type counts as normal", "x", body, true},
		{"empty body", "", "<body/>", true},
		{"subject and body", "", "<subject>s</subject>" + body, true},
		{"subject alone", "", "<subject>s</subject>", false},
		{"body of another namespace", "", "<body xmlns='urn:x'/>", false},
		{"nothing", "chat", "", false},
		{"groupchat", "groupchat", body, false},
		{"headline", "headline", body + store, false},
		{"error", "error", body, false},
		{"chat state", "chat", state, false},
		{"chat state with body", "chat", body + state, true},
		{"no-store", "chat", body + no, false},
		{"no-permanent-store", "chat", body + noPer, false},
		{"both", "chat", body + store + no, false},
		{"store", "chat", "<x xmlns='urn:x'/>" + store, true},
		{"store alone", "", store, true},
		{"no-copy says nothing", "chat", body + "<no-copy xmlns='urn:xmpp:hints'/>", true},
		{"encrypted, named", "chat", "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/>", true},
		{"OMEMO", "chat", "<encrypted xmlns='eu.siacs.conversations.axolotl'/>", true},
		{"OMEMO 2", "chat", "<encrypted xmlns='urn:xmpp:omemo:2'/>", true},
		{"OX", "chat", "<openpgp xmlns='urn:xmpp:openpgp:0'/>", true},
		{"PGP", "chat", "<x xmlns='jabber:x:encrypted'/>", true},
		{"receipt", "", "<received xmlns='urn:xmpp:receipts' id='1'/>", true},
		{"request of a receipt", "", "<request xmlns='urn:xmpp:receipts'/>", false},
		{"marker", "chat", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", true},
		{"markable", "chat", "<markable xmlns='urn:xmpp:chat-markers:0'/>", false},
		{"retraction", "chat", "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", true},
		{"correction", "chat", "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", true},
		{"reactions", "chat", "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", true},
		{"call", "chat", "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", true},
		{"invitation", "", "<x xmlns='jabber:x:conference' jid='r@c'/>", true},
		{"mediated invitation", "", "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>", true},
		{"refused invitation", "", "<x xmlns='http://jabber.org/protocol/muc#user'><decline from='a@b'/></x>", true},
		{"mark of a room", "chat", "<x xmlns='http://jabber.org/protocol/muc#user'/>", false},
		{"private message of a room", "chat", body + "<x xmlns='http://jabber.org/protocol/muc#user'/>", true},
		{"archive's result", "", "<result xmlns='urn:xmpp:mam:2' id='1'/>" + store, false},
		{"carbon", "chat", "<sent xmlns='urn:xmpp:carbons:2'/>" + store, false},
		{"event", "", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>", false},
		{"event with more", "", "<event xmlns='http://jabber.org/protocol/pubsub#event'/><encryption xmlns='urn:xmpp:eme:0'/>", false},
		{"event to be stored", "", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>" + store, true},
	} {
		s := parse(t, "<message xmlns='jabber:client' type='"+tt.typ+"'>"+tt.in+"</message>")
		if got := worth(s.Type(), contentOf(s), false); got != tt.want {
			t.Errorf("%s: got %t", tt.name, got)
		}
	}
	bounce := contentOf(parse(t, "<message xmlns='jabber:client' type='error'><error type='cancel'/></message>"))
	for _, tt := range []struct {
		c       content
		answers bool
		want    bool
	}{{bounce, true, true}, {bounce, false, false}, {0, true, false}, {bounce | hasNoStore, true, false}} {
		if got := worth("error", tt.c, tt.answers); got != tt.want {
			t.Errorf("error with %b, answers %t: got %t", tt.c, tt.answers, got)
		}
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	seen := make(map[string]bool)
	for range 1000 {
		id := newID(at)
		if len(id) != 26 || seen[id] || strings.ToLower(id) != id {
			t.Fatalf("got %q", id)
		}
		seen[id] = true
	}
	for i := range 1000 {
		if a, b := newID(at), newID(at.Add(time.Second)); a >= b {
			t.Fatalf("%q is not before %q", a, b)
		}
		at = at.Add(time.Duration(i) * time.Hour)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"2010-06-07T00:00:00Z":          1275868800000,
		"2010-06-07T00:00:00.5Z":        1275868800500,
		"2010-06-07T02:30:00.25+02:30":  1275868800250,
		"2010-06-06T23:00:00.001-01:00": 1275868800001,
	} {
		if got, err := parseTime(text); err != nil || got.UnixMilli() != want {
			t.Errorf("%s: got %v, error %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "2010-06-07", "2010-06-07T00:00:00", "2010-06-07t00:00:00z", "2010-13-07T00:00:00Z", "2010-06-07T24:00:00Z", "2010-06-07T00:00:00,5Z", " 2010-06-07T00:00:00Z", "0000-01-01T00:00:00Z"} {
		if got, err := parseTime(text); err == nil {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if got, err := parseTime("0001-01-01T00:00:00Z"); err != nil || got.IsZero() {
		t.Errorf("the zero time: got %v, error %v", got, err)
	}
}

// TestTake: a client believes results of whom it has asked only (XEP-0313 §8.2).
func TestTake(t *testing.T) {
	t.Parallel()
	own := mux.MustParseAddress("juliet@example.net")
	result := func(from, query, id string) *mux.Stanza {
		return parse(t, "<message xmlns='jabber:client'"+from+"><result xmlns='urn:xmpp:mam:2' queryid='"+query+"' id='"+id+
			"'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>x</body></message></forwarded></result></message>")
	}
	c := new(Client)
	p := &pageOf{from: own, most: 3, more: make(chan struct{}, 1)}
	if err := c.expect("q", p); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*mux.Stanza{
		result(" from='juliet@example.net'", "q", "1"), result("", "q", "2"), // these are right
		result(" from='juliet@example.net/x'", "q", "no"), result(" from='example.net'", "q", "no"), result(" from='romeo@example.net'", "q", "no"),
		result(" from='juliet@example.net'", "other", "no"), result(" from='juliet@example.net'", "", "no"), result("", "q", ""),
		parse(t, "<message xmlns='jabber:client'><result xmlns='urn:xmpp:mam:2' queryid='q' id='no'/></message>"),
		parse(t, "<message xmlns='jabber:client'><result xmlns='urn:xmpp:mam:2' queryid='q' id='no'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client'/></forwarded></result></message>"),
		result("", "q", "3"), result("", "q", "4"), // too many
	} {
		if !c.take(s, own) {
			t.Errorf("passed on: %s", s.Append(nil, ""))
		}
	}
	if got, ok := c.whole(p, "1", "3"); !ok || len(got) != 3 {
		t.Errorf("got %+v", p.messages)
	}
	if c.take(parse(t, "<message xmlns='jabber:client'><body>x</body></message>"), own) {
		t.Error("took a message that is no result")
	}
	c.forget("q")
	if len(c.waiting) > 0 {
		t.Error("it still waits")
	}
}

// TestPrefsCache: what is remembered of preferences is bounded, with their lists.
func TestPrefsCache(t *testing.T) {
	t.Parallel()
	var c prefsCache
	long := &Prefs{Never: make([]mux.Address, maxListed)}
	for i := range 100 {
		c.put(mux.MustParseAddress(fmt.Sprintf("a%d@example.net", i)), long)
	}
	if n := maxCached / (maxListed + 1); len(c.m) != n || c.size != n*(maxListed+1) {
		t.Errorf("%d accounts count %d", len(c.m), c.size)
	}
	for account := range c.m {
		c.put(account, new(Prefs))
		c.forget(account)
	}
	if c.size != 0 {
		t.Errorf("nothing counts %d", c.size)
	}
}
