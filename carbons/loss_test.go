package carbons_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// stubborn keeps what was put into sessions until the test acknowledges it, and
// sessions as long as their resource says.
type stubborn struct{ key mux.Key[[]mux.Item] }

func (*stubborn) Name() string { return "stubborn" }

func (x *stubborn) Register(r *mux.Registry) error {
	x.key = mux.Slot[[]mux.Item](r)
	r.Outbound(mux.Track, func(s *mux.Session, next mux.Sink) mux.Sink { return &stubbornSink{x.key.Of(s), next} })
	r.Lifecycle(mux.Lifecycle{
		Attached: func(s *mux.Session) { s.SetTracked(true) },
		Detached: func(s *mux.Session) time.Duration {
			if s.JID().Resource() == "short" {
				return time.Minute
			}
			return time.Hour
		},
	})
	return nil
}

type stubbornSink struct {
	items *[]mux.Item
	next  mux.Sink
}

func (k *stubbornSink) Put(it *mux.Item) error {
	*k.items = append(*k.items, *it)
	return k.next.Put(it)
}

func (k *stubbornSink) Unacked() []mux.Item { return *k.items }

// ack acknowledges everything.
func (x *stubborn) ack(s *mux.Session) {
	s.Sync(func() {
		for _, it := range *x.key.Of(s) {
			it.Record.Arrived()
		}
		*x.key.Of(s) = nil
	})
}

// TestLastHope: SM-93, FI-31: a message that one session has and another has a copy of,
// both without a stream, is kept once, when both are lost; not if one of them is not.
func TestLastHope(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		direct, copy string // resources of those that get the message and the copy
		ack          string // who gets it after all, before its time is over
		own          bool   // sent by another session of the account
		then         []string
	}{
		{name: "the copy is the last", direct: "short", copy: "long", then: []string{"m replay delayed"}},
		{name: "the message is the last", direct: "long", copy: "short", then: []string{"m replay delayed"}},
		{name: "the copy arrives later", direct: "short", copy: "long", ack: "long"},
		{name: "the copy has arrived", direct: "long", copy: "short", ack: "short"},
		{name: "the message arrives later", direct: "long", copy: "short", ack: "long"},
		{name: "the message has arrived", direct: "short", copy: "long", ack: "short"},
		{name: "own", direct: "short", copy: "long", own: true, then: []string{"m replay delayed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := new(stubborn)
				var h *muxtest.Host
				var mu sync.Mutex
				var kept []string
				check := func(when string, want []string) {
					t.Helper()
					h.Settle()
					mu.Lock()
					defer mu.Unlock()
					if !slices.Equal(kept, want) {
						t.Errorf("kept %q when %s was lost, want %q", kept, when, want)
					}
				}
				h = muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil), tr, ext(func(r *mux.Registry) {
					r.Undelivered(mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
						note := e.Stanza.ID()
						if e.Item.Flags == mux.Replay {
							note += " replay"
						}
						if len(e.Item.Extra) > 0 {
							note += " delayed"
						}
						if e.Item.Inner != nil || e.Item.Recipient() != mux.MustParseAddress("romeo@example.net/"+tt.direct) {
							t.Errorf("kept %s for %s", e.Stanza.Append(nil, ""), e.Item.Recipient())
						}
						mu.Lock()
						defer mu.Unlock()
						kept = append(kept, note)
						return mux.Done, nil
					})
				}))
				direct, other := h.Connect(t, "romeo@example.net/"+tt.direct), h.Connect(t, "romeo@example.net/"+tt.copy)
				other.Send(enable)
				for _, c := range []*muxtest.Client{direct, other} {
					c.Drop()
					tr.ack(c.Session)
				}
				from := "juliet@example.net/x"
				if tt.own {
					from = "romeo@example.net/desk"
				}
				sender := h.Connect(t, from)
				sender.Send("<message type='chat' to='romeo@example.net/" + tt.direct + "' id='m'><body>x</body></message>")
				sender.Close()
				for _, c := range []*muxtest.Client{direct, other} {
					if c.Session.JID().Resource() == tt.ack {
						tr.ack(c.Session)
					}
				}
				time.Sleep(2 * time.Minute)
				check("the first", nil)
				time.Sleep(2 * time.Hour)
				check("the other", tt.then)
			})
		})
	}
}

// TestKeptOnce: what nobody got was kept when it came; that a session loses a copy of it
// changes nothing.
func TestKeptOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := new(stubborn)
		kept := 0
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil), tr, ext(func(r *mux.Registry) {
			r.Undelivered(mux.Message, func(context.Context, *mux.Event) (mux.Verdict, error) {
				kept++
				return mux.Done, nil
			})
		}))
		phone := h.Connect(t, "romeo@example.net/phone")
		phone.Send(enable)
		phone.Drop()
		h.Connect(t, "juliet@example.net/x").Send("<message type='chat' to='romeo@example.net' id='m'><body>x</body></message>")
		time.Sleep(2 * time.Hour)
		h.Settle()
		if kept != 1 || phone.Session.State() != mux.Gone {
			t.Errorf("kept %d times", kept)
		}
	})
}
