package scram_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/scram"
)

// The tests of this file are named by the numbers of the attack scenarios in the
// conformance ledger.

// between are the two connections of somebody in between whose certificate the
// client believes.
func between(t *testing.T) (victim, relayed ends) {
	t.Helper()
	return connect(t, issue(t, x509.ECDSAWithSHA256), tls.VersionTLS13), connect(t, issue(t, x509.ECDSAWithSHA256), tls.VersionTLS13)
}

// TestAttack01RelayedBinding: what the client binds to is another connection than
// the one the server sees.
func TestAttack01RelayedBinding(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	victim, relayed := between(t)
	for _, typ := range []string{scram.TLSExporter, scram.TLSServerEndPoint} {
		for name, c := range map[string]struct {
			from ends
			want string
		}{"direct": {relayed, ""}, "relayed": {victim, scram.NotAuthorized}} {
			header := "p=" + typ + ",,"
			client := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil", header: header, binding: header + c.from.data(t, typ)}
			e := b.startOn(t, relayed.server, "SCRAM-SHA-256-PLUS")
			if got := condition(t, client.run(t, e)); got != c.want || (e.Account() != "") != (c.want == "") {
				t.Errorf("%s, %s: got %q, account %q", typ, name, got, e.Account())
			}
		}
	}
}

// TestAttack03StrippedPlus: the client was shown no -PLUS and says so. It makes no
// difference how far the one in between helps.
func TestAttack03StrippedPlus(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	_, relayed := between(t)
	client := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil", header: "y,,"}
	wantCondition(t, client.run(t, b.startOn(t, relayed.server, "SCRAM-SHA-256")), scram.MalformedRequest)
	// What was changed on the way is found by the signature: n on the wire to the
	// server, y in what the client signs.
	e := b.startOn(t, relayed.server, "SCRAM-SHA-256")
	challenge, _, err := e.Step(t.Context(), []byte("n,,n=user,r="+clientNonce))
	if err != nil {
		t.Fatal(err)
	}
	client.first()
	message, _ := client.final(t, challenge)
	_, _, err = e.Step(t.Context(), message)
	wantCondition(t, err, scram.NotAuthorized)
}

// TestAttack04StrippedHash: without channel binding, the attribute that gives a
// shortened list away is cut out of the challenge. It was signed.
func TestAttack04StrippedHash(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	_, relayed := between(t)
	e := b.startOn(t, relayed.server, "SCRAM-SHA-1")
	client := &testClient{mechanism: "SCRAM-SHA-1", password: "pencil"}
	challenge, _, err := e.Step(t.Context(), client.first())
	if err != nil {
		t.Fatal(err)
	}
	cut, _, found := strings.Cut(string(challenge), ",h=")
	if !found {
		t.Fatalf("got %q without h", challenge)
	}
	message, _ := client.final(t, []byte(cut))
	_, _, err = e.Step(t.Context(), message)
	wantCondition(t, err, scram.NotAuthorized)
}

