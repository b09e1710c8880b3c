package main

import (
	"context"
	"image"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/examples/internal/profile"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/nick"
	"github.com/propolis-im/propolis/pep/omemo"
)

// TestProfile: the program of examples/profile: what it publishes is where others find it,
// what contacts change is told, and it ends with its context, or the connection.
func TestProfile(t *testing.T) {
	t.Parallel()
	const alice, bob = "alice@example.org", "bob@example.org"
	data := filepath.Join(t.TempDir(), "data")
	srv := launch(t, data, "-domain", "example.org")
	for _, a := range []string{alice, bob} {
		operate(t, data, password, "user", "add", a)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	friend, own := newEventing(t, srv.addr, bob+"/x", alice), newEventing(t, srv.addr, alice+"/other", bob)
	befriend(t, own, friend)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	picture := image.NewGray(image.Rect(0, 0, 2, 2))
	for _, cut := range []bool{false, true} {
		session, err := dialAccount(t, srv.addr, alice+"/profile", password, nil)
		must(err)
		running, stop := context.WithCancel(ctx)
		room := map[bool]string{false: "room@chat.example", true: "garden@chat.example"}[cut] // what is published last
		lines, ended := make(chan string, 100), make(chan error, 1)
		go func() {
			ended <- profile.Run(running, session, &profile.Wishes{Nick: "Alice", Room: room, Picture: picture}, func(line string) { lines <- line })
		}()
		say := func(part string) {
			t.Helper()
			for {
				select {
				case l := <-lines:
					if strings.Contains(l, part) {
						return
					}
				case err := <-ended:
					t.Fatalf("ended with %v before it said %q", err, part)
				case <-time.After(patience):
					t.Fatalf("did not say %q", part)
				}
			}
		}
		say("room " + room + ", join true")
		avatars := avatar.NewClient(&avatar.ClientOptions{Nodes: friend.Client})
		m, err := avatars.Metadata(ctx, jid.MustParse(alice))
		must(err)
		im, err := avatars.Fetch(ctx, jid.MustParse(alice), m)
		if must(err); im.Width != 2 {
			t.Errorf("avatar %+v", im)
		}
		if p, err := friend.Newest(ctx, jid.MustParse(alice), nick.NS); err != nil || !strings.Contains(string(p.Payload), ">Alice<") {
			t.Errorf("nick %s, error %v", p.Payload, err)
		}
		l, err := bookmarks.NewClient(own.Client, nil).List(ctx)
		if err != nil || !slices.ContainsFunc(l, func(b bookmarks.Bookmark) bool { return b.Room == room && b.Autojoin }) {
			t.Errorf("bookmarks %+v, error %v", l, err)
		}
		if f, err := own.GetConfig(ctx, bookmarks.NS); err != nil || f.Get("access_model") != pep.AccessWhitelist {
			t.Errorf("configuration %v, error %v", f, err)
		}
		// What a contact has changed comes by its capabilities.
		name := map[bool]string{false: "Bob", true: "Robert"}[cut]
		must(nick.Set(ctx, friend.Client, name))
		say(bob + " is called " + name)
		picture.Pix[0]++
		im, err = avatar.Encode(picture)
		must(err)
		_, err = avatars.Publish(ctx, im, "")
		must(err)
		say("avatar of " + bob + ": image/png")
		reader, err := omemo.New(friend.Client, 9, nil)
		must(err)
		if d, err := reader.Devices(ctx, jid.MustParse(alice)); err != nil || len(d) == 0 {
			t.Errorf("devices %v, error %v", d, err)
		}
		if cut {
			must(session.Conn().Close())
		} else {
			stop()
		}
		select {
		case err := <-ended:
			if (err == nil) == cut {
				t.Errorf("cut %t: ended with %v", cut, err)
			}
		case <-time.After(patience):
			t.Fatalf("cut %t: does not end", cut)
		}
		stop()
	}
}
