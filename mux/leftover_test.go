package mux_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// What Leftover handlers deal with goes no further: neither to another session
// nor to the Undelivered handlers (core-im COMB-8). They know whose it was.
func TestLeftover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		asked := ""
		h := muxtest.New(t, nil, &smacks{keep: time.Minute}, st, with(func(r *mux.Registry) {
			r.Leftover(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				asked += e.Stanza.ID() + " of " + e.Session.JID().Resource() + "; "
				if e.Stanza.ID() == "1" {
					return mux.Done, nil
				}
				return mux.Pass, nil
			})
		}))
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		romeo.Send(append(send("1"), send("2")...)...)
		juliet.Clear()
		juliet.Drop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := "1 of balcony; 2 of balcony; "; asked != want {
			t.Errorf("asked about %q, want %q", asked, want)
		}
		st.want(t, "2 replay delayed")
		romeo.ExpectNone()
	})
}

// copier sends juliet's other sessions a copy of what reaches one of them.
func copier() mux.Extension {
	return with(func(r *mux.Registry) {
		r.Observe(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) {
			for _, s := range e.Sessions() {
				if len(e.Targets) == 1 && s != e.Targets[0] {
					wrapper := mux.Make(mux.Head{Kind: mux.Message, From: e.Account}, mux.RawChild(name("urn:x", "copy"), "<copy xmlns='urn:x'/>"))
					e.Deliver(mux.Item{Stanza: wrapper, Inner: e.Stanza, Flags: mux.Copy, At: e.Item.At, Record: e.Item.Record}, s)
				}
			}
		})
	})
}

// TestLastCopyStandsForMessage: when the session with the original has ended, the
// copy in another is the only hope; if that is lost too, the original is kept, once
// (smacks SM-93). If the copy arrives, nothing is.
func TestLastCopyStandsForMessage(t *testing.T) {
	t.Parallel()
	for _, arrives := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h := muxtest.New(t, nil, &smacks{keep: time.Minute}, st, copier())
			romeo := h.Connect(t, romeoFull)
			first := enabled(t, h)
			first.Send("<presence><priority>1</priority></presence>")
			second := h.Connect(t, "juliet@example.net/garden")
			second.Send("<enable xmlns='urn:xmpp:sm:3'/>")
			second.Clear()
			romeo.Send("<message to='juliet@example.net' type='chat' id='1'><body>hi</body></message>")
			second.Expect("<message from='juliet@example.net' to='juliet@example.net/garden'><copy xmlns='urn:x'/></message>")
			if arrives {
				second.Send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
			}
			first.Drop()
			time.Sleep(time.Minute)
			synctest.Wait()
			st.want(t)
			second.Drop()
			time.Sleep(time.Minute)
			synctest.Wait()
			if arrives {
				st.want(t)
			} else {
				st.want(t, "1 replay delayed")
			}
			romeo.ExpectNone()
		})
	}
}

// Refused says what the delivery table will do (RFC 6121 §8.5).
func TestEventRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := make(map[string]bool)
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Guard(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				if e.Stanza.Type() != "error" {
					got[e.Stanza.ID()] = e.Refused()
				}
				return mux.Pass, nil
			}, mux.Unknown())
		}))
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		romeo.Send(
			"<message to='juliet@example.net' type='chat' id='chat to nobody'><body/></message>",
			"<message to='juliet@example.net' type='groupchat' id='groupchat to bare'><body/></message>",
			"<message to='juliet@example.net/no' id='normal to a missing resource'><body/></message>",
			"<message to='juliet@example.net/no' type='chat' id='chat to a missing resource'><body/></message>",
			"<message to='juliet@example.net/balcony' type='groupchat' id='groupchat to a resource'><body/></message>",
			"<message to='nobody@example.net' type='chat' id='no account'><body/></message>",
			"<message to='juliet@example.net' type='headline' id='headline'><body/></message>",
		)
		juliet.Clear()
		romeo.Clear()
		for id, want := range map[string]bool{
			"chat to nobody": false, "groupchat to bare": true, "normal to a missing resource": true, "chat to a missing resource": false,
			"groupchat to a resource": false, "no account": true, "headline": false,
		} {
			if r, ok := got[id]; !ok || r != want {
				t.Errorf("%s: refused %t (asked %t), want %t", id, r, ok, want)
			}
		}
	})
}

// A bind may end other sessions of the account than the one with its resource
// (XEP-0386 §3.2).
func TestBindReplaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		h := muxtest.New(t, nil, &smacks{keep: time.Hour}, st)
		romeo, old := h.Connect(t, romeoFull), enabled(t, h)
		other := h.Connect(t, "juliet@example.net/garden")
		romeo.Send(send("1")...)
		old.Clear()
		again := h.Dial(t, "juliet@example.net")
		again.Bind(&mux.BindOptions{Resource: "new", Replace: func(s *mux.Session) bool { return s.JID().Resource() == "balcony" }})
		old.ExpectClosed("conflict")
		if old.Session.State() != mux.Gone || other.Session.State() != mux.Live {
			t.Errorf("the old session is %s, the other %s", old.Session.State(), other.Session.State())
		}
		st.want(t, "1 replay delayed")
	})
}

func TestRecordArchived(t *testing.T) {
	t.Parallel()
	romeo, juliet := mux.MustParseAddress("romeo@example.net"), mux.MustParseAddress("juliet@example.net")
	var none *mux.Record
	var r mux.Record
	if none.Archived(romeo) != "" || r.Archived(romeo) != "" {
		t.Error("archived before")
	}
	r.SetArchived(romeo, "1")
	r.SetArchived(juliet, "2")
	r.SetArchived(romeo, "3")
	if a, b := r.Archived(romeo), r.Archived(juliet); a != "3" || b != "2" {
		t.Errorf("archived as %q and %q, want 3 and 2", a, b)
	}
}

// What is of no use later is dropped with its session (smacks SM-90), even if
// another could have it.
func TestNotWorthKeeping(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]string{
		"chat state": "<message to='juliet@example.net' type='chat' id='1'><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
		"event":      "<message to='juliet@example.net' id='1'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>",
		"headline":   "<message to='juliet@example.net/balcony' type='headline' id='1'><body/></message>",
		"groupchat":  "<message to='juliet@example.net/balcony' type='groupchat' id='1'><body/></message>",
		"error":      "<message to='juliet@example.net/balcony' type='error' id='1'><error/></message>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := new(store)
				h := muxtest.New(t, nil, &smacks{keep: time.Minute}, st)
				romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
				juliet.Send("<presence><priority>1</priority></presence>")
				other := h.Connect(t, "juliet@example.net/garden")
				other.Send("<presence/>")
				other.Clear()
				romeo.Send(message)
				juliet.Clear()
				juliet.Drop()
				time.Sleep(time.Minute)
				synctest.Wait()
				other.ExpectNone()
				romeo.ExpectNone()
				st.want(t)
			})
		})
	}
}
