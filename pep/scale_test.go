package pep_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/roster"
)

// BenchmarkLargeNode: what a publication costs does not depend on how many items there are
// (S-8): of a new item, of the oldest again, and where the oldest has to go.
func BenchmarkLargeNode(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		for _, kind := range []string{"oldest again", "oldest goes"} {
			b.Run(fmt.Sprintf("items=%d/%s", n, kind), func(b *testing.B) {
				store := new(pep.Memory)
				large(b, store, n)
				x := pep.New(store, &pep.Options{PerMinute: -1, MaxItems: n})
				m, err := mux.New(benchHost{}, nil, x)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = m.Shutdown(context.Background()) })
				do := func(f func(ctx context.Context, e *mux.Event)) {
					if err := m.Do(b.Context(), addr("juliet@example.net"), f); err != nil {
						b.Fatal(err)
					}
				}
				c := &crowd{m: m, x: x}
				c.connect(b, "juliet@example.net/x", "other", false) // so that the account stays in use
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					id := fmt.Sprint(i % n) // the oldest
					if kind == "oldest goes" {
						id = fmt.Sprint("new", i)
					}
					i++
					do(func(ctx context.Context, e *mux.Event) {
						if _, err := x.Publish(ctx, e, pep.Publication{Node: "n", ID: id, Payload: "<x xmlns='urn:x'/>"}); err != nil {
							b.Error(err)
						}
					})
				}
			})
		}
	}
}

// timed is a connection that notes when something is written to it.
type timed struct{ at chan time.Time }

func (c timed) Write([]byte) error {
	c.at <- time.Now()
	return nil
}
func (timed) Pending() int { return 0 }
func (timed) Close(error)  {}

// BenchmarkStorm is how long a message takes between two others while five hundred contacts
// of an account come online, over and over (S-33), and while nothing happens.
func BenchmarkStorm(b *testing.B) {
	for _, contacts := range []int{0, 500} {
		b.Run(fmt.Sprintf("contacts=%d", contacts), func(b *testing.B) {
			rosters := new(roster.Memory)
			for i := range contacts {
				apply(b, rosters.Put(addr("juliet@example.net"), rosterItem(fmt.Sprintf("c%d@example.org", i))))
			}
			r := roster.New(rosters, nil)
			waits := func(e *mux.Event) bool { return !r.Cached(e) }
			x := pep.New(new(pep.Memory), &pep.Options{Subscription: r.Subscription, Contacts: r.Contacts, Waits: waits})
			m, err := mux.New(benchHost{}, nil, r, x, capable{x})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = m.Shutdown(context.Background()) })
			c := &crowd{m: m, x: x}
			juliet := c.connect(b, "juliet@example.net/x", "", false)
			c.receive(b, juliet, "<iq type='set' id='1'>"+publication("n", "1")+"</iq>")
			nurse := c.connect(b, "nurse@example.net/x", "", false)
			romeo := timed{make(chan time.Time, 16)}
			st := m.NewStream(romeo, mux.Client)
			st.SetState(mux.Secure | mux.Authenticated)
			st.SetAccount(addr("romeo@example.net"))
			if _, err := st.Bind(b.Context(), &mux.BindOptions{Resource: "x"}); err != nil {
				b.Fatal(err)
			}
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				c.presences(b, contacts, stop)
			}()
			var took []time.Duration
			for b.Loop() {
				at := time.Now()
				c.receive(b, nurse, "<message to='romeo@example.net/x'><body>x</body></message>")
				took = append(took, (<-romeo.at).Sub(at))
			}
			close(stop)
			<-done
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
		})
	}
}

// presences has contacts come and go, five hundred in a second, until it is stopped.
func (c *crowd) presences(b *testing.B, contacts int, stop chan struct{}) {
	if contacts == 0 {
		return
	}
	far := c.m.NewStream(sinkConn{}, mux.Server)
	far.SetState(mux.Secure | mux.Authenticated)
	far.Authorize("example.org")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for k := 0; ; k++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for i := range 5 {
			n, typ := 5*k+i, ""
			if n/contacts%2 == 1 {
				typ = " type='unavailable'"
			}
			s, err := mux.Parse(fmt.Appendf(nil, "<presence from='c%d@example.org/1' to='juliet@example.net'%s><c xmlns='x:caps'>n</c></presence>", n%contacts, typ))
			if err == nil {
				err = far.Receive(b.Context(), s)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
		far.Flush()
	}
}
