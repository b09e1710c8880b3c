//go:build clients

package clienttest

import (
	"path/filepath"
	"testing"
)

// TestSlixmppRegister: XEP-0077 with slixmpp's plugin: register, change the password,
// unregister.
func TestSlixmppRegister(t *testing.T) {
	s := startServer(t)
	cmd := slixmppCommand(t, s, s.transports()[0], "carol@"+domain)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_register.py")
	start(t, "slixmpp", cmd).done(t, limit)
}
