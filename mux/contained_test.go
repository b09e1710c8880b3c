package mux_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// badInbound is an inbound sink that panics for requests.
type badInbound struct{ next mux.Sink }

func (k badInbound) Put(it *mux.Item) error {
	if it.Stanza.Kind() == mux.IQ && it.Stanza.Type() == "get" {
		panic("on purpose")
	}
	return k.next.Put(it)
}

// A panic in a function that an extension has given and that does not run in a
// turn ends nothing but what it was for.
func TestPanicOutsideOfTurns(t *testing.T) {
	t.Parallel()
	blocks := mux.BlocksIf(func(*mux.Event) bool { panic("on purpose") })
	pass := func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Pass, nil }
	const wrong = "<iq type='error' id='1' from='romeo@example.net' to='" + romeoFull + "'><error type='wait'>" +
		"<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
	for _, tt := range []struct {
		name     string
		register func(r *mux.Registry)
		want     string // romeo gets
		closed   bool
	}{
		{"Later.Run", func(r *mux.Registry) {
			answers(r, "x", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Later().Run(func(context.Context) (xmlstream.Marshaler, error) { panic("on purpose") })
				return nil, nil
			})
		}, wrong, false},
		{"Work.After", func(r *mux.Registry) {
			answers(r, "x", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Work.After(func(error) { panic("on purpose") })
				return nil, nil
			})
		}, result("1", ""), false},
		{"BlocksIf of the request", func(r *mux.Registry) { answers(r, "x", empty, blocks) }, result("1", ""), false},
		{"BlocksIf of a guard", func(r *mux.Registry) {
			answers(r, "x", empty)
			r.Guard(mux.FromPeer, mux.IQ, pass, blocks)
		}, result("1", ""), false},
		{"BlocksIf at the recipient", func(r *mux.Registry) {
			answers(r, "x", empty)
			r.Guard(mux.ToAccount, mux.AnyStanza, pass, blocks)
		}, result("1", ""), false},
		{"inbound sink", func(r *mux.Registry) {
			answers(r, "x", empty)
			r.Inbound(mux.Track, func(_ *mux.Session, next mux.Sink) mux.Sink { return badInbound{next} })
		}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, with(tt.register))
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				romeo.Send(request("x", "1"))
				if tt.want != "" {
					romeo.Expect(tt.want)
				}
				if tt.closed {
					romeo.ExpectClosed("internal-server-error")
					romeo = h.Connect(t, romeoFull)
				}
				romeo.Send(send("2")...)
				juliet.Expect(message("2"))
				juliet.Send("<message to='" + romeoFull + "' id='3'/>")
				romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='3'/>")
				time.Sleep(time.Minute)
				romeo.ExpectNone()
				juliet.ExpectNone()
			})
		})
	}
}
