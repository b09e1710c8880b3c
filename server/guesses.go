package server

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// guesses slows down who tries passwords and tokens (auth-register AB-2): after some
// failures every attempt waits, whether it was right or not, so that nobody knows
// sooner. Whoever has an account is never locked out by others: attempts of all the
// world on one account wait only so long, and one after another only those that come
// from one address. Names that nobody has count like the others.
type guesses struct {
	lim Limits

	mu    sync.Mutex
	seed  maphash.Seed
	all   map[target]*guessed
	swept time.Time
}

// target is an address, an account, or both. An account is known by a hash: names may
// be long, and are the peer's choice.
type target struct {
	from    netip.Prefix
	account uint64
}

// guessed is what is known of a target.
type guessed struct {
	failures int
	since    time.Time // begin of the time that failures counts
	next     time.Time // of the next attempt that may be answered
}

const (
	guessTime = 10 * time.Minute // that failures count
	maxGuess  = 100_000          // bounds the table
	firstWait = 500 * time.Millisecond
	// siteShare is how many more failures a /48 has than a /64 of it.
	siteShare = 4
	// never is longer than any time for negotiation.
	never = 24 * time.Hour
)

func newGuesses(l Limits) *guesses {
	return &guesses{lim: l, seed: maphash.MakeSeed(), all: make(map[target]*guessed)}
}

// attempt is told of one that has failed or not, and returns how long its answer has to
// wait. The account is zero if the peer has named none.
func (g *guesses) attempt(from netip.Prefix, account mux.Address, failed bool, now time.Time) time.Duration {
	if g.lim.FailuresPerLogin < 0 && g.lim.FailuresPerAccount < 0 {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	free := g.lim.FailuresPerLogin
	site := siteOf(from)
	wait := g.one(target{from: from}, free, failed, now)
	if site.IsValid() {
		wait = max(wait, g.one(target{from: site}, siteShare*free, failed, now))
	}
	if account.IsZero() {
		return wait
	}
	name := maphash.String(g.seed, account.String())
	wait = max(wait, g.one(target{account: name}, g.lim.FailuresPerAccount, failed, now))
	if site.IsValid() {
		wait = max(wait, g.turn(target{site, name}, siteShare*free, failed, now))
	}
	return max(wait, g.turn(target{from, name}, free, failed, now))
}

// siteOf is the IPv6 /48 that an address is of, since many have all networks of one;
// invalid for others.
func siteOf(from netip.Prefix) netip.Prefix {
	if !from.Addr().Is6() {
		return netip.Prefix{}
	}
	p, _ := from.Addr().Prefix(48) // an address of IPv6 has one
	return p
}

// one counts an attempt on a target, and returns how long it waits: after as many
// failures as are free, twice as long each time, up to FailureDelay.
func (g *guesses) one(t target, free int, failed bool, now time.Time) time.Duration {
	c, before := g.count(t, failed, now)
	switch {
	case free < 0:
		return 0
	case c == nil && failed:
		return g.lim.FailureDelay // there is no room to know better
	case before < free:
		return 0
	}
	return backOff(before-free, g.lim.FailureDelay)
}

// turn does the same to attempts on an account from one address, which also wait for
// each other: to try on many connections at once must not help. If too many wait
// already, it waits for longer than there is time.
func (g *guesses) turn(t target, free int, failed bool, now time.Time) time.Duration {
	c, before := g.count(t, failed, now)
	if c == nil || free < 0 || before < free {
		return 0
	}
	at := now
	if c.next.After(now) {
		at = c.next
	}
	at = at.Add(backOff(before-free, g.lim.FailureDelay))
	if at.Sub(now) > g.lim.Negotiation {
		return never
	}
	c.next = at
	return at.Sub(now)
}

// backOff is how long an attempt waits after n that have waited.
func backOff(n int, most time.Duration) time.Duration {
	d := firstWait
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

// count notes an attempt, and returns what is known of its target, nil for nothing and
// if there is no room for one more, and how many failures there were before it: what an
// attempt waits for must not hang on whether it is right.
func (g *guesses) count(t target, failed bool, now time.Time) (c *guessed, before int) {
	c = g.all[t]
	if c != nil && now.Sub(c.since) >= guessTime {
		*c = guessed{since: now, next: c.next}
	}
	if c == nil && failed {
		c = g.add(t, now)
	}
	if c == nil {
		return nil, 0
	}
	before = c.failures
	if failed {
		c.failures++
	}
	return c, before
}

// add makes room for a target; nil if there is none.
func (g *guesses) add(t target, now time.Time) *guessed {
	if since := now.Sub(g.swept); since > time.Minute || len(g.all) >= maxGuess && since > time.Second {
		g.sweep(now)
	}
	if len(g.all) >= maxGuess {
		return nil
	}
	c := &guessed{since: now}
	g.all[t] = c
	return c
}

// sweep forgets what is too old.
func (g *guesses) sweep(now time.Time) {
	g.swept = now
	for t, c := range g.all {
		if now.Sub(c.since) >= guessTime {
			delete(g.all, t)
		}
	}
}
