package presence_test

import (
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
)

// TestOccupant: what is known of who a session is in a chat room.
func TestOccupant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		contacts := roster.New(new(roster.Memory), nil)
		x := presence.New(contacts, nil)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, contacts, x)
		juliet := h.Connect(t, julietFull)
		const join = "<x xmlns='http://jabber.org/protocol/muc'/>"
		for _, step := range []struct{ send, room, want string }{
			{"<presence/>", "room@example.org", ""},
			{"<presence to='room@example.org/j'>" + join + "</presence>", "room@example.org", "room@example.org/j"},
			{"<presence to='friend@example.org/x'/>", "friend@example.org", ""},
			{"<presence to='other@example.org/o'>" + join + "</presence>", "room@example.org/somebody", "room@example.org/j"},
			{"<presence to='room@example.org/jj'/>", "room@example.org", "room@example.org/jj"},
			{"<presence to='room@example.org/jj' type='unavailable'/>", "room@example.org", ""},
			{"<presence/>", "other@example.org", "other@example.org/o"},
			{"<presence type='unavailable'/>", "other@example.org", ""},
		} {
			juliet.Send(step.send)
			if got := x.Occupant(juliet.Session, addr(step.room)).String(); got != step.want {
				t.Errorf("after %s: %q in %s, want %q", step.send, got, step.room, step.want)
			}
		}
	})
}