// TestAttack12Reflection: the challenge of one connection is shown to a client on
// another one, and its proof forwarded. That is what channel binding is against.
func TestAttack12Reflection(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	victim, relayed := between(t)
	for _, c := range []struct {
		name, mechanism, header, data, want string
	}{
		{"without binding", "SCRAM-SHA-256", "n,,", "", ""},
		{"with binding", "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", victim.data(t, scram.TLSExporter), scram.NotAuthorized},
	} {
		e := b.startOn(t, relayed.server, c.mechanism)
		client := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil", header: c.header, binding: c.header + c.data}
		if got := condition(t, client.run(t, e)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// enumerations are kinds of accounts that nobody may tell apart, in the store of
// enumerated: with all keys, unknown, disabled, with SHA-1 alone, and without keys. With
// PLAIN the hash of the strongest key is used, and unknown accounts have what
// Options.HashSets gives them.
var enumerations = []struct {
	mechanism string
	sets      [][]scram.Hash
	names     []string
}{
	{"SCRAM-SHA-256", nil, []string{"real", "nobo", "offx", "oldx", "none"}},
	{"SCRAM-SHA-1", nil, []string{"real", "nobo", "offx", "oldx", "none"}},
	{"PLAIN", nil, []string{"real", "nobo", "offx", "none"}},
	{"PLAIN", [][]scram.Hash{{scram.SHA1}}, []string{"oldx", "nobo", "none"}},
}

func enumerated(t testing.TB) *scram.Memory {
	t.Helper()
	store := new(scram.Memory)
	all, err := scram.NewCredentials("pencil", quick)
	if err != nil {
		t.Fatal(err)
	}
	off, old := all, scram.Credentials{Keys: all.Keys[2:]}
	off.Disabled = true
	for name, c := range map[string]scram.Credentials{"real": all, "offx": off, "oldx": old, "none": {}} {
		if _, err := store.Create(t.Context(), name+"@"+host, c); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// TestAttack13Enumeration: for whoever does not know the password an account that
// exists costs the same work as one that does not, and answers the same. Time
// depends on the machine and is left to BenchmarkEnumeration. What is hashed is
// counted, so the test must not be parallel to others.
func TestAttack13Enumeration(t *testing.T) {
	store := enumerated(t)
	for _, tt := range enumerations {
		a := scram.New(store, &scram.Options{Policy: quick, Secret: [32]byte{1}, HashSets: tt.sets})
		var want string
		for _, name := range tt.names {
			var answers []string
			work := scram.Count(func() { answers = guess(t, a, tt.mechanism, name, func() {}) })
			got := fmt.Sprintf("%+v %q", work, answers)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s, %s:\n%s, want as for %s\n%s", tt.mechanism, name, got, tt.names[0], want)
			}
		}
	}
}

// guess tries a wrong password, and returns what is seen of it without what is
// random. It calls challenged once there is a challenge.
func guess(t testing.TB, a *scram.Authenticator, mechanism, name string, challenged func()) []string {
	t.Helper()
	e, err := a.Start(mechanism, host)
	if err != nil {
		t.Fatal(err)
	}
	if mechanism == scram.Plain {
		_, _, err = e.Step(t.Context(), []byte("\x00"+name+"\x00wrong"))
		return []string{condition(t, err)}
	}
	first := "n,,n=" + name + ",r=" + clientNonce
	challenge, _, err := e.Step(t.Context(), []byte(first))
	if err != nil {
		t.Fatal(err)
	}
	challenged()
	nonce, rest, _ := strings.Cut(string(challenge), ",s=")
	salt, count, _ := strings.Cut(rest, ",")
	h, _ := scram.ParseMechanism(mechanism)
	_, _, err = e.Step(t.Context(), []byte("c=biws,"+nonce+",p="+b64(strings.Repeat("x", h.Size()))))
	return []string{fmt.Sprint(len(nonce), len(salt)), count, condition(t, err)}
}

// TestAttack26PlainFlood: of many passwords at once, for names known and unknown,
// as many are looked at as there is room for; the others are told to come back, and
// whoever uses SCRAM notices nothing.
func TestAttack26PlainFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := scram.NewPool(1, 2)
		b := newBed(t, scram.Options{Pool: pool})
		release, held := make(chan struct{}), make(chan error, 1)
		go func() { held <- pool.Do(t.Context(), func() error { <-release; return nil }) }() // a slow one
		synctest.Wait()
		var (
			mu  sync.Mutex
			got = make(map[string]int)
			wg  sync.WaitGroup
		)
		for i := range 40 {
			wg.Go(func() {
				err := plain(t, b.Authenticator, "", []string{"user", "nobody"}[i%2], "wrong", nil)
				mu.Lock()
				defer mu.Unlock()
				got[condition(t, err)]++
			})
		}
		synctest.Wait()
		if mu.Lock(); got[scram.TemporaryAuthFailure] != 38 || len(got) != 1 {
			t.Errorf("while the pool is full: %v", got)
		}
		mu.Unlock()
		client := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil"}
		wantCondition(t, client.run(t, b.start(t, "SCRAM-SHA-256")), "")
		close(release)
		wg.Wait()
		if err := <-held; err != nil || got[scram.NotAuthorized] != 2 {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// TestAttack38StoreDown: a store that fails at any step fails the login, the same
// for everybody, and writes nothing by half. See TestStoreDown and
// TestUpgradeStoreDown for each step.
func TestAttack38StoreDown(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"} {
		for _, name := range []string{"user", "nobody", "off", "old", "empty"} {
			s := &brokenStore{Store: b.store, failAt: 1}
			e, err := scram.New(s, &scram.Options{Policy: quick}).Start(mechanism, host)
			if err != nil {
				t.Fatal(err)
			}
			in := "n,,n=" + name + ",r=" + clientNonce
			if mechanism == scram.Plain {
				in = "\x00" + name + "\x00pencil"
			}
			_, done, err := e.Step(t.Context(), []byte(in))
			if wantCondition(t, err, scram.TemporaryAuthFailure); done || e.Account() != "" {
				t.Errorf("%s as %s: done %v, account %q", mechanism, name, done, e.Account())
			}
			_, _, err = e.Step(t.Context(), []byte(in))
			wantCondition(t, err, scram.MalformedRequest)
		}
	}
}
