package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/mux"
)

// TestDisable: sessions of a disabled account end, logins fail after the proof only,
// and what the account has stays, whether or not the server runs meanwhile (core-im
// LC-14).
func TestDisable(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	operate(t, data, password, "user", "add", "bob@example.org")
	s := launch(t, data, "-domain", "example.org")
	alice, bob := login(t, s.addr, "alice", "example.org"), login(t, s.addr, "bob", "example.org")
	alice.send("<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='carol@example.net' name='Carol'/></query></iq>")
	alice.until("id='r'/>")
	check := func(wrong, right string) {
		t.Helper()
		for secret, want := range map[string]string{"battery staple": wrong, password: right} {
			p := dial(t, s.addr, "example.org")
			if got := p.authenticate("alice", secret); got != want {
				t.Errorf("login: %s, want %s", got, want)
			}
			p.close()
		}
	}
	if got := operate(t, data, "", "user", "disable", "alice@example.org"); got != "alice@example.org disabled\n" {
		t.Errorf("said %q", got)
	}
	if got := alice.until("</stream:stream>"); !strings.Contains(got, "<reset ") {
		t.Errorf("alice got %s", got)
	}
	bob.alive()
	bob.send("<presence to='alice@example.org' type='subscribe'/>") // she exists all the same
	bob.alive()
	check("not-authorized", "account-disabled")
	alice.close()
	bob.close()
	s.stop()
	s = launch(t, data, "-domain", "example.org")
	check("not-authorized", "account-disabled")
	operate(t, data, "", "user", "enable", "alice@example.org")
	check("not-authorized", "success")
	s.stop()
	operate(t, data, "", "user", "disable", "alice@example.org")
	s = launch(t, data, "-domain", "example.org")
	check("not-authorized", "account-disabled")
	operate(t, data, "", "user", "enable", "alice@example.org")
	alice = login(t, s.addr, "alice", "example.org")
	alice.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
	if got := alice.until("</iq>"); !strings.Contains(got, "name='Carol'") {
		t.Errorf("roster %s", got)
	}
	alice.send("<presence/>")
	alice.until("type='subscribe'/>") // bob's, which was kept
	alice.close()
}

// TestExpire: saved sessions of an account whose credentials changed while no server
// ran cannot be resumed; those of others can.
func TestExpire(t *testing.T) {
	t.Parallel()
	ctx, data := t.Context(), t.TempDir()
	operate(t, data, password, "user", "add", "alice@example.org")
	cfg, _, err := config.Load([]string{"-data", data}, nil)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	for _, verb := range []string{"disable", "passwd"} {
		st, err := openStores(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		st.committer.Submit([]mux.Write{
			st.sessions.Save(mux.SavedSession{ID: "1", JID: mux.MustParseAddress("alice@example.org/a"), Until: later, Data: []byte("x")}),
			st.sessions.Save(mux.SavedSession{ID: "2", JID: mux.MustParseAddress("alice@example.org/b"), Data: []byte("y")}),
			st.sessions.Save(mux.SavedSession{ID: "3", JID: mux.MustParseAddress("bob@example.org/a"), Until: later, Data: []byte("z")}),
		})
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
		operate(t, data, password, "user", verb, "alice@example.org")
		if st, err = openStores(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		saved, err := st.sessions.Load(ctx)
		if err != nil || len(saved) != 3 {
			t.Fatalf("%d sessions, %v", len(saved), err)
		}
		for i, over := range []bool{true, true, false} {
			if got := !saved[i].Until.IsZero() && time.Now().After(saved[i].Until); got != over || string(saved[i].Data) != []string{"x", "y", "z"}[i] {
				t.Errorf("%s: session %+v, want over: %t", verb, saved[i], over)
			}
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDisableKept: a session that waits for its client cannot be resumed once its
// account was disabled, with the server running or not.
func TestDisableKept(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{true, false} {
		data := filepath.Join(t.TempDir(), "data")
		operate(t, data, password, "user", "add", "alice@example.org")
		s := launch(t, data, "-domain", "example.org")
		alice := login(t, s.addr, "alice", "example.org")
		alice.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		_, id, _ := strings.Cut(alice.until("/>"), " id='")
		id, _, _ = strings.Cut(id, "'")
		if id == "" {
			t.Fatal("stream management is not enabled")
		}
		alice.close()
		if !running {
			s.stop()
		}
		for _, verb := range []string{"disable", "enable"} {
			operate(t, data, "", "user", verb, "alice@example.org")
		}
		if !running {
			s = launch(t, data, "-domain", "example.org")
		}
		again := dial(t, s.addr, "example.org")
		if got := again.authenticate("alice", password); got != "success" {
			t.Fatalf("login: %s", got)
		}
		again.open("example.org")
		again.until("</stream:features>")
		again.send("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + id + "'/>")
		if got := again.until("</failed>", "/>"); !strings.HasPrefix(got, "<failed ") {
			t.Errorf("running %t: %s", running, got)
		}
		again.close()
	}
}
