package pep_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/roster"
)

// benchHost serves example.net, where every account exists.
type benchHost struct{}

func (benchHost) Local(domain string) bool                               { return domain == "example.net" }
func (benchHost) Account(mux.Address) (exists, known bool)               { return true, true }
func (benchHost) LoadAccount(context.Context, mux.Address) (bool, error) { return true, nil }
func (benchHost) Route(context.Context, *mux.Item) error                 { return nil }

// sinkConn takes everything, and counts events.
type sinkConn struct{ c *crowd }

func (c sinkConn) Write(p []byte) error {
	if n := strings.Count(string(p), "<event "); n > 0 && c.c != nil {
		c.c.events.Add(int64(n))
		select {
		case c.c.more <- struct{}{}:
		default:
		}
	}
	return nil
}
func (sinkConn) Pending() int { return 0 }
func (sinkConn) Close(error)  {}

// crowd is an account with contacts, of whom some are online and some of these interested
// in a node. Nobody's presence is told to anybody.
type crowd struct {
	m      *mux.Mux
	x      *pep.Extension
	st     *mux.Stream
	events atomic.Int64
	more   chan struct{} // told of each
}

func newCrowd(tb testing.TB, contacts, online, interested int) *crowd {
	tb.Helper()
	rosters := new(roster.Memory)
	juliet := addr("juliet@example.net")
	for i := range contacts {
		c := addr(fmt.Sprintf("c%d@example.net", i))
		apply(tb, rosters.Put(juliet, rosterItem(c.String())), rosters.Put(c, rosterItem(juliet.String())))
	}
	r, b := roster.New(rosters, nil), blocking.New(new(blocking.Memory), nil)
	c := &crowd{more: make(chan struct{}, 1), x: pep.New(new(pep.Memory), &pep.Options{Subscription: r.Subscription, Contacts: r.Contacts, Blocked: b.Blocked, PerMinute: -1,
		Waits: func(e *mux.Event) bool { return !r.Cached(e) || !b.Cached(e) }})}
	m, err := mux.New(benchHost{}, nil, b, r, c.x, capable{c.x})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = m.Shutdown(context.Background()) })
	c.m = m
	for i := range online {
		nodes := "other"
		if i < interested {
			nodes = "n"
		}
		c.connect(tb, fmt.Sprintf("c%d@example.net/x", i*contacts/online), nodes, true)
	}
	c.st = c.connect(tb, "juliet@example.net/x", "other", false)
	return c
}

func (c *crowd) connect(tb testing.TB, full, nodes string, counted bool) *mux.Stream {
	tb.Helper()
	var sink sinkConn
	if counted {
		sink.c = c
	}
	st := c.m.NewStream(sink, mux.Client)
	st.SetState(mux.Secure | mux.Authenticated)
	st.SetAccount(addr(full).Bare())
	if _, err := st.Bind(tb.Context(), &mux.BindOptions{Resource: addr(full).Resource()}); err != nil {
		tb.Fatal(err)
	}
	c.receive(tb, st, "<presence><c xmlns='x:caps'>"+nodes+"</c></presence>")
	return st
}

func (c *crowd) receive(tb testing.TB, st *mux.Stream, raw string) {
	s, err := mux.Parse([]byte(raw))
	if err == nil {
		err = st.Receive(tb.Context(), s)
	}
	if err != nil {
		tb.Fatal(err)
	}
	st.Flush()
}

// arrived waits until there have been so many events.
func (c *crowd) arrived(tb testing.TB, want int) {
	tb.Helper()
	late := time.After(20 * time.Second)
	for c.events.Load() < int64(want) {
		select {
		case <-c.more:
		case <-late:
			tb.Fatalf("%d events, want %d", c.events.Load(), want)
		}
	}
	if got := c.events.Load(); got != int64(want) {
		tb.Fatalf("%d events, want %d", got, want)
	}
}

