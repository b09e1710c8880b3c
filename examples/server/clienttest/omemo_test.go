//go:build clients

package clienttest

import (
	"path/filepath"
	"testing"
)

// TestSlixmppOMEMO: slixmpp keeps lists of devices and bundles in nodes that it opens with
// publish-options; its other devices are told, and strangers read them.
func TestSlixmppOMEMO(t *testing.T) {
	s := startServer(t)
	cmd := slixmppCommand(t, s, s.transports()[0], alice, bob)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_omemo.py")
	x := start(t, "slixmpp", cmd)
	for _, line := range []string{"lists ok", "reconfigured ok", "stranger ok"} {
		x.expect(t, line, 3*limit)
	}
	x.done(t, limit)
}
