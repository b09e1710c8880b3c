package smacks_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/smacks"
)

const (
	nurse, tybalt, paris             = "nurse@example.net", "tybalt@example.net", "paris@example.net"
	nurseFull, tybaltFull, parisFull = nurse + "/hall", tybalt + "/street", paris + "/crypt"
)

// contacts are juliet's, all of whom see her and are seen, and what knows them.
func contacts(t *testing.T) func() []mux.Extension {
	list, blocked := new(roster.Memory), new(blocking.Memory)
	for _, who := range []string{nurse, tybalt, paris} {
		for account, contact := range map[string]string{"juliet@example.net": who, who: "juliet@example.net"} {
			put := list.Put(mux.MustParseAddress(account), roster.Item{JID: mux.MustParseAddress(contact), Subscription: roster.Both, Listed: true, Ver: 1})
			if err := put(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	return func() []mux.Extension {
		x := roster.New(list, nil)
		return []mux.Extension{blocking.New(blocked, nil), x, presence.New(x, nil)}
	}
}

// FI-38: while juliet's session waits the nurse looks for her, tybalt takes his leave
// for ever, and paris blocks her. When she is back she knows all that, in order and
// without asking for her contacts, and so does her server; also over a restart.
func TestFI38ContactsWhileAway(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			exts := contacts(t)
			s := newSite(t, smacks.Options{}, exts()...)
			s.AddAccount(nurse, tybalt, paris)
			juliet, names := s.Connect(t, julietFull), muxtest.Captures{}
			juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			juliet.ExpectWith(names, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
			token := names["id"]
			juliet.Send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", "<presence id='here'><status>in the orchard</status></presence>")
			all := map[string]*muxtest.Client{}
			for _, full := range []string{tybaltFull, parisFull} {
				c := s.Connect(t, full)
				c.Send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", "<presence/>")
				all[full] = c
			}
			s.Settle()
			all[tybaltFull].Clear()
			all[parisFull].Clear()
			handled := 0
			for _, el := range juliet.Arrived() {
				if e, err := mux.Parse([]byte(el)); err == nil && e.Kind() != mux.Nonza {
					handled++
				}
			}
			juliet.Clear()
			juliet.Drop()

			// Nobody notices; who looks for her is told what she said last.
			c := s.Connect(t, nurseFull)
			c.Send("<presence id='n'/>")
			if got := c.Arrived(); !contains(got, "<presence from='"+julietFull+"' to='"+nurseFull+"' id='here'><status>in the orchard</status>") {
				t.Errorf("the nurse got %q", got)
			}
			all[nurseFull] = c
			c.Clear()
			all[tybaltFull].Send("<presence to='juliet@example.net' type='unsubscribe'/>", "<presence to='juliet@example.net' type='unsubscribed'/>")
			all[parisFull].Send("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='juliet@example.net'/></block></iq>")
			s.Settle()
			for _, c := range all {
				c.Clear()
			}
			if restart {
				s.Restart(append([]mux.Extension{smacks.New(&s.store, &s.opt)}, exts()...)...)
				for _, full := range []string{nurseFull, tybaltFull, parisFull} {
					c := s.Connect(t, full)
					c.Send("<presence id='again'/>")
					all[full] = c
				}
				s.Settle()
				for _, c := range all {
					c.Clear()
				}
			}

			again := resume(t, s.Host, token, utoa(handled))
			s.Settle()
			got := again.Arrived()
			again.Clear()
			wantOrder(t, got,
				"<resumed ",
				"<presence from='"+nurseFull+"' to='juliet@example.net' id='n'",
				"<presence from='"+tybalt+"' to='juliet@example.net' type='unsubscribe'",
				"<item jid='"+tybalt+"' subscription='to'",
				"<presence from='"+tybalt+"' to='juliet@example.net' type='unsubscribed'",
				"<item jid='"+tybalt+"' subscription='none'",
				"<presence from='"+parisFull+"' to='juliet@example.net' type='unavailable'",
				"<r ")
			again.Send("<presence id='back'><show>away</show></presence>", "<message to='"+parisFull+"' type='chat' id='m'><body>x</body></message>")
			s.Settle()
			for full, want := range map[string]bool{nurseFull: true, tybaltFull: false, parisFull: false} {
				if got := all[full].Arrived(); contains(got, julietFull, "back") != want || contains(got, "id='m'") {
					t.Errorf("%s got %q", full, got)
				}
				all[full].Clear()
			}
			again.Clear()
		})
	}
}

// contains reports whether one of the elements has all of that in it.
func contains(list []string, parts ...string) bool {
	return slices.ContainsFunc(list, func(el string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(el, p) })
	})
}

// wantOrder wants elements with these parts, in order, maybe with others between.
func wantOrder(t *testing.T, list []string, parts ...string) {
	t.Helper()
	rest := list
	for _, p := range parts {
		i := slices.IndexFunc(rest, func(el string) bool { return strings.Contains(el, p) })
		if i < 0 {
			t.Errorf("got %q,\nwant %q in order", list, p)
			return
		}
		rest = rest[i+1:]
	}
}

// FI-39: an account is removed, or its password changed, while a session of it waits.
// The session has ended, its token is dead, and contacts see that it is not there.
func TestFI39RemovedWhileAway(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(ctx context.Context, e *mux.Event){
		"removed":  func(ctx context.Context, e *mux.Event) { e.RemoveAccount(ctx) },
		"password": func(ctx context.Context, e *mux.Event) { e.EndSessions(ctx, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{}, contacts(t)()...)
				s.AddAccount(nurse, tybalt, paris)
				juliet, names := s.Connect(t, julietFull), muxtest.Captures{}
				juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
				juliet.ExpectWith(names, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
				juliet.Send("<presence/>")
				c := s.Connect(t, nurseFull)
				c.Send("<presence/>", "<message to='"+julietFull+"' type='chat' id='m'><body>x</body></message>")
				s.Settle()
				juliet.Clear()
				c.Clear()
				juliet.Drop()
				c.ExpectNone()
				if err := s.Mux().Do(t.Context(), mux.MustParseAddress("juliet@example.net"), do); err != nil {
					t.Fatal(err)
				}
				s.Settle()
				got := c.Arrived()
				c.Clear()
				if !contains(got, "<presence from='"+julietFull+"'", "type='unavailable'") || !contains(got, "id='m'", "type='error'") {
					t.Errorf("the nurse got %q", got)
				}
				again := resume(t, s.Host, names["id"], "0").Arrived()
				if len(again) != 1 || !strings.Contains(again[0], "<item-not-found ") {
					t.Errorf("resuming: %q", again)
				}
				if all := s.x.Sessions(mux.MustParseAddress("juliet@example.net")); len(all) != 0 {
					t.Errorf("left: %+v", all)
				}
			})
		})
	}
}
