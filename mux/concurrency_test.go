package mux_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// pingPong sends each message back until its hop count is used up.
func pingPong(r *mux.Registry) {
	r.Observe(mux.ToAccount, mux.Message, func(ctx context.Context, e *mux.Event) {
		hops, err := strconv.Atoi(e.Stanza.ID())
		if err != nil || hops == 0 {
			return
		}
		back := mux.Make(mux.Head{Kind: mux.Message, ID: strconv.Itoa(hops - 1), From: e.Account, To: e.Stanza.From().Bare()})
		e.Send(ctx, back)
	})
}

// Accounts that send to each other, to themselves and to many do not deadlock,
// from any number of goroutines.
func TestNoDeadlock(t *testing.T) {
	t.Parallel()
	for _, committer := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := &mux.Options{}
			if committer {
				o.Committer = new(muxtest.Committer)
			}
			h := muxtest.New(t, o, with(pingPong), writing(), ext{"fan", func(r *mux.Registry) {
				r.Observe(mux.ToAccount, mux.Message, func(ctx context.Context, e *mux.Event) {
					if e.Stanza.ID() != "fan" {
						return
					}
					for i := range 200 {
						e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message, ID: "3", From: e.Account, To: addr(fmt.Sprintf("u%d@example.net", i%4))}))
						e.Do(addr(fmt.Sprintf("x%d@example.net", i)), func(context.Context, *mux.Event) {})
					}
				})
			}})
			var clients []*muxtest.Client
			for i := range 4 {
				c := h.Connect(t, fmt.Sprintf("u%d@example.net/x", i))
				c.Send("<presence/>")
				clients = append(clients, c)
			}
			for i, c := range clients {
				for j := range clients {
					c.Write(fmt.Sprintf("<message to='u%d@example.net' id='%d'/>", j, 100+i))
				}
				c.Write("<message id='50'/>", "<message to='u0@example.net' id='fan'/>")
			}
			h.Settle()
			for _, c := range clients {
				if c.Unread() > 0 || c.Stream.InProgress() > 0 {
					t.Errorf("%d unread, %d in progress", c.Unread(), c.Stream.InProgress())
				}
			}
		})
	}
}

// What one session sends to another arrives in order, whatever else goes on
// (core-im CORE-1): many senders to one recipient, handlers that wait now and
// then, and a store.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		committer, waits bool
	}{{"plain", false, false}, {"store", true, false}, {"waiting handlers", false, true}, {"both", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := &mux.Options{}
			if tt.committer {
				o.Committer = new(muxtest.Committer)
			}
			var opts []mux.RegisterOption
			if tt.waits {
				opts = append(opts, mux.BlocksIf(func(e *mux.Event) bool { return strings.HasSuffix(e.Stanza.ID(), "7") }))
			}
			h := muxtest.New(t, o, with(func(r *mux.Registry) {
				for _, p := range []mux.Point{mux.FromPeer, mux.ToAccount} {
					r.Guard(p, mux.Message, func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Pass, nil }, opts...)
				}
			}), writing())
			const senders, each = 8, 200
			juliet := h.Connect(t, julietFull)
			juliet.Send("<presence/>")
			var wg sync.WaitGroup
			for i := range senders {
				c := h.Connect(t, fmt.Sprintf("u%d@example.net/x", i))
				wg.Go(func() {
					for n := range each {
						to := julietFull
						if n%3 == 0 {
							to = "juliet@example.net"
						}
						c.Write(fmt.Sprintf("<message type='chat' to='%s' id='%d'/>", to, n))
					}
				})
			}
			wg.Wait()
			next := make(map[string]int)
			for range senders * each {
				s := juliet.Recv()
				from := s.From().Local()
				if s.ID() != strconv.Itoa(next[from]) {
					t.Fatalf("%s: got %s, want %d", from, s.ID(), next[from])
				}
				next[from]++
			}
		})
	}
}

// The same to another domain.
func TestOrderToDomain(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer)}, writing())
	const senders, each = 8, 100
	var wg sync.WaitGroup
	for i := range senders {
		c := h.Connect(t, fmt.Sprintf("u%d@example.net/x", i))
		wg.Go(func() {
			for n := range each {
				kind := "message"
				if n%2 == 0 {
					kind = "presence" // writes nothing
				}
				c.Send(fmt.Sprintf("<%s to='nurse@example.org' id='%d'/>", kind, n))
			}
		})
	}
	wg.Wait()
	next := make(map[string]int)
	for range senders * each {
		got, ok := h.TakeRouted("example.org")
		if !ok {
			t.Fatalf("after %v nothing is left", next)
		}
		s, err := mux.Parse([]byte(got))
		if err != nil {
			t.Fatal(err)
		}
		if from := s.From().Local(); s.ID() != strconv.Itoa(next[from]) {
			t.Fatalf("%s: got %s, want %d", from, s.ID(), next[from])
		} else {
			next[from]++
		}
	}
}

// Sessions come, go and are sent to, all at once.
func TestChurn(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer)}, &csi{}, &smacks{keep: 1 << 40}, writing(), new(quietStore))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 40 {
				me, other := fmt.Sprintf("u%d@example.net", i%2), fmt.Sprintf("u%d@example.net", (i+1)%2)
				c := h.Connect(t, me+"/"+strconv.Itoa(n%3))
				c.Write("<presence/>", "<enable xmlns='"+nsSM+"'/>", "<message to='"+other+"' id='x'><body>x</body></message>",
					"<inactive xmlns='"+nsCSI+"'/>", "<message to='"+other+"/1' id='y' type='chat'><body>x</body></message>")
				switch n % 4 {
				case 0:
					c.Close()
				case 1:
					r := h.Dial(t, me)
					r.Send("<resume xmlns='" + nsSM + "' previd='" + c.Session.ID().String() + "' h='0'/>")
					r.Drop()
				case 2:
					c.Drop()
				}
			}
		})
	}
	wg.Wait()
}

// quietStore takes everything.
type quietStore struct{}

func (*quietStore) Name() string { return "quiet" }

func (*quietStore) Register(r *mux.Registry) error {
	r.Undelivered(mux.AnyStanza, func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Done, nil })
	return nil
}
