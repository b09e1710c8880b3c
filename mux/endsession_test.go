package mux_test

import (
	"context"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// EndSession ends one session of the account of the turn, which gets the answer it
// is owed first, when that is durable, and leaves all others.
func TestEndSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var other *mux.Session
		h, c := held(t, with(func(r *mux.Registry) {
			answers(r, "leave", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				writeNothing(e)
				e.Then(func(ctx context.Context, e *mux.Event) {
					e.EndSession(ctx, e.Session, stream.NotAuthorized)
					e.EndSession(ctx, other, stream.NotAuthorized) // of another account
				})
				return nil, nil
			})
		}))
		juliet, second, romeo := h.Connect(t, "juliet@example.net/balcony"), h.Connect(t, "juliet@example.net/chamber"), h.Connect(t, "romeo@example.net/orchard")
		other = romeo.Session
		c.Hold()
		juliet.Send(request("leave", "1"))
		juliet.ExpectNone()
		c.Release()
		h.Settle()
		juliet.Expect("<iq type='result' id='1' from='juliet@example.net' to='juliet@example.net/balcony'/>")
		juliet.ExpectClosed("not-authorized")
		if n := len(h.Mux().Sessions(juliet.Session.Account())); n != 1 || second.Err() != nil || romeo.Session.State() != mux.Live {
			t.Errorf("%d sessions left; %v; %v", n, second.Err(), romeo.Session.State())
		}
	})
}
