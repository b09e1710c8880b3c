package smacks_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// A client that asks and asks is answered; one that waits for a slow handler is
// told again just once.
func TestFI23Floods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newSite(t, smacks.Options{}, slow{gate})
		s.Connect(t, romeoFull)
		juliet, _ := enabled(t, s.Host)
		juliet.Send("<message to='" + romeoFull + "'/>")
		var many []string
		for range 1000 {
			many = append(many, ask, ack("0"))
		}
		juliet.Send(many...)
		if n := len(juliet.Arrived()); n != 1000 {
			t.Errorf("%d answers", n)
		}
		juliet.Clear()
		close(gate)
		s.Settle()
		juliet.Expect(ack("1"))
	})
}

// used is how much of the heap is in use.
func used() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A hundred thousand requests and as many acknowledgements are answered in order:
// between stanzas that are handled, behind one that is not, and behind one that the
// store does not know of yet. What the server keeps is the same all the time.
func TestFI23FloodsKeepNothing(t *testing.T) { // not parallel: it measures the heap
	for _, c := range []struct{ name, stanza string }{
		{"handled", "<message to='" + romeoFull + "'/>"},
		{"behind a busy handler", "<message to='mercutio@example.net'/>"},
		{"behind a slow store", "<presence type='probe' to='" + romeoFull + "'/>"},
	} {
		t.Run(c.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { flood(t, c.name, c.stanza) }) })
	}
}

func flood(t *testing.T, name, stanza string) {
	total, each := 100000, 2000
	busy, slow := name == "behind a busy handler", name == "behind a slow store"
	request, nothing := must(t, ask), must(t, ack("0"))
	gate := make(chan struct{})
	defer close(gate)
	s := newSite(t, smacks.Options{}, slowArrival{gate})
	romeo := s.Connect(t, romeoFull)
	juliet, _ := enabled(t, s.Host)
	if slow {
		total = 10000 // answers that come at once have to fit into what may wait to be written
		s.commits.Hold()
	}
	h := 0
	say := func() {
		juliet.Send(stanza)
		if romeo.Clear(); !busy {
			h++
		}
	}
	answers := func(n int) {
		t.Helper()
		all := juliet.Arrived()
		want := ack(fmt.Sprint(h))
		if len(all) != n || slices.ContainsFunc(all, func(el string) bool { return el != want }) {
			t.Fatalf("%d answers, want %d times %s: %.200q", len(all), n, want, all)
		}
		juliet.Clear()
	}
	requests := func() {
		for range each {
			for _, el := range []*mux.Stanza{request, nothing} {
				if err := juliet.Stream.Receive(t.Context(), el); err != nil {
					t.Fatal(err)
				}
			}
		}
		juliet.Stream.Flush()
		if !slow {
			answers(each)
		}
	}
	say()
	requests() // has what is made once made
	before := used()
	for range total/each - 1 {
		if name == "handled" {
			say()
		}
		requests()
	}
	if more := used() - before; more > 64<<10 {
		t.Errorf("the server keeps %d octets more", more)
	}
	if slow {
		s.commits.Release()
		s.Settle()
		answers(total)
	}
}