// BenchmarkPublish: what a publication costs depends on those interested, not on the
// roster or on who is online.
func BenchmarkPublish(b *testing.B) {
	for _, t := range []struct{ contacts, online, interested int }{{100, 50, 10}, {1000, 50, 10}, {5000, 50, 10}, {1000, 50, 0}, {1000, 500, 10}, {1000, 50, 50}} {
		b.Run(fmt.Sprintf("contacts=%d/online=%d/interested=%d", t.contacts, t.online, t.interested), func(b *testing.B) {
			c := newCrowd(b, t.contacts, t.online, t.interested)
			c.receive(b, c.st, "<iq type='set' id='1'>"+publication("n", "1")+"</iq>")
			c.arrived(b, t.interested)
			raw := "<iq type='set' id='1'>" + publication("n", "1") + "</iq>"
			b.ReportAllocs()
			n := 1
			for b.Loop() {
				c.receive(b, c.st, raw)
				n++
			}
			c.arrived(b, n*t.interested)
		})
	}
}

// BenchmarkPresence is one that says nothing new.
func BenchmarkPresence(b *testing.B) {
	c := newCrowd(b, 1, 1, 1)
	nodes := []string{"a", "b"}
	_ = c.m.Do(b.Context(), addr("juliet@example.net"), func(ctx context.Context, e *mux.Event) {
		c.x.Wants(ctx, e, addr("juliet@example.net/x"), nodes)
		c.x.Wants(ctx, e, addr("far@example.org/x"), nodes)
		own, far := addr("juliet@example.net/x"), addr("far@example.org/x")
		b.ReportAllocs()
		for b.Loop() {
			c.x.Wants(ctx, e, own, nodes)
			c.x.Wants(ctx, e, far, nodes)
		}
	})
}

// TestAllocPresence: presence that says nothing new costs nothing (3.2).
func TestAllocPresence(t *testing.T) {
	c := newCrowd(t, 1, 1, 1)
	nodes := []string{"a", "b"}
	err := c.m.Do(t.Context(), addr("juliet@example.net"), func(ctx context.Context, e *mux.Event) {
		own, far := addr("juliet@example.net/x"), addr("far@example.org/x")
		tell := func() {
			c.x.Wants(ctx, e, own, nodes)
			c.x.Wants(ctx, e, far, nodes)
		}
		tell()
		if n := testing.AllocsPerRun(100, tell); n != 0 {
			t.Errorf("%v allocations, want none", n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asked counts what the roster is asked while something is published.
func asked(t *testing.T, contacts, online, interested int, options ...string) int64 {
	t.Helper()
	var n atomic.Int64
	rosters := new(roster.Memory)
	for i := range contacts {
		apply(t, rosters.Put(addr("juliet@example.net"), rosterItem(fmt.Sprintf("c%d@example.net", i))))
	}
	r := roster.New(rosters, nil)
	x := pep.New(new(pep.Memory), &pep.Options{
		Subscription: func(ctx context.Context, e *mux.Event, contact mux.Address) (from, to bool) {
			n.Add(1)
			return r.Subscription(ctx, e, contact)
		},
		Contacts: func(ctx context.Context, e *mux.Event, yield func(contact mux.Address, from, to bool) bool) error {
			return r.Contacts(ctx, e, func(contact mux.Address, from, to bool) bool {
				n.Add(1)
				return yield(contact, from, to)
			})
		},
		Waits: func(e *mux.Event) bool { return !r.Cached(e) },
	})
	m, err := mux.New(benchHost{}, nil, r, x, capable{x})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Shutdown(context.Background()) }()
	c := &crowd{m: m, x: x}
	for i := range online {
		nodes := "other"
		if i < interested {
			nodes = "n"
		}
		c.connect(t, fmt.Sprintf("c%d@example.net/x", i), nodes, false)
	}
	st := c.connect(t, "juliet@example.net/x", "other", false)
	c.receive(t, st, "<iq type='set' id='1'>"+publication("n", "1", options...)+"</iq>")
	synctest.Wait()
	n.Store(0)
	c.receive(t, st, "<iq type='set' id='2'>"+publication("n", "1")+"</iq>")
	synctest.Wait()
	return n.Load()
}

// TestPublishCost: a publication asks the roster about those interested, no others, and of
// a private node about nobody.
func TestPublishCost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		contacts, online, interested int
		access                       string
		most                         int64
	}{{1000, 50, 10, "presence", 10}, {5000, 50, 10, "presence", 10}, {1000, 50, 0, "presence", 0}, {1000, 50, 10, "whitelist", 0}} {
		synctest.Test(t, func(t *testing.T) {
			if got := asked(t, c.contacts, c.online, c.interested, "access_model="+c.access); got > c.most {
				t.Errorf("%+v: the roster was asked %d times", c, got)
			}
		})
	}
}
