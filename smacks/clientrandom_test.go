package smacks_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

var (
	randomSeeds = flag.Int("client.seeds", 60, "how many worlds TestClientRandom has")
	randomFirst = flag.Uint64("client.seed", 1, "the seed of the first")
)

// What a client promises holds whatever its application, its network and its server do, in
// any order: see world.check.
func TestClientRandom(t *testing.T) {
	t.Parallel()
	for i := range *randomSeeds {
		seed := *randomFirst + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			w.live()
			w.check()
		})
		if t.Failed() {
			return
		}
	}
}

func dice(seed, n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }

// sleeps waits in the time of the bubble, in which all of a world is.
func sleeps(d time.Duration) { <-time.After(d) }

// upTo is some time, often such that things happen at once.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	some := time.Duration(r.Int64N(int64(d)))
	if r.IntN(3) > 0 {
		return some
	}
	return some.Truncate(500 * time.Millisecond)
}

// live is three minutes of bad weather and then some of good.
func (w *world) live() {
	const storm = 3 * time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), storm)
	defer cancel()
	for n := range uint64(4) {
		w.starts(func() { w.sends(ctx, dice(w.seed, 10+n)) })
	}
	w.starts(func() { w.romeoSends(ctx, dice(w.seed, 2)) })
	w.starts(func() { w.breaks(ctx, dice(w.seed, 3)) })
	ends := make(chan struct{})
	w.starts(func() { w.processes(ctx, dice(w.seed, 4), ends) })
	sleeps(storm + 10*time.Second)
	w.clears()
	sleeps(4 * time.Minute)
	w.rests()
	close(ends)
	sleeps(2 * time.Minute)
	w.mu.Lock()
	for _, what := range w.calls {
		w.t.Errorf("has not returned: %s", what)
	}
	w.mu.Unlock()
	if !w.t.Failed() {
		w.all.Wait()
	}
}

// processes are the lives of the application, one after another.
func (w *world) processes(ctx context.Context, r *rand.Rand, ends chan struct{}) {
	var state *smacks.ClientState
	for over := false; !over; {
		c := smacks.NewClient(jid.MustParse(julietFull), w.options(r, state))
		w.mu.Lock()
		w.client = c
		w.mu.Unlock()
		running, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		way := r.IntN(3)
		lr := dice(w.seed, r.Uint64())
		go func() {
			defer close(done)
			if way == 0 {
				w.tries(running, c, lr)
				return
			}
			err := w.timed("Run", -1, func() error {
				return c.Run(running, func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error) { return w.begins(c, s, lr) })
			})
			w.left()
			w.note("Run: %v", err)
		}()
		var enough <-chan time.Time
		if ctx.Err() == nil {
			enough = time.After(upTo(r, time.Minute))
		}
		select {
		case <-enough:
			sleeps(time.Until(time.Now().Add(time.Second).Truncate(500 * time.Millisecond))) // when others do something, too
		case <-done: // it has given up
		case <-ends:
			over = true
		}
		state = w.leaves(c, r, stop)
		stop()
		<-done
		if s := c.State(); state == nil {
			state = s
		}
		if state != nil {
			data, err := state.MarshalBinary()
			state = new(smacks.ClientState)
			if err = errors.Join(err, state.UnmarshalBinary(data)); err != nil {
				w.t.Error(err)
			}
		}
		sleeps(upTo(r, 3*time.Second) * time.Duration(1+10*(r.IntN(8)/7)))
	}
	w.last = state
}

// leaves ends a client in one of the ways there are. Detach alone has a state.
func (w *world) leaves(c *smacks.Client, r *rand.Rand, stop func()) *smacks.ClientState {
	switch r.IntN(4) {
	case 0:
		wait := upTo(r, 5*time.Second)
		w.note("close")
		w.timed("Close", wait, func() error { stop(); c.Close(wait); return nil })
	case 1:
		w.note("stop")
		stop()
	default:
		var s *smacks.ClientState
		w.note("detach")
		w.left()
		w.timed("Detach", 0, func() error { s = c.Detach(); return nil })
		return s
	}
	return nil
}

// tries does what Run does, by hand.
func (w *world) tries(ctx context.Context, c *smacks.Client, r *rand.Rand) {
	for ctx.Err() == nil {
		d := upTo(r, 20*time.Second)
		trying, cancel := context.WithTimeout(ctx, d)
		var s *xmpp.Session
		err := w.timed("Connect", d, func() (err error) { s, err = c.Connect(trying); return err })
		if err == nil {
			serving := context.AfterFunc(ctx, func() { c.Close(time.Second) })
			var h xmpp.Handler
			if h, err = w.begins(c, s, r); err != nil {
				w.note("begins: %v", err)
			}
			err = w.timed("Serve", -1, func() error { return c.Serve(s, h) })
			w.left()
			w.note("Serve: %v", err)
			serving()
			c.Close(time.Second)
		}
		cancel()
		sleeps(upTo(r, 5*time.Second))
	}
}

// sends is one who sends in all ways.
func (w *world) sends(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		if d := upTo(r, 3*time.Second); r.IntN(4) > 0 {
			sleeps(time.Until(time.Now().Add(d).Truncate(500 * time.Millisecond)))
		} else {
			sleeps(d)
		}
		w.mu.Lock()
		c, s := w.client, w.session
		w.mu.Unlock()
		if c == nil {
			continue
		}
		d := upTo(r, 10*time.Second)
		if r.IntN(6) == 0 {
			d = 0
		}
		limit, cancel := context.WithTimeout(ctx, d)
		switch r.IntN(12) {
		case 0, 1, 2:
			w.sent(w.timedSend("Send", d, limit, c.Send))
		case 3, 4, 5:
			w.sent(w.timedSend("SendAcked", d, limit, c.SendAcked))
		case 6, 7:
			w.ping(c, limit, d)
		case 8:
			w.timed("RequestAck", d, func() error { return c.RequestAck(limit) })
		case 9:
			w.timed("SendAck", 0, func() error { c.SendAck(); return nil })
			w.timed("State", 0, func() error { c.State(); c.Pending(); return nil })
		default:
			if s != nil && w.roomy {
				w.sent(w.timedSend("session's Send", -1, context.Background(), s.Send))
			}
		}
		cancel()
	}
}

func (w *world) ping(c *smacks.Client, ctx context.Context, d time.Duration) {
	err := w.timed("UnmarshalIQ", d, func() error {
		iq := stanza.IQ{Type: stanza.GetIQ, To: jid.MustParse("example.net")}
		return c.UnmarshalIQ(ctx, iq.Wrap(pingElement()), nil)
	})
	if err != nil {
		w.note("ping: %v", err)
	}
}

// breaks is who has bad things happen.
func (w *world) breaks(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		sleeps(upTo(r, 30*time.Second))
		if r.IntN(4) > 0 {
			w.note("pull")
			w.pull()
			continue
		}
		if w.tame {
			continue
		}
		w.note("the server ends sessions")
		w.endSessions()
	}
}

// romeoSends is the other side.
func (w *world) romeoSends(ctx context.Context, r *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		sleeps(upTo(r, 2*time.Second))
		for range 1 + r.IntN(8)/6 {
			id := fmt.Sprintf("s%d", w.number())
			unsafe := w.unmanaged()
			w.mu.Lock()
			w.toJuliet = append(w.toJuliet, id)
			w.unsafe[id] = unsafe
			w.mu.Unlock()
			w.note("romeo sends %s", id)
			w.romeo.Write(chat(id))
		}
	}
}
