package blocking_test

import (
	"bytes"
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
)

// benchHost serves example.net, where every account exists.
type benchHost struct{}

func (benchHost) Local(domain string) bool                               { return domain == "example.net" }
func (benchHost) Account(mux.Address) (exists, known bool)               { return true, true }
func (benchHost) LoadAccount(context.Context, mux.Address) (bool, error) { return true, nil }
func (benchHost) Route(context.Context, *mux.Item) error                 { return nil }

// sinkConn takes everything, and counts messages.
type sinkConn struct{ n atomic.Int64 }

var messageTag = []byte("<message ")

func (c *sinkConn) Write(p []byte) error {
	c.n.Add(int64(bytes.Count(p, messageTag)))
	return nil
}
func (*sinkConn) Pending() int { return 0 }
func (*sinkConn) Close(error)  {}

// messages returns what lets romeo send juliet a message, and how many arrived.
func messages(t testing.TB, exts ...mux.Extension) (send func(), arrived func() int) {
	m, err := mux.New(benchHost{}, nil, exts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Shutdown(context.Background()) })
	bind := func(account, resource string) (*mux.Stream, *sinkConn) {
		c := new(sinkConn)
		st := m.NewStream(c, mux.Client)
		st.SetAccount(addr(account))
		if _, err := st.Bind(t.Context(), &mux.BindOptions{Resource: resource}); err != nil {
			t.Fatal(err)
		}
		return st, c
	}
	romeo, _ := bind("romeo@example.net", "orchard")
	_, conn := bind("juliet@example.net", "balcony")
	msg, err := mux.Parse([]byte("<message to='" + julietFull + "' type='chat' id='1'><body>Wherefore art thou, Romeo?</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	send = func() {
		sent++
		if err := romeo.Receive(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		romeo.Flush()
	}
	arrived = func() int { return int(conn.n.Load()) }
	for arrived() < 2 || arrived() < sent { // the first ones wait for the lists, on goroutines
		if arrived() == sent || sent == 0 {
			send()
		}
		runtime.Gosched()
	}
	return send, arrived
}

// TestAllocMessage: a message costs no allocation, with an empty list and with one
// that is about others.
func TestAllocMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	full := blocks(t, "example.org", "paris@example.net", "example.net/x")
	apply(t, full.Add(addr("romeo@example.net"), []mux.Address{addr("example.org"), addr("example.net/x")}))
	for name, store := range map[string]blocking.Store{"empty": new(blocking.Memory), "others": full} {
		t.Run(name, func(t *testing.T) {
			send, arrived := messages(t, blocking.New(store, nil))
			before := arrived()
			if n := testing.AllocsPerRun(200, send); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if got := arrived() - before; got < 201 {
				t.Errorf("%d of 201 messages were delivered", got)
			}
		})
	}
}

func BenchmarkMessage(b *testing.B) {
	for name, exts := range map[string][]mux.Extension{"without": nil, "empty": {blocking.New(new(blocking.Memory), nil)}, "others": {blocking.New(blocks(b, "example.org"), nil)}} {
		b.Run(name, func(b *testing.B) {
			send, _ := messages(b, exts...)
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}
