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

// A panic bounces the stanza, and ends the origin's stream only if it happened in
// the turn of that stream's own stanza (core-im CORE-18).
func TestPanic(t *testing.T) {
	t.Parallel()
	boom := func(context.Context, *mux.Event) (mux.Verdict, error) { panic("on purpose") }
	observe := func(context.Context, *mux.Event) { panic("on purpose") }
	for _, tt := range []struct {
		name     string
		register func(r *mux.Registry)
		stanza   string
		bounced  bool
		arrives  bool
		closed   bool // romeo's stream
	}{
		{"FromPeer", func(r *mux.Registry) { r.Guard(mux.FromPeer, mux.Message, boom) }, send("1")[0], true, false, true},
		{"FromAccount", func(r *mux.Registry) { r.Modify(mux.FromAccount, mux.Message, boom) }, send("1")[0], true, false, true},
		{"observer", func(r *mux.Registry) { r.Observe(mux.FromPeer, mux.Message, observe) }, send("1")[0], true, false, true},
		{"ToAccount", func(r *mux.Registry) { onlyJuliet(r, boom) }, send("1")[0], true, false, false},
		{"observer of what was delivered", func(r *mux.Registry) { r.Observe(mux.ToAccount, mux.Message, observe) }, send("1")[0], false, true, false},
		{"request", func(r *mux.Registry) {
			answers(r, "x", func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { panic("on purpose") })
		}, "<iq type='get' id='1' to='example.net'><x xmlns='" + nsToy + "'/></iq>", true, false, true},
		{"request elsewhere", func(r *mux.Registry) {
			answers(r, "x", func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { panic("on purpose") })
		}, "<iq type='get' id='1' to='juliet@example.net'><x xmlns='" + nsToy + "'/></iq>", true, false, false},
		{"sink", func(r *mux.Registry) {
			r.Outbound(mux.Hold, func(s *mux.Session, next mux.Sink) mux.Sink {
				if s.Account().Local() == "juliet" {
					return panicSink{next}
				}
				return next
			})
		}, "<message to='" + julietFull + "' id='1' type='chat'><body>x</body></message>", true, false, false},
		{"nonza", func(r *mux.Registry) { r.Nonza(name(nsToy, "x"), boom) }, "<x xmlns='" + nsToy + "'/>", false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, with(tt.register))
				juliet, romeo := h.Connect(t, julietFull), h.Connect(t, romeoFull)
				romeo.Send(tt.stanza)
				if tt.bounced {
					to := string(addr(stanzaTo(tt.stanza)).String())
					kind := "message"
					if tt.stanza[1] == 'i' {
						kind = "iq"
					}
					romeo.Expect(refused(kind, to, romeoFull, "1", "wait", "internal-server-error"))
				}
				if tt.closed {
					romeo.ExpectClosed("internal-server-error")
				}
				romeo.ExpectNone()
				if tt.arrives {
					juliet.Expect(message("1"))
				}
				juliet.ExpectNone()
				// The accounts and sessions go on.
				juliet.Send("<iq type='result' id='2' to='" + romeoFull + "'/>")
				if !tt.closed {
					romeo.Expect("<iq type='result' id='2' from='" + julietFull + "' to='" + romeoFull + "'/>")
				}
				h.Connect(t, "romeo@example.net/again").Send("<iq type='result' id='3' to='" + julietFull + "'/>")
				if tt.name != "sink" {
					juliet.Expect("<iq type='result' id='3' from='romeo@example.net/again' to='" + julietFull + "'/>")
				}
			})
		})
	}
}

func stanzaTo(el string) string {
	s, err := mux.Parse([]byte(el))
	if err != nil {
		panic(err)
	}
	return s.To().String()
}

func onlyJuliet(r *mux.Registry, h mux.Handler) {
	r.Guard(mux.ToAccount, mux.Message, func(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
		if e.Account.Local() == "juliet" {
			return h(ctx, e)
		}
		return mux.Pass, nil
	})
}

type panicSink struct{ next mux.Sink }

func (panicSink) Put(*mux.Item) error { panic("on purpose") }

// A panic in a session's life does not keep it from beginning or ending.
func TestPanicInLifecycle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bound, closed := false, 0
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Lifecycle(mux.Lifecycle{
				Bound: func(context.Context, *mux.Event) {
					if !bound {
						panic("on purpose")
					}
				},
				Detached: func(*mux.Session) time.Duration { panic("on purpose") },
				Closed:   func(context.Context, *mux.Event) { panic("on purpose") },
			})
			r.Lifecycle(mux.Lifecycle{Closed: func(context.Context, *mux.Event) { closed++ }})
		}))
		c := h.Dial(t, "romeo@example.net")
		if s, err := c.Stream.Bind(t.Context(), nil); err == nil {
			t.Errorf("bound %v although a handler panicked", s)
		}
		if n := len(h.Mux().Sessions(addr("romeo@example.net"))); n > 0 {
			t.Errorf("%d sessions are left", n)
		}
		bound = true
		romeo := h.Connect(t, romeoFull)
		romeo.Drop()
		if err := romeo.Session.End(t.Context()); err != nil || len(h.Mux().Sessions(addr("romeo@example.net"))) > 0 {
			t.Errorf("the session has not ended: %v", err)
		}
		if closed == 0 {
			t.Error("the other extension was not told of the end")
		}
	})
}
