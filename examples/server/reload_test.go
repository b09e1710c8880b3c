//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestReload: SIGHUP has the server read its domains again: new ones are served, with
// a certificate, and what goes takes its streams with it, only these (core-im GS-4).
func TestReload(t *testing.T) { // not parallel: the signal is for all servers of the process
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "conf")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("domain = example.org")
	s := launch(t, data, "-config", file)
	hangUp := func(said string) {
		t.Helper()
		before := len(s.log.String())
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.log.await(t, before, said)
	}
	operate(t, data, password, "user", "add", "alice@example.org")
	alice := login(t, s.addr, "alice", "example.org")

	configure("domain = example.org, example.net\nlog-level = debug")
	hangUp("msg=domains")
	if log := s.log.String(); !strings.Contains(log, "need a new start") {
		t.Errorf("no warning in %s", log)
	}
	operate(t, data, password, "user", "add", "bob@example.net")
	bob := login(t, s.addr, "bob", "example.net")
	if names := bob.conn.ConnectionState().PeerCertificates[0].DNSNames; !slices.Contains(names, "example.net") {
		t.Errorf("certificate for %q", names)
	}
	alice.alive()

	configure("domain = exa mple")
	hangUp("keeping the old settings")
	bob.alive()

	configure("domain = example.net")
	hangUp("msg=domains")
	if got := alice.until("</stream:stream>"); !strings.Contains(got, "<host-gone ") {
		t.Errorf("alice got %s", got)
	}
	bob.alive()
	p := dial(t, s.addr, "example.org")
	if got := p.until("</stream:stream>"); !strings.Contains(got, "<host-unknown ") {
		t.Errorf("a stream for the old domain gets %s", got)
	}
	p.close()
	bob.close()
	alice.close()
}
