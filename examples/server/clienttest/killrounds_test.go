//go:build clients

package clienttest

import (
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

var killSeed = flag.Uint64("killseed", 0, "what happens in TestKillRounds, 0 for something new")

// TestKillRounds: three clients write to each other without a pause, and the server
// is killed fifty times, and some times stopped. Alice and bob always resume; carol
// often begins anew, as a program does that was killed as well. In the end nothing
// that was acknowledged to its sender is missing; alice and bob have seen everything
// once and in order; and carol has seen twice only what she had not acknowledged.
func TestKillRounds(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	r := rand.New(rand.NewPCG(seed, 0))
	s.addUser(t, carol)
	g := newGossip(t, s, seed)
	defer g.end()

	const rounds = 50
	for round := range rounds {
		g.note("round %d", round)
		if r.IntN(4) > 0 {
			g.traffic(t, 1+r.IntN(60))
		}
		wait(time.Duration(r.IntN(40_000)) * time.Microsecond)
		anew := 0
		if r.IntN(3) == 0 {
			anew = 1 + r.IntN(3)
		}
		if anew == 1 {
			g.carolAnew()
			wait(time.Duration(r.IntN(40_000)) * time.Microsecond)
		}
		if round%10 == 9 {
			g.note("stop")
			s.stopped = true
			s.signal(syscall.SIGTERM)
			s.done(t, limit)
		} else {
			g.note("kill")
			s.kill(t)
		}
		if anew == 2 {
			g.carolAnew()
		}
		s.launch(t)
		g.moved(s)
		if anew == 3 {
			g.carolAnew()
		}
		if t.Failed() {
			break
		}
	}
	g.finish(t)
	g.check(t)
}

// wait lets some real time pass: the server and its clients are processes.
func wait(d time.Duration) { <-time.After(d) }
