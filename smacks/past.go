package smacks

import (
	"slices"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// remembered is how long the last word about a session is kept, and so many of an
// account (core-im LC-28).
const (
	remembered      = 48 * time.Hour
	rememberedEach  = 10
	rememberedTotal = 100_000
)

// past is what is known of sessions that have ended. The zero value is ready, and
// may be used by several goroutines.
type past struct {
	mu    sync.Mutex
	last  map[mux.SessionID]Last
	of    map[mux.Address][]mux.SessionID // oldest first
	order []mux.SessionID                 // oldest first; some are not there any more
}

// add notes a session, and returns those that are forgotten for it.
func (p *past) add(id mux.SessionID, l Last) (dropped []mux.SessionID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		p.last, p.of = make(map[mux.SessionID]Last), make(map[mux.Address][]mux.SessionID)
	}
	if _, again := p.last[id]; again {
		p.last[id] = l
		return nil
	}
	if own := p.of[l.Account]; len(own) >= rememberedEach {
		dropped = append(dropped, own[0])
		p.forget(own[0])
	}
	for len(p.last) >= rememberedTotal {
		dropped = append(dropped, p.order[0])
		p.forget(p.order[0])
		p.order = p.order[1:]
	}
	p.last[id] = l
	p.of[l.Account] = append(p.of[l.Account], id)
	p.order = append(p.order, id)
	p.trim(l.Until.Add(-remembered), &dropped)
	return dropped
}

// handled notes that of a session that has ended more was handled, and reports whether
// it is known.
func (p *past) handled(id mux.SessionID, h uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.last[id]
	if ok {
		l.H = h
		p.last[id] = l
	}
	return ok
}

// word is the last word about a session.
func (p *past) word(id mux.SessionID) (l Last, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok = p.last[id]
	return l, ok
}

// trim forgets what is past its time, and what was forgotten from the order.
func (p *past) trim(now time.Time, dropped *[]mux.SessionID) {
	for len(p.order) > 0 {
		id := p.order[0]
		if l, there := p.last[id]; there {
			if l.Until.After(now) {
				break
			}
			p.forget(id)
			*dropped = append(*dropped, id)
		}
		p.order = p.order[1:]
	}
	if len(p.order) > 2*len(p.last)+64 {
		p.order = slices.DeleteFunc(p.order, func(id mux.SessionID) bool { _, there := p.last[id]; return !there })
	}
}

func (p *past) forget(id mux.SessionID) {
	l, ok := p.last[id]
	if !ok {
		return
	}
	delete(p.last, id)
	own := p.of[l.Account]
	for i := range own {
		if own[i] == id {
			own = append(own[:i:i], own[i+1:]...)
			break
		}
	}
	if len(own) == 0 {
		delete(p.of, l.Account)
		return
	}
	p.of[l.Account] = own
}

// forgetAccount forgets all that is known of an account's sessions, and returns
// which those were.
func (p *past) forgetAccount(a mux.Address) []mux.SessionID {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := append([]mux.SessionID(nil), p.of[a]...)
	for _, id := range all {
		p.forget(id)
	}
	return all
}

// find is h of the session that a claim is about, nil if there was none of that
// account and token.
func (p *past) find(c *claim, now time.Time) *uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.last[c.id]
	if !ok || l.Account != c.account || !sameSecret(l.Secret, c.secret) || !l.Until.After(now) {
		return nil
	}
	return &l.H
}
