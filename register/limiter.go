package register

import (
	"net/netip"
	"sync"
	"time"
)

// Limiter decides how often accounts may be made. It is called outside of turns
// and must be safe for concurrent use.
type Limiter interface {
	// Begin asks whether source, which is invalid if it is not known, may try to
	// register at a served domain now, or show an invitation; domain is empty where
	// that alone can tell it. If so, end must be called once with how that went; until
	// then the try counts as made and as failed. Otherwise end is nil, and retry is
	// about how long to wait. A limiter that cannot tell refuses.
	Begin(source netip.Addr, domain string) (end func(Ending), retry time.Duration)
}

// Ending is how a try ended.
type Ending uint8

// The endings.
const (
	Neutral Ending = iota // nothing came of it that has to be limited
	Made                  // an account
	Failed                // for whatever reason
)

// Unlimited is a [Limiter] that allows everything.
type Unlimited struct{}

// Begin implements [Limiter].
func (Unlimited) Begin(netip.Addr, string) (func(Ending), time.Duration) {
	return func(Ending) {}, 0
}

// LimiterOptions are the bounds of a [MemoryLimiter]. A zero value of a field is
// its default, less is no bound.
type LimiterOptions struct {
	// PerHour and PerDay bound the accounts made from one source: an IPv4 address
	// or an IPv6 /64 network; 0 for 3 and 10. A /48 network gets four times that.
	PerHour, PerDay int
	// FailedPerHour bounds the tries of one source that made no account, whatever
	// the reason; 0 for 20, four times that for a /48 network.
	FailedPerHour int
	// DomainPerHour bounds the accounts made at one served domain; 0 for 100.
	DomainPerHour int
	// Sources bounds how many sources are remembered; 0 for 10,000. All others
	// share one set of bounds then, so that nobody gets rid of his own by making
	// it too many.
	Sources int
}

// siteShare is how much more a /48 network may do than one /64 of it.
const siteShare = 4

var _ Limiter = (*MemoryLimiter)(nil)

// MemoryLimiter is a [Limiter] that forgets everything at the end of the process.
// A source that is not known is refused.
type MemoryLimiter struct {
	opt LimiterOptions

	mu      sync.Mutex // guards what follows
	sources map[netip.Prefix]*tally
	domains map[string]*tally // there are as many as served domains
	rest    tally             // of sources that found no place
}

// tally is when something happened, oldest first.
type tally struct {
	made, failed []time.Time
}

// NewMemoryLimiter returns a limiter. o may be nil and is copied.
func NewMemoryLimiter(o *LimiterOptions) *MemoryLimiter {
	l := &MemoryLimiter{sources: make(map[netip.Prefix]*tally), domains: make(map[string]*tally)}
	if o != nil {
		l.opt = *o
	}
	def := func(v *int, n int) {
		if *v == 0 {
			*v = n
		}
	}
	def(&l.opt.PerHour, 3)
	def(&l.opt.PerDay, 10)
	def(&l.opt.FailedPerHour, 20)
	def(&l.opt.DomainPerHour, 100)
	def(&l.opt.Sources, 10_000)
	return l
}

// Begin implements [Limiter].
func (l *MemoryLimiter) Begin(source netip.Addr, domain string) (func(Ending), time.Duration) {
	if !source.IsValid() {
		return nil, time.Hour
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.tallies(now, source, domain)
	var retry time.Duration
	for i := range all {
		retry = max(retry, all[i].retry(now))
	}
	if retry > 0 {
		return nil, retry
	}
	for i := range all {
		all[i].note(now)
	}
	var once sync.Once
	return func(how Ending) {
		once.Do(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, c := range all {
				if how != Failed {
					c.failed = without(c.failed, now)
				}
				if how != Made {
					c.made = without(c.made, now)
				}
			}
		})
	}, 0
}

// bounded is a tally with its bounds.
type bounded struct {
	*tally
	perHour, perDay, failedPerHour int
}

// tallies are all that count for a try. The lock is held.
func (l *MemoryLimiter) tallies(now time.Time, source netip.Addr, domain string) []bounded {
	source = source.Unmap().WithZone("")
	o := l.opt
	size := 64
	if source.Is4() {
		size = 32
	}
	all := []bounded{
		{l.domain(now, domain), o.DomainPerHour, -1, -1},
		{l.source(now, netip.PrefixFrom(source, size).Masked()), o.PerHour, o.PerDay, o.FailedPerHour},
	}
	if source.Is6() {
		site := l.source(now, netip.PrefixFrom(source, 48).Masked())
		if site != all[1].tally { // both found no place
			all = append(all, bounded{site, siteShare * o.PerHour, siteShare * o.PerDay, siteShare * o.FailedPerHour})
		}
	}
	return all
}

func (l *MemoryLimiter) source(now time.Time, p netip.Prefix) *tally {
	if t := l.sources[p]; t != nil {
		t.forget(now)
		return t
	}
	if o := l.opt.Sources; o > 0 && len(l.sources) >= o && !l.sweep(now) {
		l.rest.forget(now)
		return &l.rest
	}
	t := new(tally)
	l.sources[p] = t
	return t
}

// sweep drops the sources that have nothing to remember, and reports whether
// there were any. Looking through all of them for each newcomer would be work for
// those who flood, so a fraction must do; a map is gone through in random order.
func (l *MemoryLimiter) sweep(now time.Time) bool {
	const few = 64
	dropped, n := false, 0
	for p, t := range l.sources {
		if t.forget(now); len(t.made)+len(t.failed) == 0 {
			delete(l.sources, p)
			dropped = true
		}
		if n++; n == few {
			break
		}
	}
	return dropped
}

func (l *MemoryLimiter) domain(now time.Time, domain string) *tally {
	t := l.domains[domain]
	if t == nil {
		t = new(tally)
		l.domains[domain] = t
	}
	t.forget(now)
	return t
}

// note counts a try as both, as far as there are bounds, which bound the tallies
// as well.
func (b *bounded) note(now time.Time) {
	if b.perHour > 0 || b.perDay > 0 {
		b.made = append(b.made, now)
	}
	if b.failedPerHour > 0 {
		b.failed = append(b.failed, now)
	}
}

// forget drops what is too old to count.
func (t *tally) forget(now time.Time) {
	t.made = since(t.made, now.Add(-day))
	t.failed = since(t.failed, now.Add(-time.Hour))
}

// since is the part of times, which are in order, behind a moment.
func since(times []time.Time, from time.Time) []time.Time {
	for len(times) > 0 && !times[0].After(from) {
		times = times[1:]
	}
	return times
}

// retry is how long until a try is within all bounds; 0 if it is now.
func (b *bounded) retry(now time.Time) time.Duration {
	return max(wait(b.made, now, b.perHour, time.Hour), wait(b.made, now, b.perDay, day),
		wait(b.failed, now, b.failedPerHour, time.Hour))
}

// wait is how long until fewer than limit of times lie in the window before now.
func wait(times []time.Time, now time.Time, limit int, window time.Duration) time.Duration {
	times = since(times, now.Add(-window))
	if limit < 0 || len(times) < limit {
		return 0
	}
	return times[len(times)-limit].Add(window).Sub(now)
}

// without is times without one that is t.
func without(times []time.Time, t time.Time) []time.Time {
	for i := range times {
		if times[i].Equal(t) {
			return append(times[:i:i], times[i+1:]...)
		}
	}
	return times
}
