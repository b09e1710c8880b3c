package csi_test

import (
	"context"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
)

// TestDrop: a policy may have things forgotten, but no message.
func TestDrop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		drop := csi.PolicyFunc(func(*mux.Item) csi.Decision { return csi.Decision{Action: csi.Drop} })
		_, x, c, org := phone(t, csi.Options{Policy: drop})
		org.Send(shows("a", "1"), says("a", "2"), shouts("a", "3"),
			"<message from='a@example.org' to='"+romeo+"' type='chat' id='4'>"+typing+"</message>",
			"<message from='a@example.org' to='"+romeo+"' type='error' id='5'/>")
		wantIDs(t, c)
		c.Send(active)
		wantIDs(t, c, "2", "5")
		if n := x.Stats(); n.Dropped != 3 || n.Held != 2 {
			t.Errorf("%+v", n)
		}
	})
}

// TestNotAsked: CSI-4, CSI-16: whatever the policy says, requests, answers and what is
// delivered from a store go at once.
func TestNotAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hold := csi.PolicyFunc(func(*mux.Item) csi.Decision { return csi.Decision{Action: csi.Hold} })
		h, _, c, org := phone(t, csi.Options{Policy: hold, Awake: -1})
		org.Send("<iq from='a@example.org/a' to='" + romeo + "' type='get' id='1'><x xmlns='urn:x'/></iq>")
		wantIDs(t, c, "1")
		to := mux.MustParseAddress(romeo)
		for _, f := range []mux.Flags{mux.Offline, mux.Replay, mux.ArchiveResult} {
			s := parse(t, "<message from='a@example.org/a' to='"+romeo+"' id='m'>"+body+"</message>")
			if _, err := h.Mux().Deliver(t.Context(), mux.Item{Stanza: s, To: to, Flags: f}); err != nil {
				t.Fatal(err)
			}
			wantIDs(t, c, "m")
		}
		s := c.Session
		s.Feed(func(_ context.Context, emit func(mux.Item)) (bool, error) {
			emit(mux.Item{Stanza: parse(t, "<message from='romeo@example.net' to='"+romeo+"' id='f'/>"), Flags: mux.ArchiveResult})
			return false, nil
		})
		h.Settle()
		wantIDs(t, c, "f")
	})
}

// TestBehindFeed: what a client says while something long is sent to it takes effect
// behind that, and what is held comes in order.
func TestBehindFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, x, c, org := phone(t, csi.Options{Awake: -1})
		org.Send(shows("a", "1"))
		step := make(chan struct{})
		c.Session.Feed(func(_ context.Context, emit func(mux.Item)) (bool, error) {
			if _, more := <-step; !more {
				return false, nil
			}
			emit(mux.Item{Stanza: parse(t, "<message from='romeo@example.net' to='"+romeo+"' id='f'/>"), Flags: mux.ArchiveResult})
			return true, nil
		})
		org.Send(shows("b", "2"))
		c.Send(active)
		org.Send(shows("c", "3"))
		c.Send(inactive)
		org.Send(shows("d", "4"))
		wantIDs(t, c)
		step <- struct{}{}
		h.Settle()
		wantIDs(t, c, "1", "f")
		close(step)
		h.Settle()
		wantIDs(t, c, "2")
		if !x.Inactive(c.Session) {
			t.Error("the client said that it is inactive")
		}
		c.Send(active)
		wantIDs(t, c, "3", "4")
	})
}

// TestOffered: CSI-1, IN-9: offered once the client has authenticated, and once inside
// Bind 2.
func TestOffered(t *testing.T) {
	t.Parallel()
	m, err := mux.New(nil, nil, csi.New(nil))
	if err != nil {
		t.Fatal(err)
	}
	f := m.Features()
	if len(f) != 1 || f[0].Needs != mux.Authenticated || f[0].Forbids != 0 || len(f[0].Owns) != 0 {
		t.Fatalf("features %+v", f)
	}
	want := xmlstream.Marshaler(mux.Raw("<csi xmlns='urn:xmpp:csi:0'/>"))
	if got := f[0].List(t.Context(), nil); got != want {
		t.Errorf("offers %v", got)
	}
	offers := 0
	for _, in := range m.Inlines() {
		if in.At != mux.InBind || in.Name.Space != csi.NS {
			t.Errorf("member %v", in.Name)
		}
		if in.Offer == nil {
			offers++ // the namespace
		} else if in.Offer(t.Context(), nil) != nil {
			t.Errorf("%v offers something else", in.Name)
		}
	}
	if offers != 1 || len(m.Inlines()) != 2 {
		t.Errorf("%d offers of %d members", offers, len(m.Inlines()))
	}
}
