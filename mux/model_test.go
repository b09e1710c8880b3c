package mux_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// phone is juliet's client in the model: it counts what it got, as XEP-0198
// asks, and comes and goes.
type phone struct {
	t     *testing.T
	h     *muxtest.Host
	rnd   *rand.Rand
	store *muxtest.Committer
	pass  func(time.Duration)
	c     *muxtest.Client // nil while it has no stream
	last  *muxtest.Client // whose session may be resumed
	count uint32
	acked uint32
	got   []string
	twice map[string]bool // got in a session that was not resumed, and not acknowledged
	open  []string        // got and not acknowledged
}

// look takes what has arrived.
func (p *phone) look() {
	if p.c == nil {
		return
	}
	for _, el := range p.c.Arrived() {
		s, err := mux.Parse([]byte(el))
		if err != nil || s.Kind() != mux.Message {
			continue
		}
		p.count++
		p.got, p.open = append(p.got, s.ID()), append(p.open, s.ID())
	}
	p.c.Clear()
}

func (p *phone) bind(resource string) {
	p.store.Release() // what a bind that replaces a session waits for
	p.c = p.h.Connect(p.t, "juliet@example.net/"+resource)
	p.last, p.count, p.acked, p.open = p.c, 0, 0, nil
	p.c.Send("<enable xmlns='"+nsSM+"'/>", "<presence/>")
}

func (p *phone) forget() {
	for _, id := range p.open {
		p.twice[id] = true
	}
	p.open = nil
}

func (p *phone) ack() {
	p.acked, p.open = p.count, nil
	p.c.Send("<a xmlns='" + nsSM + "' h='" + utoa(p.count) + "'/>")
}

// resume takes the last session over, whether or not it still has a stream.
func (p *phone) resume() {
	c := p.h.Dial(p.t, "juliet@example.net")
	c.Send("<resume xmlns='" + nsSM + "' previd='" + p.last.Session.ID().String() + "' h='" + utoa(p.count) + "'/>")
	p.store.Release() // what a take-over waits for
	p.h.Settle()
	if c.Stream.Session() != p.last.Session {
		p.t.Errorf("the session was not resumed: %q", c.Arrived())
	}
	c.Session = p.last.Session
	p.c, p.last, p.acked, p.open = c, c, p.count, nil
}

// step does something at random.
func (p *phone) step() {
	p.look()
	n := p.rnd.IntN(10)
	switch {
	case p.c == nil && n < 6 && p.last != nil && p.last.Session.State() == mux.Hibernating:
		p.resume()
	case p.c == nil && n < 8:
		p.forget()
		p.bind(fmt.Sprint("r", n%2))
	case p.c == nil:
		p.pass(time.Duration(p.rnd.IntN(40)) * time.Minute)
	case n == 0:
		p.c.Drop()
		p.c = nil
	case n == 1 && p.rnd.IntN(4) == 0:
		p.forget()
		p.c.Close()
		p.c, p.last = nil, nil
	case n == 2: // without noticing that the old stream is dead
		p.resume()
	case n < 5:
		p.c.Send("<inactive xmlns='" + nsCSI + "'/>")
	case n < 7:
		p.c.Send("<active xmlns='" + nsCSI + "'/>")
	default:
		p.ack()
	}
}

// TestNothingLostNothingDoubled plays random lives of a session with stream
// management and CSI: every message is got by the client or kept by the store,
// and once only, but for what the client had got without being able to say so.
func TestNothingLostNothingDoubled(t *testing.T) {
	t.Parallel()
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			c := new(muxtest.Committer)
			h := muxtest.New(t, &mux.Options{Committer: c, Sessions: new(mux.MemorySessions)}, &csi{}, &smacks{keep: time.Hour}, writing(), st)
			h.AddAccount("juliet@example.net")
			romeo := h.Connect(t, romeoFull)
			rnd := rand.New(rand.NewPCG(uint64(seed), 7))
			p := &phone{t: t, h: h, rnd: rnd, store: c, pass: time.Sleep, twice: make(map[string]bool)}
			sent := 0
			for range 80 {
				for range rnd.IntN(3) {
					romeo.Send(fmt.Sprintf("<message type='chat' to='juliet@example.net' id='%d'><body>x</body></message>", sent))
					sent++
				}
				switch rnd.IntN(6) {
				case 0:
					c.Hold()
				case 1:
					c.Release()
				}
				p.step()
			}
			c.Release()
			h.Settle()
			p.look()
			p.forget()
			if p.c != nil {
				p.c.Close()
			}
			time.Sleep(2 * time.Hour)
			h.Settle()
			times := make(map[string]int)
			for _, id := range p.got {
				times[id]++
			}
			for _, kept := range st.take() {
				times[kept]++
			}
			for i := range sent {
				id := fmt.Sprint(i)
				if n := times[id]; n != 1 && (n == 0 || !p.twice[id]) {
					t.Errorf("seed %d: %s of %d arrived or was kept %d times, got %v", seed, id, sent, n, slices.Index(p.got, id))
				}
			}
		})
	}
}
