//go:build clients

package clienttest

import (
	"path/filepath"
	"testing"
)

// TestBookmarks: slixmpp writes bookmarks into private XML, into the old node and as
// items, and finds them in each of the others, with events.
func TestBookmarks(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	cmd := slixmppCommand(t, s, s.transports()[0], alice)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_bookmarks.py")
	x := start(t, "slixmpp", cmd)
	for _, line := range []string{"private XML ok", "items ok", "old node ok", "retraction ok"} {
		x.expect(t, line, 4*limit)
	}
	x.done(t, limit)
}

// TestDisplayed: slixmpp sends a marker with what it has displayed in it, which the contact
// does not see and another session of its account is told.
func TestDisplayed(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	cmd := slixmppCommand(t, s, s.transports()[0], alice, bob)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_displayed.py")
	start(t, "slixmpp", cmd).done(t, 4*limit)
}
