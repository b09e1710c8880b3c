package main

import (
	"bytes"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretRotated: auth-register PW-15, what accounts seem to have that do not exist
// stays when the secret is rotated, and is something else when it is replaced.
func TestSecretRotated(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	seen := func() string {
		t.Helper()
		s := launchInside(t, data, nil)
		defer s.stop()
		p, _ := as(t, s.addr, "nobody")
		p.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>" + encode("n,,n=nobody,r=fyko+d2lbbFgONRv9qkxdawL") + "</auth>")
		out, err := base64.StdEncoding.DecodeString(between(p.until("</challenge>"), "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", "</challenge>"))
		if err != nil {
			t.Fatal(err)
		}
		p.close()
		return between(string(out), ",s=", ",i=")
	}
	change := func(how string) {
		t.Helper()
		if got := operate(t, data, "", "secret", how); !strings.HasPrefix(got, "there is a new secret") {
			t.Errorf("%s: got %s", how, got)
		}
	}
	first := seen()
	change("rotate")
	change("rotate")
	if got := seen(); got != first {
		t.Errorf("salt %s, was %s", got, first)
	}
	change("replace")
	if got := seen(); got == first || got == "" {
		t.Errorf("salt %s, was %s", got, first)
	}
	for _, args := range [][]string{{"secret"}, {"secret", "tell"}, {"secret", "rotate", "now"}, {"-store", "memory", "secret", "rotate"}} {
		var stdout, stderr bytes.Buffer
		if status := command(t.Context(), append([]string{"-data", data}, args...), nil, nil, &stdout, &stderr); status == success || stderr.Len() == 0 {
			t.Errorf("%q: status %d, %s", args, status, &stdout)
		}
	}
	s := launchInside(t, data, nil)
	defer s.stop()
	var stderr bytes.Buffer
	if status := command(t.Context(), []string{"-data", data, "secret", "rotate"}, nil, nil, &stderr, &stderr); status != failure {
		t.Errorf("while the server runs: status %d, %s", status, &stderr)
	}
}

// TestSecretTokens: another secret for tokens voids all that were issued, as
// nothing else does; people log in with the password as before.
func TestSecretTokens(t *testing.T) {
	t.Parallel()
	const alice = "alice@example.org"
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", alice)
	s := launch(t, data, "-domain", "example.org")
	token := issueToken(t, s.addr, password)
	change := func(how string) {
		t.Helper()
		s.stop()
		operate(t, data, "", "secret", how)
		s = launch(t, data, "-domain", "example.org")
	}
	change("replace")
	if got := useToken(t, s.addr, token); got != "success" {
		t.Errorf("after replace: %s", got)
	}
	change("tokens")
	if got := useToken(t, s.addr, token); got != "not-authorized" {
		t.Errorf("after tokens: %s", got)
	}
	token = issueToken(t, s.addr, password)
	if got := useToken(t, s.addr, token); got != "success" {
		t.Errorf("a new one: %s", got)
	}
	if got := operate(t, data, "", "user", "clients", alice); strings.Count(got, "\n") != 2 {
		t.Errorf("clients: %s, want the one that cannot come back as well", got)
	}
	s.stop()
}
