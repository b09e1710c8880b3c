package caps

import (
	"slices"
	"strings"
	"time"
)

// key names what a hash stands for, whoever announces it: the node is not part of it
// (XEP-0115 §5.4).
type key struct {
	proto       Proto
	algo, value string
}

func (h Hash) key() key { return key{h.Proto, h.Algo, h.Value} }

// Capabilities are what is known of an entity. They must not be changed.
type Capabilities struct {
	// Features are sorted. If they were learnt by a hash of XEP-0115, whatever else was
	// hashed is among them too, see the package comment.
	Features []string
	// Notify are the nodes whose events the entity wants: features that end in
	// "+notify", without that (XEP-0060 §9.2). It is the same slice for all entities
	// with one hash.
	Notify []string

	k      key
	size   int
	refs   int    // resources and failures that hold it
	by     *share // of the domain that answers for that, nil for none
	cached bool
	seen   time.Time
	// Neighbours among those that are cached and not held, the next being used longer
	// ago.
	prev, next *Capabilities
}

// Supports reports whether a feature is among them. A nil value supports nothing.
func (c *Capabilities) Supports(feature string) bool {
	if c == nil {
		return false
	}
	_, ok := slices.BinarySearch(c.Features, feature)
	return ok
}

func (c *Capabilities) notify() []string {
	if c == nil {
		return nil
	}
	return c.Notify
}

const (
	suffix = "+notify"
	// overhead is about what an entry costs beside its texts.
	overhead = 256
)

// newCapabilities takes features, in any order.
func newCapabilities(k key, features []string) *Capabilities {
	// One text for all, which keeps nothing else alive.
	text := strings.Join(features, sepPart)
	c := &Capabilities{k: k, size: overhead + len(text)}
	if text != "" {
		c.Features = strings.Split(text, sepPart)
	}
	slices.Sort(c.Features)
	c.Features = slices.Clip(slices.Compact(c.Features))
	for _, f := range c.Features {
		if node, ok := strings.CutSuffix(f, suffix); ok && node != "" {
			c.Notify = append(c.Notify, node)
		}
	}
	c.size += 16 * (cap(c.Features) + cap(c.Notify))
	return c
}

// learnt is what a verified hash may be trusted with.
//
// With XEP-0115 different infos may be hashed alike (§9.3), so that whoever answers first
// would decide what all others are taken for. So what is kept is not taken from the info
// but from the text S that was hashed: the parts of it. Equal hashes mean equal texts, so
// all infos with that hash give the same (pep CAPS-10).
func learnt(i *Info, h Hash) (*Capabilities, error) {
	if err := Verify(i, h); err != nil {
		return nil, err
	}
	features := i.Features
	if h.Proto == XEP0115 {
		s, err := i.string115()
		if err != nil {
			return nil, err
		}
		features = slices.DeleteFunc(strings.Split(s, "<"), func(t string) bool { return t == "" })
	}
	return newCapabilities(h.key(), features), nil
}

// cache holds what is known, bounded in number and octets. What resources hold is not
// given up. It has no lock of its own.
type cache struct {
	maxCount, maxBytes int

	m           map[key]*Capabilities
	bytes       int           // of what is cached or held
	first, last *Capabilities // those not held, the most recently used first
	evicted     []key         // since it was asked
	shares      shares
}

func (c *cache) get(k key) *Capabilities { return c.m[k] }

// room makes room for something of a size, and reports whether there is any.
func (c *cache) room(size, count int) bool {
	for c.bytes+size > c.maxBytes || len(c.m)+count > c.maxCount {
		v := c.last
		if v == nil {
			return false
		}
		c.unlink(v)
		delete(c.m, v.k)
		v.cached = false
		c.bytes -= v.size
		c.evicted = append(c.evicted, v.k)
	}
	return true
}

// add caches what a verified hash stands for, and returns what is cached; nil if there
// is no room.
func (c *cache) add(v *Capabilities) *Capabilities {
	if have := c.m[v.k]; have != nil {
		return have
	}
	if !c.room(v.size, 1) {
		return nil
	}
	if c.m == nil {
		c.m = make(map[key]*Capabilities)
	}
	v.k = key{v.k.proto, strings.Clone(v.k.algo), strings.Clone(v.k.value)}
	c.m[v.k], v.cached = v, true
	c.bytes += v.size
	c.link(v)
	return v
}

// adopt counts what belongs to one resource only, and holds it; false if there is no
// room for it or its domain has its share.
func (c *cache) adopt(domain string, v *Capabilities) bool {
	if !c.spares(domain, v.size) || !c.room(v.size, 0) {
		return false
	}
	c.bytes += v.size
	c.charge(domain, v)
	v.refs = 1
	return true
}

// hold notes one more user.
func (c *cache) hold(v *Capabilities) {
	if v == nil {
		return
	}
	if v.refs == 0 && v.cached {
		c.unlink(v)
	}
	v.refs++
}

// release notes one user less.
func (c *cache) release(v *Capabilities) {
	if v == nil {
		return
	}
	if v.refs--; v.refs > 0 {
		return
	}
	c.discharge(v)
	if v.cached {
		c.link(v)
		return
	}
	c.bytes -= v.size
}

func (c *cache) link(v *Capabilities) {
	v.prev, v.next = nil, c.first
	if c.first != nil {
		c.first.prev = v
	} else {
		c.last = v
	}
	c.first = v
}

func (c *cache) unlink(v *Capabilities) {
	if v.prev != nil {
		v.prev.next = v.next
	} else {
		c.first = v.next
	}
	if v.next != nil {
		v.next.prev = v.prev
	} else {
		c.last = v.prev
	}
	v.prev, v.next = nil, nil
}

// takeEvicted are the keys that were given up since the last call.
func (c *cache) takeEvicted() (list []key) {
	list, c.evicted = c.evicted, nil
	return list
}
