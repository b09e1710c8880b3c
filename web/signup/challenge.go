package signup

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/propolis-im/propolis/register"
)

// Bounds of challenges that wait for an answer. A network whose pages are opened more
// often loses its oldest ones, nobody else's; an IPv6 /48 may have four times as many as a
// /64 of it, as with the limits of package register.
const (
	maxWaiting   = 4096
	maxOfNetwork = 16
	maxOfSite    = 4 * maxOfNetwork
)

// errFull is returned if there are too many of them.
var errFull = errors.New("signup: too many challenges wait for an answer")

// challenges are those that wait. Each is answered once (XEP-0158 §4).
type challenges struct {
	mu  sync.Mutex // guards what follows
	all map[string]waiting
	of  map[netip.Prefix][]string // their names by network and by site, oldest first
}

type waiting struct {
	register.Challenge
	domain string
	of     netip.Prefix
	until  time.Time
}

// network is what counts as one source: an IPv4 address, or an IPv6 /64.
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	n, _ := a.Prefix(bits) // invalid for an invalid address
	return n
}

// site is the IPv6 /48 that a /64 is part of; invalid for others.
func site(network netip.Prefix) netip.Prefix {
	if !network.Addr().Is6() {
		return netip.Prefix{}
	}
	n, _ := network.Addr().Prefix(48) // an address of IPv6 has one
	return n
}

// put keeps a challenge and returns its name.
func (c *challenges) put(w waiting, now time.Time) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all, c.of = make(map[string]waiting), make(map[netip.Prefix][]string)
	}
	if ids := c.of[w.of]; len(ids) >= maxOfNetwork {
		c.drop(ids[0])
	}
	larger := site(w.of)
	if ids := c.of[larger]; larger.IsValid() && len(ids) >= maxOfSite {
		c.drop(ids[0])
	}
	if len(c.all) >= maxWaiting {
		c.sweep(now)
	}
	if len(c.all) >= maxWaiting {
		return "", errFull
	}
	id := rand.Text()
	w.until = now.Add(register.ChallengeLifetime)
	c.all[id] = w
	c.of[w.of] = append(c.of[w.of], id)
	if larger.IsValid() {
		c.of[larger] = append(c.of[larger], id)
	}
	return id, nil
}

// take uses a challenge up.
func (c *challenges) take(id, domain string, of netip.Prefix, now time.Time) (register.Challenge, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.all[id]
	if !ok {
		return nil, false
	}
	c.drop(id)
	return w.Challenge, w.of == of && w.domain == domain && now.Before(w.until)
}

// sweep forgets those that are too old. The caller holds the lock.
func (c *challenges) sweep(now time.Time) {
	for id, w := range c.all {
		if !now.Before(w.until) {
			c.drop(id)
		}
	}
}

// drop forgets one. The caller holds the lock.
func (c *challenges) drop(id string) {
	of := c.all[id].of
	delete(c.all, id)
	c.forget(id, of)
	if larger := site(of); larger.IsValid() {
		c.forget(id, larger)
	}
}

// forget drops one from those of a network. The caller holds the lock.
func (c *challenges) forget(id string, of netip.Prefix) {
	ids := c.of[of]
	for i := range ids {
		if ids[i] == id {
			ids = append(ids[:i:i], ids[i+1:]...)
			break
		}
	}
	if c.of[of] = ids; len(ids) == 0 {
		delete(c.of, of)
	}
}

// task is a challenge as a form shows it.
type task struct {
	ID     string
	Work   string // the label of a proof of work; empty for none
	Fields []register.ChallengeField
}

// fieldWork is the field of a proof of work (XEP-0158 §6.2), which the browser does.
const fieldWork = "SHA-256"

// challenge makes one for somebody without an invitation; nil if there is nothing to
// solve.
func (h *Handler) challenge(ctx context.Context, p peer, domain string) (*task, error) {
	c, err := h.people.Challenge(ctx, domain)
	if c == nil || err != nil {
		return nil, err
	}
	t := new(task)
	if t.ID, err = h.pending.put(waiting{Challenge: c, domain: domain, of: network(p.source)}, time.Now()); err != nil {
		return nil, err
	}
	for _, f := range c.Fields() {
		if f.Name == fieldWork {
			t.Work = f.Label
		} else {
			t.Fields = append(t.Fields, f)
		}
	}
	return t, nil
}

// solved looks at the answer to a challenge, which is used up by it.
func (h *Handler) solved(p peer, domain, id string, answer func(string) string) bool {
	c, ok := h.pending.take(id, domain, network(p.source), time.Now())
	return ok && c.Solved(answer)
}
