//go:build clients

package clienttest

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestCaps: slixmpp is asked what its hash stands for, once, and again only when it is
// another one, which says that the answer was confirmed (XEP-0115 §5.4).
func TestCaps(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	cmd := slixmppCommand(t, s, s.transports()[0], alice)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_caps.py")
	start(t, "slixmpp", cmd).done(t, 4*limit)
	if text, _ := s.text(); strings.Contains(text, "capabilities are not confirmed") {
		t.Error("an answer was not confirmed")
	}
}
