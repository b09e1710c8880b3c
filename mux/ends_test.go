package mux_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// A session ends with a stanza whose Work has not committed: what becomes of the
// stanza is decided when the Work has ended, and nothing if it has failed, since
// its sender knows that it was not taken.
func TestSessionEndsBeforeCommit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                 string
		fails, other, proper bool
	}{
		{name: "kept"},
		{name: "kept, proper end", proper: true},
		{name: "to the other session", other: true},
		{name: "fails", fails: true},
		{name: "fails, other session", fails: true, other: true},
		{name: "fails, proper end", fails: true, proper: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := new(store)
				h, c := held(t, new(ledger), st)
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				other := h.Connect(t, "juliet@example.net/other")
				if tt.other {
					other.Send("<presence/>")
				}
				c.Hold()
				romeo.Send(send("1")...)
				if tt.proper {
					juliet.Close()
				} else {
					juliet.Drop()
				}
				if juliet.Session.State() != mux.Closing {
					t.Errorf("the session is %s", juliet.Session.State())
				}
				st.want(t) // not decided yet
				other.ExpectNone()
				if tt.fails {
					c.Fail(errTest)
				}
				c.Release()
				h.Settle()
				switch {
				case tt.fails:
					st.want(t)
					romeo.ExpectClosed("internal-server-error")
				case tt.other:
					st.want(t)
					other.Expect("<message from='" + romeoFull + "' to='" + julietFull + "' id='1'><body>x</body><delay xmlns='urn:xmpp:delay' from='example.net' stamp='*'/></message>")
				default:
					st.want(t, "1 replay delayed")
				}
				other.ExpectNone()
				romeo.ExpectNone()
				if juliet.Session.State() != mux.Gone {
					t.Errorf("in the end the session is %s", juliet.Session.State())
				}
			})
		})
	}
}

// One stanza sent to two accounts is two messages: that one of them has arrived
// says nothing of the other.
func TestOneStanzaTwoRecipients(t *testing.T) {
	t.Parallel()
	body := mux.RawChild(name(mux.NSClient, "body"), "<body>x</body>")
	make1 := func() *mux.Stanza {
		return mux.Make(mux.Head{Kind: mux.Message, Type: "chat", ID: "1", From: addr("example.net")}, body)
	}
	to := []mux.Address{addr(romeoFull), addr(julietFull)}
	inTurn := func(h *muxtest.Host, f func(ctx context.Context, e *mux.Event)) error {
		return h.Mux().Do(context.Background(), addr("example.net"), f)
	}
	for what, announce := range map[string]func(h *muxtest.Host) error{
		"SendItem": func(h *muxtest.Host) error {
			m := make1()
			return inTurn(h, func(ctx context.Context, e *mux.Event) {
				for _, a := range to {
					e.SendItem(ctx, mux.Item{Stanza: m, To: a})
				}
			})
		},
		"WithTo": func(h *muxtest.Host) error {
			m := make1().WithTo(to[0])
			return inTurn(h, func(ctx context.Context, e *mux.Event) {
				for _, a := range to {
					e.Send(ctx, m.WithTo(a))
				}
			})
		},
		"Inject": func(h *muxtest.Host) error {
			m := make1()
			if err := h.Mux().Inject(context.Background(), mux.Item{Stanza: m, To: to[0]}); err != nil {
				return err
			}
			return h.Mux().Inject(context.Background(), mux.Item{Stanza: m, To: to[1]})
		},
		"Deliver": func(h *muxtest.Host) error {
			m := make1()
			for _, a := range to {
				if n, err := h.Mux().Deliver(context.Background(), mux.Item{Stanza: m, To: a}); err != nil || n != 1 {
					return fmt.Errorf("%d took it: %w", n, err)
				}
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := new(store)
				h := muxtest.New(t, nil, st, &smacks{keep: time.Hour})
				romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
				if err := announce(h); err != nil {
					t.Fatal(err)
				}
				for i, c := range []*muxtest.Client{romeo, juliet} {
					c.Expect("<message type='chat' from='example.net' to='" + to[i].String() + "' id='1'><body>x</body></message>")
				}
				juliet.Drop()
				time.Sleep(time.Hour + 1)
				h.Settle()
				if got := st.take(); !slices.Equal(got, []string{"1"}) {
					t.Errorf("kept %q of what was never acknowledged", got)
				}
			})
		})
	}
}

// The copies of one message for the sessions of one account are one message.
func TestOneStanzaOneAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		h := muxtest.New(t, nil, st, &smacks{keep: time.Hour})
		juliet, desk := enabled(t, h), h.Connect(t, "juliet@example.net/desk")
		desk.Send("<presence/>")
		m := mux.Make(mux.Head{Kind: mux.Message, Type: "chat", ID: "1", From: addr("example.net"), To: addr("juliet@example.net")})
		if err := h.Mux().Inject(t.Context(), mux.Item{Stanza: m}); err != nil {
			t.Fatal(err)
		}
		desk.Expect("<message type='chat' from='example.net' to='juliet@example.net' id='1'/>")
		juliet.Drop()
		time.Sleep(time.Hour + 1)
		h.Settle()
		st.want(t)
	})
}

func chats(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("<message type='chat' to='%s' id='%d'><body>x</body></message>", julietFull, i))
	}
	return out
}

// A session without a stream for which more comes than may wait ends: it must not
// keep the old and pass by the new.
func TestHibernationOverflow(t *testing.T) {
	t.Parallel()
	for _, feed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h := muxtest.New(t, &mux.Options{MaxQueue: 600}, st, with(func(r *mux.Registry) {
				r.Lifecycle(mux.Lifecycle{Detached: func(*mux.Session) time.Duration { return time.Hour }})
			}))
			romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
			juliet.Send("<presence/>")
			juliet.Drop()
			if feed {
				var n int
				juliet.Session.Feed(pages("a", 5, 10, &n))
			}
			romeo.Send(chats(2)...)
			if juliet.Session.State() != mux.Hibernating || st.len() > 0 {
				t.Fatalf("the session is %s, %d kept", juliet.Session.State(), st.len())
			}
			romeo.Send(chats(10)[2:]...)
			if juliet.Session.State() != mux.Gone {
				t.Errorf("the session is %s", juliet.Session.State())
			}
			got := st.take()
			slices.Sort(got)
			if want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}; !slices.Equal(got, want) {
				t.Errorf("kept %q", got)
			}
			romeo.ExpectNone()
		})
	}
}

// More is to be written than may wait, and stream management has it: it is taken,
// nobody else is asked, and a new stream gets all of it.
func TestTrackedOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, c := new(store), new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, MaxQueue: 400}, new(ledger), &smacks{keep: time.Hour}, st)
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		c.Hold()
		romeo.Send(send("1", "2", "3", "4", "5", "6")...)
		juliet.Expect(muxtest.Dropped)
		if juliet.Session.State() != mux.Hibernating {
			t.Errorf("the session is %s", juliet.Session.State())
		}
		c.Release()
		h.Settle()
		st.want(t)
		romeo.ExpectNone()
		again := resume(t, h, juliet, "0")
		again.Expect(resumed("1"), message("1"), message("2"), message("3"), message("4"), message("5"), message("6"), ask)
		again.ExpectNone()
		st.want(t)
	})
}
