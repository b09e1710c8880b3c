package server

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// admission decides which connections are let in, and remembers failed logins
// (core-im LIM-10, LIM-11). It is bounded: an address without connections is
// forgotten when its counters have run out.
type admission struct {
	lim Limits

	mu    sync.Mutex
	total int
	nets  map[netip.Prefix]*netCount
	swept time.Time
}

type netCount struct {
	open     int
	minute   time.Time // begin of the minute that fresh counts
	fresh    int
	failures int
	since    time.Time // begin of the 10 minutes that failures counts
}

// maxNets bounds the table of addresses.
const maxNets = 100_000

func newAdmission(l Limits) *admission {
	return &admission{lim: l, nets: make(map[netip.Prefix]*netCount)}
}

// prefixOf is what counts as one address: IPv4 whole, IPv6 by /64.
func prefixOf(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// count is what is known of an address, nil if there is no room for one more.
func (a *admission) count(p netip.Prefix, now time.Time) *netCount {
	n := a.nets[p]
	if n == nil {
		if since := now.Sub(a.swept); since > time.Minute || len(a.nets) >= maxNets && since > time.Second {
			a.sweep(now)
		}
		if len(a.nets) >= maxNets {
			return nil
		}
		n = &netCount{minute: now, since: now}
		a.nets[p] = n
	}
	if now.Sub(n.minute) >= time.Minute {
		n.minute, n.fresh = now, 0
	}
	if now.Sub(n.since) >= 10*time.Minute {
		n.since, n.failures = now, 0
	}
	return n
}

// sweep forgets addresses that nothing is known about any more.
func (a *admission) sweep(now time.Time) {
	a.swept = now
	for p, n := range a.nets {
		if n.open == 0 && now.Sub(n.minute) >= time.Minute && (n.failures == 0 || now.Sub(n.since) >= 10*time.Minute) {
			delete(a.nets, p)
		}
	}
}

// enter counts a new connection, or says why it is refused.
func (a *admission) enter(p netip.Prefix, now time.Time) (refused string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lim.Connections > 0 && a.total >= a.lim.Connections {
		return "too many connections"
	}
	n := a.count(p, now)
	if n == nil {
		return "too many addresses"
	}
	n.fresh++
	switch {
	case a.lim.ConnectionsPerAddress > 0 && n.open >= a.lim.ConnectionsPerAddress:
		return "too many connections of the address"
	case a.lim.NewPerMinute > 0 && n.fresh > a.lim.NewPerMinute:
		return "too many new connections of the address"
	}
	a.total++
	n.open++
	return ""
}

// leave is the end of a connection that entered.
func (a *admission) leave(p netip.Prefix, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	a.count(p, now).open-- // with a connection it is never forgotten
}

// failed counts a failed login and returns how long to wait before it is
// answered.
func (a *admission) failed(p netip.Prefix, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.count(p, now)
	n.failures++
	if a.lim.FailuresPerAddress > 0 && n.failures > a.lim.FailuresPerAddress {
		return a.lim.FailureDelay
	}
	return 0
}

// bucket is a token bucket: how long its user has to pause. With a negative rate or
// burst it never asks for a pause.
type bucket struct {
	rate, burst float64 // tokens per second, most tokens
	tokens      float64
	at          time.Time
}

func newBucket(rate, burst int) bucket {
	return bucket{rate: float64(rate), burst: float64(burst), tokens: float64(burst)}
}

// take takes n tokens, going into debt, and returns after which time there is
// none.
func (b *bucket) take(n int, now time.Time) time.Duration {
	if b.rate < 0 || b.burst < 0 {
		return 0
	}
	if !b.at.IsZero() {
		b.tokens = min(b.burst, b.tokens+b.rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	b.tokens -= float64(n)
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / b.rate * float64(time.Second))
}
