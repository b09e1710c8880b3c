//go:build clients

package clienttest

import (
	"path/filepath"
	"testing"
)

// TestSlixmppAvatar: an avatar published by slixmpp's plugin for XEP-0084 is in the card
// and in presence, and one that its plugin for XEP-0153 sets is published (XEP-0398).
func TestSlixmppAvatar(t *testing.T) {
	s := startServer(t)
	cmd := slixmppCommand(t, s, s.transports()[0], alice, bob)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_avatar.py")
	start(t, "slixmpp", cmd).done(t, 5*limit)
}
