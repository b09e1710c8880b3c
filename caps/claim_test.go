package caps_test

import (
	"crypto/sha1"
	"encoding/base64"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
)

func sha1Of(s string) string {
	h := sha1.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

func parse(t testing.TB, text string) *mux.Stanza {
	t.Helper()
	s, err := mux.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	c115    = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://n' ver='v='/>"
	cOld    = "<c xmlns='http://jabber.org/protocol/caps' node='http://n' ver='0.9' ext='a b'/>"
	cMD5    = "<c xmlns='http://jabber.org/protocol/caps' hash='md5' node='http://n' ver='v='/>"
	c390    = "<c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='blake2b-256'>b=</hash><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'> s= </hash></c>"
	c390Odd = "<c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='x.y'>b=</hash><other xmlns='urn:x' algo='sha-256'>s=</other><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'/></c>"
)

func TestAnnounced(t *testing.T) {
	t.Parallel()
	old := caps.Hash{Proto: caps.XEP0115, Algo: "sha-1", Value: "v=", Node: "http://n"}
	md5 := caps.Hash{Proto: caps.XEP0115, Algo: "md5", Value: "v=", Node: "http://n"}
	sha := caps.Hash{Proto: caps.XEP0390, Algo: "sha-256", Value: "s="}
	blake := caps.Hash{Proto: caps.XEP0390, Algo: "blake2b-256", Value: "b="}
	odd := caps.Hash{Proto: caps.XEP0390, Algo: "x.y", Value: "b="}
	for _, c := range []struct {
		name, children string
		want           []caps.Hash
	}{
		{"nothing", "<show>away</show>", nil},
		{"XEP-0115", c115, []caps.Hash{old}},
		{"before hashes", cOld, nil},
		{"both", c115 + c390, []caps.Hash{sha, old, blake}},
		{"unknown function", cMD5, []caps.Hash{md5}},
		{"unknown function of XEP-0390", c115 + c390Odd, []caps.Hash{old, odd}},
		{"too long", strings.Replace(c115, "v=", strings.Repeat("v", 129), 1), nil},
		{"empty set", "<c xmlns='urn:xmpp:caps'/>", nil},
	} {
		if got := caps.Announced(parse(t, "<presence>"+c.children+"</presence>")); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	if got, want := old.QueryNode(), "http://n#v="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := odd.QueryNode(), "urn:xmpp:caps#x.y.b="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		node string
		want caps.Hash
	}{
		{"urn:xmpp:caps#sha-256.s=", caps.Hash{Proto: caps.XEP0390, Algo: "sha-256", Value: "s="}},
		{"urn:xmpp:caps#x.y.s=", caps.Hash{Proto: caps.XEP0390, Algo: "x.y", Value: "s="}},
		{"urn:xmpp:caps#.s=", caps.Hash{}}, {"urn:xmpp:caps#x.", caps.Hash{}}, {"urn:xmpp:caps#x", caps.Hash{}}, {"http://n#s.=", caps.Hash{}}, {"", caps.Hash{}},
	} {
		if got, ok := caps.ParseNode(c.node); got != c.want || ok != (c.want != caps.Hash{}) {
			t.Errorf("%s: got %+v, %t", c.node, got, ok)
		}
	}
}

// wellFormed has another parser read an element.
func wellFormed(t testing.TB, text string) {
	t.Helper()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	cmd := exec.CommandContext(t.Context(), path, "--noout", "--nonet", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %s, error %v", text, out, err)
	}
}

func TestAnnouncer(t *testing.T) {
	t.Parallel()
	a := &caps.Announcer{Node: "https://client.example/?a&b='<"}
	if a.Presence() != "" {
		t.Error("something is announced")
	}
	if _, ok := a.Answer(""); ok {
		t.Error("something is answered")
	}
	var nodes []string
	for k := range 6 {
		i := &caps.Info{Lang: "de", Identities: []caps.Identity{{Category: "client", Type: "pc", Name: "A & B"}},
			Features: []string{"urn:a", "urn:" + string(rune('b'+k)) + "&'\""},
			Forms:    []caps.Form{{Fields: []caps.Field{{Var: "FORM_TYPE", Type: "hidden", Values: []string{"urn:f"}}, {Var: "x", Values: []string{"1&", ""}}}}}}
		if changed, err := a.Set(i); err != nil || !changed {
			t.Fatalf("changed %t, error %v", changed, err)
		}
		if changed, err := a.Set(i); err != nil || changed {
			t.Fatalf("again: changed %t, error %v", changed, err)
		}
		p := parse(t, "<presence>"+string(a.Presence())+"</presence>")
		wellFormed(t, "<presence>"+string(a.Presence())+"</presence>")
		list := caps.Announced(p)
		if len(list) != 3 || list[0].Algo != "sha-256" || list[2].Algo != "sha-1" {
			t.Fatalf("announced %+v", list)
		}
		for _, h := range list {
			q, ok := a.Answer(h.QueryNode())
			if !ok {
				t.Fatalf("no answer for %+v", h)
			}
			wellFormed(t, string(q))
			if err := caps.Verify(info(t, string(q)), h); err != nil {
				t.Errorf("%+v: %v", h, err)
			}
			if el := parse(t, string(q)); el.Attr("node") != h.QueryNode() {
				t.Errorf("node %q", el.Attr("node"))
			}
		}
		nodes = append(nodes, list[2].QueryNode())
	}
	for k, n := range nodes {
		if _, ok := a.Answer(n); ok != (k >= 2) {
			t.Errorf("version %d: answered %t", k, ok)
		}
	}
	if q, ok := a.Answer(""); !ok || strings.Contains(string(q), "node=") {
		t.Errorf("answer without a node: %s", q)
	}
	if _, ok := a.Answer("urn:other"); ok {
		t.Error("a node of somebody else is answered")
	}
	if _, err := a.Set(&caps.Info{Features: []string{"a", "a"}}); err == nil {
		t.Error("no error for an info that cannot be hashed")
	}
}
