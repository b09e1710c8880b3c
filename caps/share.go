package caps

import (
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// share is what resources of one other domain hold of the cache: what they were the first
// to hold of those who do (pep CAPS-13d). Accounts of ours have as much as there is.
type share struct{ count, bytes int }

// maxShare says which part of the cache one domain may hold: one in so many.
const maxShare = 2

// shares are those of domains that hold something, and some that did.
type shares struct {
	of    map[string]*share
	sweep int // with how many those that hold nothing are forgotten
}

// get is the share of a domain, nil for our own.
func (s *shares) get(domain string) *share {
	if domain == "" {
		return nil
	}
	if sh := s.of[domain]; sh != nil {
		return sh
	}
	if len(s.of) >= s.sweep {
		for d, sh := range s.of {
			if *sh == (share{}) {
				delete(s.of, d)
			}
		}
		s.sweep = 2*len(s.of) + 64
	}
	if s.of == nil {
		s.of = make(map[string]*share)
	}
	sh := new(share)
	s.of[strings.Clone(domain)] = sh // which keeps no stanza alive
	return sh
}

// affords reports whether a domain may hold something of the cache, which costs nothing
// if somebody holds it already.
func (c *cache) affords(domain string, v *Capabilities) bool {
	if domain == "" || v.refs > 0 {
		return true
	}
	return c.shares.get(domain).count < max(1, c.maxCount/maxShare) && c.spares(domain, v.size)
}

// spares reports whether a domain may hold so many octets more.
func (c *cache) spares(domain string, size int) bool {
	sh := c.shares.get(domain)
	return sh == nil || sh.bytes+size <= c.maxBytes/maxShare
}

// charge has a domain answer for what nobody holds and it is going to.
func (c *cache) charge(domain string, v *Capabilities) {
	if v == nil || v.refs > 0 {
		return
	}
	if v.by = c.shares.get(domain); v.by != nil {
		v.by.bytes += v.size
		if v.cached {
			v.by.count++
		}
	}
}

// discharge is for what nobody holds any more.
func (c *cache) discharge(v *Capabilities) {
	if v.by == nil {
		return
	}
	v.by.bytes -= v.size
	if v.cached {
		v.by.count--
	}
	v.by = nil
}

// payer is the domain that answers for what all these are going to hold: the first that
// can. If one of them is ours nobody has to.
func (x *Extension) payer(m *mux.Mux, all []subject, v *Capabilities) (domain string, ok bool) {
	if have := x.cache.get(v.k); have != nil {
		v = have
	}
	for _, who := range all {
		d := outside(m, who.full)
		if d == "" {
			return "", true
		}
		if !ok && x.cache.affords(d, v) {
			domain, ok = d, true
		}
	}
	return domain, ok
}
