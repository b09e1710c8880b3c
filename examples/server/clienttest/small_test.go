//go:build clients

package clienttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small starts testdata/slixmpp_small.py.
func small(t *testing.T, s *server, args ...string) *console {
	t.Helper()
	cmd := slixmppCommand(t, s, s.transports()[0], args...)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_small.py")
	if !s.remote {
		text, _ := s.text()
		for _, field := range strings.Fields(text) {
			if addr, ok := strings.CutPrefix(field, "component="); ok {
				cmd.Env = append(cmd.Env, "COMPONENT="+addr)
				break
			}
		}
	}
	return start(t, "slixmpp", cmd)
}

// TestSlixmppPrivate: XEP-0049 with slixmpp's plugin.
func TestSlixmppPrivate(t *testing.T) {
	s := startServer(t)
	small(t, s, "private", alice, bob).done(t, limit)
}

// TestSlixmppVCard: XEP-0054 with slixmpp's plugin.
func TestSlixmppVCard(t *testing.T) {
	s := startServer(t)
	small(t, s, "vcard", alice, bob).done(t, limit)
}

// TestSlixmppComponent: slixmpp's component attaches, exchanges stanzas with a
// client, and cannot take another's name.
func TestSlixmppComponent(t *testing.T) {
	const component, secret = "chat." + domain, "a component's secret"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "-component", "127.0.0.1:0", "-component-secret", component+"="+file)
	s.ownServerOnly(t)
	x := small(t, s, "component", alice, component, secret)
	for _, line := range []string{"attached", "requests ok", "stanzas ok", "refused ok"} {
		x.expect(t, line, limit)
	}
	x.done(t, limit)
}
