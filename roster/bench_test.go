package roster_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/roster"
)

// bigRoster is a store in which juliet has a number of contacts.
func bigRoster(b *testing.B, n int) *roster.Memory {
	store := new(roster.Memory)
	for i := range n {
		apply(b, store.Put(juliet, roster.Item{JID: mux.MustParseAddress(fmt.Sprintf("contact%d@example.org", i)), Name: "A Contact",
			Groups: []string{"Friends"}, Subscription: roster.Both, Listed: true, Ver: uint64(i) + 1}))
	}
	return store
}

// BenchmarkLoad reads a roster of 1000 contacts from the store.
func BenchmarkLoad(b *testing.B) {
	x := roster.New(bigRoster(b, 1000), nil)
	h := muxtest.New(b, nil, x)
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Mux().Do(b.Context(), juliet, func(ctx context.Context, e *mux.Event) {
			if err := x.Load(ctx, e); err != nil {
				b.Error(err)
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// benchHost serves example.net, where every account exists.
type benchHost struct{}

func (benchHost) Local(domain string) bool                               { return domain == "example.net" }
func (benchHost) Account(mux.Address) (exists, known bool)               { return true, true }
func (benchHost) LoadAccount(context.Context, mux.Address) (bool, error) { return true, nil }
func (benchHost) Route(context.Context, *mux.Item) error                 { return nil }

// sinkConn takes everything.
type sinkConn struct{ n int64 }

func (c *sinkConn) Write(p []byte) error {
	c.n += int64(len(p))
	return nil
}
func (*sinkConn) Pending() int { return 0 }
func (*sinkConn) Close(error)  {}

// BenchmarkGet answers a roster get, with 1000 contacts or with nothing new.
func BenchmarkGet(b *testing.B) {
	for _, known := range []bool{false, true} {
		b.Run(map[bool]string{false: "all", true: "unchanged"}[known], func(b *testing.B) {
			store := bigRoster(b, 1000)
			m, err := mux.New(benchHost{}, nil, roster.New(store, nil))
			if err != nil {
				b.Fatal(err)
			}
			conn := new(sinkConn)
			st := m.NewStream(conn, mux.Client)
			st.SetState(mux.Secure | mux.Authenticated)
			st.SetAccount(juliet)
			if _, err := st.Bind(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
			ver := ""
			if known {
				ver = fmt.Sprintf(" ver='%s:%d'", kept(b, store, juliet).Epoch, 1000)
			}
			get, err := mux.Parse([]byte(getRoster(ver)))
			if err != nil {
				b.Fatal(err)
			}
			// The first one waits for the store, on a goroutine of its own.
			if err := st.Receive(b.Context(), get); err != nil {
				b.Fatal(err)
			}
			st.Flush()
			if err := m.Do(b.Context(), juliet, func(context.Context, *mux.Event) {}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := st.Receive(b.Context(), get); err != nil {
					b.Fatal(err)
				}
				st.Flush()
			}
			b.StopTimer()
			b.SetBytes(conn.n / int64(max(b.N, 1)))
			if err := m.Shutdown(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
