package sasl2_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
)

// The tests of this file are named by the numbers of the attack scenarios in the
// conformance ledger.

// countedStore counts what a client makes it do.
type countedStore struct {
	sasl2.Memory
	reads, writes int
}

func (c *countedStore) Clients(ctx context.Context, a mux.Address) ([]sasl2.Client, error) {
	c.reads++
	return c.Memory.Clients(ctx, a)
}

func (c *countedStore) Put(ctx context.Context, a mux.Address, cl sasl2.Client, k sasl2.Keep) error {
	c.writes++
	return c.Memory.Put(ctx, a, cl, k)
}

// TestAttack13Token: who has no token learns nothing of an account: features,
// answers and what the stores are asked for are the same for one that exists, with
// tokens or without, one that is disabled and one that does not exist.
func TestAttack13Token(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(countedStore)
		site := fasts(t, func(s *setup) { s.store = store; s.opt.NoPipelining = true })
		for _, x := range []struct {
			name     string
			disabled bool
		}{{"lonely", false}, {"banned", true}} {
			site.auth.accounts[x.name+"@example.net"] = &account{password: "x", generation: 9, disabled: x.disabled, lacks: tasks}
		}
		site.issue()                              // to romeo
		hashed, octets := 0, make(map[string]int) // by mechanism
		site.x.Hashed(&hashed)
		var want string
		for _, tt := range []attempt{
			{user: "romeo"},                // another token than its own
			{user: "romeo", agent: agentB}, // another client
			{user: "lonely"}, {user: "banned"}, {user: "nobody"},
			{user: "romeo", mechanism: none}, {user: "nobody", mechanism: none},
		} {
			tt.token, tt.attrs = "guessed", " count='5'"
			header := strings.ReplaceAll(expand("{romeo}"), "romeo", tt.user)
			store.reads, store.writes, site.auth.asked, hashed = 0, 0, 0, 0
			p := site.connect()
			p.send(header)
			features := p.raw()
			_, features, _ = strings.Cut(features, "<stream:features>")
			p.send(tt.text())
			got := fmt.Sprintf("%d reads, %d writes, %d look-ups: %s %s", store.reads, store.writes, site.auth.asked, features, p.take())
			p.stop()
			if want == "" {
				want = got
			}
			if n, seen := octets[tt.mechanism]; seen && n != hashed || hashed < 100 {
				t.Errorf("%s with %s: %d octets hashed, others %d", tt.user, tt.mechanism, hashed, n)
			}
			octets[tt.mechanism] = hashed
			if got != want || !strings.Contains(got, "<not-authorized") || !strings.HasPrefix(got, "1 reads, 0 writes, 2 look-ups:") {
				t.Errorf("%s with %s: %s\nwant %s", tt.user, tt.mechanism, got, want)
			}
		}
	})
}

// TestAttack18Abort: who begins and gives up gets eleven challenges, in whatever
// profile, and nothing is written.
func TestAttack18Abort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(countedStore)
		site := fasts(t, func(s *setup) { s.store = store })
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\n")
		go func() {
			for i := range 1000 {
				text := "{scram}" + wants + "<bind{bind2}/>{end}<abort{2}/>"
				if i%2 == 1 {
					text = "<auth{1} mechanism='SCRAM-TEST'>{64 romeo}</auth><abort{1}/>"
				}
				if _, err := p.c.Write([]byte(expand(text))); err != nil {
					return
				}
			}
		}()
		got := p.take()
		if n := strings.Count(got, "<challenge "); n != 11 || !strings.HasSuffix(got, expand("{error policy-violation}")) {
			t.Errorf("%d challenges, then %s", n, got[max(0, len(got)-200):])
		}
		if store.reads+store.writes != 0 {
			t.Errorf("%d reads, %d writes", store.reads, store.writes)
		}
	})
}

