//go:build clients

package clienttest

import (
	"path/filepath"
	"testing"
)

// TestCSI: slixmpp's plugin says that nobody looks at the client, with stream
// management: what is not important waits, comes in front of what is, and before the
// answer to a ping behind active (XEP-0352 §5.1).
func TestCSI(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			cmd := slixmppCommand(t, s, via, alice, bob)
			cmd.Args[1] = filepath.Join("testdata", "slixmpp_csi.py")
			x := start(t, "slixmpp", cmd)
			for _, line := range []string{"presence ok", "message ok", "active ok"} {
				x.expect(t, line, limit)
			}
			x.done(t, limit)
		})
	}
}

// TestCSIOfXMPPJS: the same with the other library, which has no plugin for it.
func TestCSIOfXMPPJS(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			x := xmppjs(t, s, via, password, "csi", alice, bob)
			for _, line := range []string{"message ok", "active ok"} {
				x.expect(t, line, limit)
			}
			x.done(t, limit)
		})
	}
}
