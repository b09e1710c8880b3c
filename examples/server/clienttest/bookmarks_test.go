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

// TestProfanityBookmarks: what a person at a terminal does with a bookmark in private XML
// is told to a client of items, whose extension stays.
func TestProfanityBookmarks(t *testing.T) {
	const room = "room@chat.example.org"
	s := startServer(t)
	s.ownServerOnly(t)
	via := s.transports()[0]
	cmd := slixmppCommand(t, s, via, alice, room)
	cmd.Args[1] = filepath.Join("testdata", "slixmpp_bookmarks.py")
	x := start(t, "slixmpp", cmd)
	x.expect(t, "watching", limit)
	p := openProfanity(t, s, via)
	p.expect(t, "logged in successfully")
	p.enter(t, "/bookmark add "+room+" nick Bee autojoin off")
	x.expect(t, "extended", limit)
	p.enter(t, "/bookmark update "+room+" nick Wasp")
	x.expect(t, "kept", limit)
	p.enter(t, "/bookmark remove "+room)
	x.done(t, limit)
	p.quit(t)
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