// TestAttack19Guessing: guesses at tokens and passwords count together.
func TestAttack19Guessing(t *testing.T) {
	t.Parallel()
	play(t, []transcript{
		{name: "wrong", with: withBinding, text: "C: {romeo}\nC: " + attempt{token: "x"}.text() + "\nS: {fail not-authorized}\nC: {wrong}\nS: {fail not-authorized}\n" +
			"C: " + attempt{token: "y"}.text() + "\nS: {fail not-authorized}{error policy-violation}\nEND"},
		{name: "right in time", with: withBinding, text: "C: {romeo}\nC: " + attempt{token: "x"}.text() + "\nS: {fail not-authorized}\nC: {wrong}\nS: {fail not-authorized}\n" +
			"C: {plain}{end}\n" + success},
	})
}

func withBinding(s *setup) {
	s.auth = newAuth()
	s.auth.bindings = map[string]string{"tls-exporter": "data"}
}

// TestAttack25NoPassword: who logs in without the password gets neither a key for
// one nor passes for somebody who knows it, though whose credentials they are is
// known.
func TestAttack25NoPassword(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := fasts(t)
		site.auth.knows = true
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: <authenticate{2} mechanism='EXTERNAL'><initial-response>{64 romeo@example.net}</initial-response>" + wants +
			"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>{end}\n" + gets)
		list, err := site.x.Devices(t.Context(), site.host.Mux(), romeo)
		if err != nil || len(list) != 1 || list[0].Password || !list[0].Token {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestAttack22Identity: nobody becomes who the stream header, the name in a token's
// message or an authorization identity names.
func TestAttack22Identity(t *testing.T) {
	t.Parallel()
	const mallory = "<authenticate{2} mechanism='PLAIN'><initial-response>{64 %s\x00mallory\x00evil}</initial-response><bind{bind2}/>{end}"
	for _, tt := range []struct{ name, header, text, want string }{
		{"stream of another", "{romeo}", fmt.Sprintf(mallory, ""), "{fail not-authorized}"},
		{"for itself on the stream of another", "{romeo}", fmt.Sprintf(mallory, "mallory@example.net"), "{fail not-authorized}"},
		{"for another", "{open}", fmt.Sprintf(mallory, "romeo@example.net"), "{fail invalid-authzid}"},
		{"stream of and for another", "{romeo}", fmt.Sprintf(mallory, "romeo@example.net"), "{fail invalid-authzid}"},
		{"wrong case is no other", "{open}", strings.Replace(fmt.Sprintf(mallory, ""), "mallory", "MALLORY", 1), "{fail not-authorized}"},
		{"other domain", "{open}", "<authenticate{2} mechanism='EXTERNAL'><initial-response>{64 romeo@example.org}</initial-response>{end}", "{fail temporary-auth-failure}"},
		{"with a resource", "{open}", "<authenticate{2} mechanism='EXTERNAL'><initial-response>{64 romeo@example.net/x}</initial-response>{end}", "{fail temporary-auth-failure}"},
		{"nobody", "{open}", "<authenticate{2} mechanism='EXTERNAL'><initial-response>{64 example.net}</initial-response>{end}", "{fail temporary-auth-failure}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t, setup{neg: negotiate.Options{MaxFailures: 5}})
				p := site.connect()
				defer p.stop()
				p.run("C: " + tt.header + "\n")
				p.send(tt.text)
				p.expect(tt.want)
				if a := p.st.Account(); !a.IsZero() {
					t.Errorf("is %v", a)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		// A token of mallory's client on a stream that claims to be romeo's.
		site := fasts(t)
		p := site.connect()
		p.run("C: " + strings.ReplaceAll(expand("{romeo}"), "romeo", "mallory") + "\n")
		p.send("<authenticate{2} mechanism='PLAIN'><initial-response>{64 \x00mallory\x00evil}</initial-response>" + wants + "{end}")
		p.take()
		p.stop()
		if p.token == "" {
			t.Fatal("no token")
		}
		site.expectUse(attempt{token: p.token, user: "mallory"}, "not-authorized")
		site.expectUse(attempt{token: p.token}, "not-authorized")
		site.expectUse(attempt{token: p.token, user: "mallory", header: strings.ReplaceAll(expand("{romeo}"), "romeo", "mallory")}, "")
	})
}
