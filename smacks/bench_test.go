package smacks_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// sunk is a connection that forgets all but the last bytes.
type sunk struct {
	mu   sync.Mutex
	last string
	keep bool
}

func (c *sunk) Write(p []byte) error {
	if c.keep {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = string(p)
	}
	return nil
}

func (c *sunk) Pending() int { return 0 }
func (c *sunk) Close(error)  {}

// pair is a sender and a recipient who acknowledges every tenth message.
type pair struct {
	tb       muxtest.TB
	h        *muxtest.Host
	from, to *mux.Stream
	n        uint32
	on       bool
	raw      []byte
}

func newPair(tb muxtest.TB, on bool, o *mux.Options, exts ...mux.Extension) *pair {
	p := &pair{tb: tb, h: muxtest.New(tb, o, exts...), on: on}
	p.raw = []byte("<message to='" + julietFull + "' type='chat' id='purple3ac3'><body>Wherefore art thou, Romeo? Deny thy father and refuse thy name; " +
		"or if thou wilt not, be but sworn my love and I'll no longer be a Capulet.</body><active xmlns='http://jabber.org/protocol/chatstates'/>" +
		"<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='purple3ac3'/></message>")
	p.from = p.bind(romeoFull)
	p.to = p.bind(julietFull)
	receive(tb, p.to, "<presence/>")
	if on {
		enableOn(tb, p.to)
	}
	return p
}

func (p *pair) bind(full string) *mux.Stream { return bindSunk(p.tb, p.h, full) }

func bindSunk(tb muxtest.TB, h *muxtest.Host, full string) *mux.Stream {
	a := mux.MustParseAddress(full)
	h.AddAccount(a.Bare().String())
	st := h.Mux().NewStream(&sunk{keep: true}, mux.Client)
	st.SetAccount(a.Bare())
	if _, err := st.Bind(context.Background(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		tb.Fatalf("%v", err)
	}
	return st
}

func receive(tb muxtest.TB, st *mux.Stream, text string) {
	s, err := mux.Parse([]byte(text))
	if err == nil {
		err = st.Receive(context.Background(), s)
	}
	st.Flush()
	if err != nil {
		tb.Fatalf("%v", err)
	}
}

// enableOn turns stream management on, and returns when it is.
func enableOn(tb muxtest.TB, st *mux.Stream) {
	receive(tb, st, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
	c := st.Conn().(*sunk)
	for {
		c.mu.Lock()
		done := strings.Contains(c.last, "<enabled")
		c.mu.Unlock()
		if done {
			break
		}
		runtime.Gosched()
	}
	c.keep = false
}

func (p *pair) send() {
	s, err := mux.Parse(p.raw)
	if err == nil {
		err = p.from.Receive(context.Background(), s)
	}
	if err != nil {
		p.tb.Fatalf("%v", err)
	}
	p.from.Flush()
	if p.n++; p.on && p.n%10 == 0 {
		receive(p.tb, p.to, ack(fmt.Sprint(p.n)))
	}
}

// BenchmarkMessage is one chat message, from its parsed bytes to the connection
// of the recipient, without and with stream management, which does not survive the
// process; parsing is included, of acknowledgements as well.
func BenchmarkMessage(b *testing.B) {
	for _, c := range []struct {
		name string
		on   bool
	}{{"off", false}, {"on", true}} {
		b.Run(c.name, func(b *testing.B) {
			p := newPair(b, c.on, nil, smacks.New(nil, nil))
			b.ReportAllocs()
			for b.Loop() {
				p.send()
			}
		})
	}
}

// A message for a session with stream management costs no more allocations than
// one without; acknowledging ten of them a few.
func TestAllocMessage(t *testing.T) {
	var allocs [2]float64
	for i, on := range []bool{false, true} {
		p := newPair(t, on, nil, smacks.New(nil, nil))
		for range 100 {
			p.send()
		}
		allocs[i] = testing.AllocsPerRun(1000, p.send)
	}
	if more := allocs[1] - allocs[0]; more > 1 && !raceEnabled {
		t.Errorf("%v allocations more", more)
	}
}

// idleBytes is what one session that has nothing to do holds.
func idleBytes(tb muxtest.TB, on bool) float64 {
	const n = 2000
	h := muxtest.New(tb, nil, smacks.New(nil, nil))
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	keep := make([]*mux.Stream, n)
	for i := range keep {
		keep[i] = bindSunk(tb, h, fmt.Sprintf("user%d@example.net/balcony", i))
		if on {
			enableOn(tb, keep[i])
		}
	}
	after := heap()
	runtime.KeepAlive(keep)
	return float64(int64(after-before)) / n
}

// An idle session with stream management holds at most 1 KiB more than one
// without.
func TestIdleSession(t *testing.T) {
	off := idleBytes(t, false)
	on := idleBytes(t, true)
	t.Logf("%.0f octets without, %.0f with", off, on)
	if on-off > 1024 && !raceEnabled {
		t.Errorf("%.0f octets more", on-off)
	}
}
