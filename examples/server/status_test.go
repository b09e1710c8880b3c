package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestStatus: an operator sees what there is and how resumptions went, while the server
// runs; without one there is nothing to see.
func TestStatus(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	var stdout, stderr bytes.Buffer
	if got := command(t.Context(), []string{"-domain", "example.org", "-data", data, "status"}, nil, os.Stdin, &stdout, &stderr); got != failure || !strings.Contains(stderr.String(), "no server runs") {
		t.Errorf("without a server: %d, %s%s", got, &stdout, &stderr)
	}
	if got := command(t.Context(), []string{"-data", data, "status", "now"}, nil, os.Stdin, &stdout, &stderr); got != usage {
		t.Errorf("with an argument: %d", got)
	}
	s := launch(t, data, "-domain", "example.org")
	p, _ := as(t, s.addr, "alice")
	answer, _ := p.sasl2Login("PLAIN", "\x00alice\x00"+password, "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>")
	if answer != "success" {
		t.Fatal(answer)
	}
	other, _ := as(t, s.addr, "alice")
	if answer, _ := other.sasl2Login("PLAIN", "\x00alice\x00"+password, "<resume xmlns='urn:xmpp:sm:3' previd='bogus' h='0'/>"); answer != "success" {
		t.Fatal(answer)
	}
	got := operate(t, data, "", "status")
	for _, want := range []string{"1 sessions", "1 of them with stream management", "0 of them waiting for .*", "0 octets of those", "0 resumptions since then", "1 refused: no such session any more, or none of that client", "0 refused: malformed"} {
		if !regexp.MustCompile("(?m)^ +" + want + "$").MatchString(got) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	p.close()
	other.close()
}
