package mux_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// What Then asks for happens whatever becomes of the stanza, behind the answer.
func TestThenAlwaysRuns(t *testing.T) {
	t.Parallel()
	const nobody = "<iq type='get' id='1'><nobody xmlns='" + nsToy + "'/></iq>"
	unanswered := refused("iq", "romeo@example.net", romeoFull, "1", "cancel", "service-unavailable")
	for _, tt := range []struct {
		name    string
		point   mux.Point
		verdict mux.Verdict
		err     error
		stanza  string
		answer  string
	}{
		{"no handler", mux.FromPeer, mux.Pass, nil, nobody, unanswered},
		{"refused", mux.FromPeer, mux.Done, unavailable, nobody, unanswered},
		{"not answered", mux.FromPeer, mux.Done, nil, nobody, unanswered},
		{"message refused", mux.FromAccount, mux.Pass, unavailable, send("1")[0],
			refused("message", julietFull, romeoFull, "1", "cancel", "service-unavailable")},
		{"to self", mux.ToAccount, mux.Pass, nil, "<message id='1' type='headline'/>", ""},
		{"to self, refused", mux.ToAccount, mux.Pass, unavailable, "<message id='1' to='romeo@example.net'/>",
			refused("message", "romeo@example.net", romeoFull, "1", "cancel", "service-unavailable")},
		{"failed", mux.FromPeer, mux.Pass, errTest, nobody, refused("iq", "romeo@example.net", romeoFull, "1", "wait", "internal-server-error")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				push := mux.Make(mux.Head{Kind: mux.Message, ID: "push", From: addr("example.net")})
				h := muxtest.New(t, nil, with(func(r *mux.Registry) {
					r.Guard(tt.point, mux.AnyStanza, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
						if e.Stanza.Type() == "error" || e.Stanza.Kind() == mux.Presence {
							return mux.Pass, nil
						}
						e.Then(func(_ context.Context, e *mux.Event) {
							e.Deliver(mux.Item{Stanza: push, Flags: mux.Service}, e.Sessions()...)
						})
						return tt.verdict, tt.err
					})
				}))
				romeo := h.Connect(t, romeoFull)
				romeo.Send(tt.stanza)
				if tt.answer != "" {
					romeo.Expect(tt.answer)
				}
				romeo.Expect("<message id='push' from='example.net' to='" + romeoFull + "'/>")
				romeo.ExpectNone()
			})
		})
	}
}

// A client's answer to a request of a served domain is told in a turn of the
// domain.
func TestAnswerInTurnOfDomain(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"example.net", "romeo@example.net"} {
		synctest.Test(t, func(t *testing.T) {
			h := muxtest.New(t, nil)
			romeo := h.Connect(t, romeoFull)
			told := ""
			iq := parse(t, "<iq type='get' id='1' from='"+from+"' to='"+romeoFull+"'><x xmlns='urn:x'/></iq>")
			h.Mux().Query(t.Context(), iq, func(_ context.Context, e *mux.Event, _ *mux.Stanza, err error) {
				told += e.Account.String()
				if err != nil {
					t.Error(err)
				}
			})
			h.Settle()
			romeo.Send("<iq type='result' id='1' to='" + from + "'/>")
			if told != from {
				t.Errorf("told in the turn of %q, asked by %s", told, from)
			}
		})
	}
}

// Two requests that nobody can tell apart: the answer is for one of them, and both
// are told once.
func TestSameQueryTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo := h.Connect(t, romeoFull)
		first := query(h, "example.net", romeoFull, "1")
		time.Sleep(20 * time.Second)
		second := query(h, "example.net", romeoFull, "1")
		time.Sleep(10*time.Second + 1) // the first's time is over, not the second's
		h.Settle()
		if a := first.get(); a.called != 1 || !errors.Is(a.err, mux.ErrTimeout) {
			t.Errorf("first: %+v", a)
		}
		if a := second.get(); a.called != 0 {
			t.Errorf("second: %+v", a)
		}
		romeo.Send("<iq type='result' id='1' to='example.net'/>")
		time.Sleep(time.Minute)
		h.Settle()
		if a := second.get(); a.called != 1 || a.err != nil || a.reply == nil {
			t.Errorf("second: %+v", a)
		}
		if a := first.get(); a.called != 1 || h.Mux().Queries() != 0 {
			t.Errorf("first: %+v, %d requests are open", a, h.Mux().Queries())
		}
	})
}

// numberSink numbers what passes, as one does that keeps it durably.
type numberSink struct {
	rows *[]uint64
	next mux.Sink
}

func (k numberSink) Put(it *mux.Item) error {
	*k.rows = append(*k.rows, it.Row)
	it.Row, it.ID = uint64(len(*k.rows)), "x"
	return k.next.Put(it)
}

// What a sink of one session does to an item that is delivered to several is nothing to
// the others.
func TestDeliverToSeveral(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rows []uint64
		h := muxtest.New(t, nil, with(func(r *mux.Registry) {
			r.Outbound(mux.Hold, func(s *mux.Session, next mux.Sink) mux.Sink {
				if s.JID() == addr(romeoFull) {
					return next
				}
				return numberSink{&rows, next}
			})
			answers(r, "push", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				push := mux.Make(mux.Head{Kind: mux.Message, From: e.Account, ID: "push"})
				if n := e.Deliver(mux.Item{Stanza: push}, e.Sessions()...); n != 3 {
					t.Errorf("%d sessions took it", n)
				}
				return nil, nil
			})
		}))
		one, two, romeo := h.Connect(t, "romeo@example.net/one"), h.Connect(t, "romeo@example.net/two"), h.Connect(t, romeoFull)
		romeo.Send("<iq type='get' id='1'><push xmlns='" + nsToy + "'/></iq>")
		romeo.Expect("<message id='push' from='romeo@example.net' to='"+romeoFull+"'/>",
			"<iq type='result' id='1' from='romeo@example.net' to='"+romeoFull+"'/>")
		one.Expect("<message id='x' from='romeo@example.net' to='romeo@example.net/one'/>")
		two.Expect("<message id='x' from='romeo@example.net' to='romeo@example.net/two'/>")
		if len(rows) != 2 || rows[0] != 0 || rows[1] != 0 {
			t.Errorf("rows %d", rows)
		}
	})
}
