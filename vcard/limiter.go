package vcard

import (
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// limiter bounds how often somebody may ask (core-im VC-3). It may be used by
// several goroutines.
type limiter struct {
	rate, burst float64 // a minute; below 0 for no bound

	mu      sync.Mutex // guards what follows
	buckets map[string]*bucket
	rest    bucket    // of all that found no place
	swept   time.Time // when it was last looked for room
}

// bucket is what somebody may still ask for.
type bucket struct {
	left float64
	at   time.Time // zero for a full one
}

// maxRequesters bounds how many are remembered. All others share one bucket then,
// so that nobody gets rid of his own by being many.
const maxRequesters = 10_000

// domainShare is how much more a remote domain may ask for than one address of it.
const domainShare = 10

func newLimiter(rate, burst int) *limiter {
	return &limiter{rate: float64(rate), burst: float64(burst), buckets: make(map[string]*bucket)}
}

// take reports whether an address may ask for one more card.
func (l *limiter) take(from mux.Address, ours bool) bool {
	if l.rate < 0 || l.burst < 0 {
		return true
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var one, all *bucket
	if from.Local() != "" {
		one = l.bucket(from.Bare().String(), now)
		one.fill(l.rate, l.burst, now)
	}
	if !ours {
		all = l.bucket(from.Domain(), now) // no account has such a name
		if all != one {
			all.fill(domainShare*l.rate, domainShare*l.burst, now)
		}
	}
	if one.empty() || all.empty() {
		return false
	}
	one.take()
	if all != one {
		all.take()
	}
	return true
}

// bucket is the bucket of a name. The lock is held.
func (l *limiter) bucket(name string, now time.Time) *bucket {
	if b := l.buckets[name]; b != nil {
		return b
	}
	if len(l.buckets) >= maxRequesters && !l.sweep(now) {
		return &l.rest
	}
	b := new(bucket)
	l.buckets[name] = b
	return b
}

// fill adds what has become free since.
func (b *bucket) fill(rate, burst float64, now time.Time) {
	if b.at.IsZero() {
		b.left = burst
	} else if since := now.Sub(b.at); since > 0 { // clocks may go back
		b.left = min(burst, b.left+since.Minutes()*rate)
	}
	b.at = now
}

// empty reports whether nothing is left; a bucket that is not there never is.
func (b *bucket) empty() bool { return b != nil && b.left < 1 }

func (b *bucket) take() {
	if b != nil {
		b.left--
	}
}

// sweep forgets those that are full again, and reports whether there is room. The
// lock is held.
func (l *limiter) sweep(now time.Time) bool {
	if now.Sub(l.swept) < time.Second {
		return false // it was looked at just now
	}
	l.swept = now
	for name, b := range l.buckets {
		if b.left+now.Sub(b.at).Minutes()*l.rate >= l.burst {
			delete(l.buckets, name)
		}
	}
	return len(l.buckets) < maxRequesters
}
