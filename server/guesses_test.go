package server

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// guessing is a table with the default limits.
func guessing() *guesses { return newGuesses((*Limits)(nil).withDefaults()) }

var (
	romeoGuessed  = mux.MustParseAddress("romeo@example.net")
	nobodyGuessed = mux.MustParseAddress("nobody@example.net")
)

// TestGuesses: from five failures on each attempt waits longer, whether it is right or
// not, also of a name that nobody has; others are not touched (auth-register AB-2).
func TestGuesses(t *testing.T) {
	t.Parallel()
	for _, account := range []mux.Address{romeoGuessed, nobodyGuessed} {
		g, now := guessing(), time.Now()
		for i, want := range []time.Duration{0, 0, 0, 0, 0, 500, 1000, 2000, 4000, 5000, 5000} {
			if got := g.attempt(network(1), account, true, now); got != want*time.Millisecond {
				t.Errorf("failure %d of %s waits %v, want %v", i+1, account, got, want*time.Millisecond)
			}
			now = now.Add(15 * time.Second)
		}
		if got := g.attempt(network(1), account, false, now); got != 5*time.Second {
			t.Errorf("success waits %v", got)
		}
		// Another name from there: only for what the address has done.
		if got := g.attempt(network(1), mux.MustParseAddress("other@example.net"), false, now); got != 5*time.Second {
			t.Errorf("success on another account waits %v", got)
		}
		if got := g.attempt(network(1), mux.Address{}, true, now); got != 5*time.Second {
			t.Errorf("failure of a name that cannot be waits %v", got)
		}
		// The account from elsewhere.
		if got := g.attempt(network(2), account, false, now); got != 0 {
			t.Errorf("success from elsewhere waits %v", got)
		}
		now = now.Add(guessTime)
		if got := g.attempt(network(1), account, true, now); got != 0 {
			t.Errorf("after 10 minutes a failure waits %v", got)
		}
	}
}

// TestGuessesAtOnce: many connections do not make guessing faster: their answers wait
// for each other, and those that had to wait for too long get none.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	g, now := guessing(), time.Now()
	answered := 0
	for range 1000 {
		if g.attempt(network(1), romeoGuessed, true, now) <= time.Minute {
			answered++
		}
	}
	// 5 for nothing, then after 0.5, 1.5, 3.5, 7.5 s, and every five seconds.
	if answered != 19 {
		t.Errorf("%d guesses of a thousand are answered within a minute", answered)
	}
	if got := g.attempt(network(1), romeoGuessed, true, now.Add(time.Minute)); got != 5*time.Second {
		t.Errorf("a minute later the next waits %v", got)
	}
}

// TestGuessesFromSite: who has an IPv6 /48 has many networks, and not as many guesses.
func TestGuessesFromSite(t *testing.T) {
	t.Parallel()
	g, now := guessing(), time.Now()
	of := func(site, n int) netip.Prefix {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(site), byte(n >> 8), byte(n)})
		return netip.PrefixFrom(a, 64)
	}
	answered := 0
	for n := range 1000 {
		got := g.attempt(of(1, n), romeoGuessed, true, now)
		if n < 20 && got != 0 {
			t.Errorf("guess %d waits %v", n+1, got)
		}
		if got <= time.Minute {
			answered++
		}
	}
	if answered != 34 {
		t.Errorf("%d guesses of a thousand are answered within a minute", answered)
	}
	if got := g.attempt(of(2, 0), romeoGuessed, false, now); got > 5*time.Second {
		t.Errorf("success from elsewhere waits %v", got)
	}
}

// TestGuessesFromEverywhere: attempts on one account from many addresses are slowed
// down, but nobody is locked out by them.
func TestGuessesFromEverywhere(t *testing.T) {
	t.Parallel()
	g, now := guessing(), time.Now()
	for i := range 1000 {
		got := g.attempt(network(i), romeoGuessed, true, now)
		if i < 30 && got != 0 || i >= 40 && got != 5*time.Second {
			t.Fatalf("failure %d waits %v", i+1, got)
		}
	}
	if got := g.attempt(network(5000), romeoGuessed, false, now); got != 5*time.Second {
		t.Errorf("success waits %v, want no more than 5s", got)
	}
	if got := g.attempt(network(5000), nobodyGuessed, false, now); got != 0 {
		t.Errorf("success of somebody else waits %v", got)
	}
}

// TestGuessesBounded: the table does not grow without bound, what is held against
// somebody stays when others make it full, and failures that find no room wait.
func TestGuessesBounded(t *testing.T) {
	t.Parallel()
	g, now := guessing(), time.Now()
	for range 8 {
		g.attempt(network(1), romeoGuessed, true, now)
	}
	for i := range maxGuess {
		g.attempt(network(100+i), mux.MustParseAddress(fmt.Sprintf("n%d@example.net", i)), true, now)
	}
	if len(g.all) != maxGuess {
		t.Errorf("%d targets, want %d", len(g.all), maxGuess)
	}
	if got := g.attempt(network(1), romeoGuessed, false, now); got < 4*time.Second {
		t.Errorf("who has guessed before waits %v", got)
	}
	if got := g.attempt(network(99), romeoGuessed, true, now); got != 5*time.Second {
		t.Errorf("a failure without room waits %v", got)
	}
	if got := g.attempt(network(99), nobodyGuessed, false, now); got != 0 {
		t.Errorf("a success without room waits %v", got)
	}
	now = now.Add(guessTime)
	if got := g.attempt(network(99), nobodyGuessed, true, now); got != 0 || len(g.all) != 3 {
		t.Errorf("after 10 minutes %d targets, a failure waits %v", len(g.all), got)
	}
}

// TestGuessesOff: there may be no such limits.
func TestGuessesOff(t *testing.T) {
	t.Parallel()
	g, now := newGuesses(NoLimits().withDefaults()), time.Now()
	for range 100 {
		if got := g.attempt(network(1), romeoGuessed, true, now); got != 0 {
			t.Fatalf("waits %v", got)
		}
	}
	if len(g.all) != 0 {
		t.Errorf("%d targets", len(g.all))
	}
}
