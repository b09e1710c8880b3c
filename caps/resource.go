package caps

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// subject is a resource as one account sees it, whose turns it is looked at in.
type subject struct{ account, full mux.Address }

// own is s with an address of its own, which keeps no stanza alive.
func (s subject) own() subject {
	if a, err := mux.ParseAddress(strings.Clone(s.full.String())); err == nil {
		s.full = a
	}
	return s
}

// progress is how far it is known what a resource's hash stands for.
type progress uint8

const (
	unasked progress = iota // no hash, or it could not be asked for
	waiting                 // the hash is being asked for
	known                   // by a verified answer
	failed                  // it gave none; what it did say is its own
)

// resource is what is known of a resource. It changes in turns of its account and under
// the lock of the extension.
type resource struct {
	hash  Hash // announced last; zero for none
	state progress
	mark  uint64        // the fingerprint of what announced it
	caps  *Capabilities // held; that of an earlier hash while the new one is being asked for
	heard uint64        // when something was heard of it last, for those of others
	// notify is what Changed was told. It is touched in turns only.
	notify []string
}

// set replaces what is known of a resource.
func (x *Extension) set(r *resource, c *Capabilities, p progress) {
	x.cache.hold(c)
	x.cache.release(r.caps)
	r.caps, r.state = c, p
}

// look takes what a presence announces, in a turn of who.account.
func (x *Extension) look(ctx context.Context, e *mux.Event, who subject, r *resource, s *mux.Stanza, l limit) {
	mark := fingerprint(x.seed, s)
	if mark == 0 {
		return // pep CAPS-2: as before
	}
	x.mu.Lock()
	if mark == r.mark && r.state != failed && r.state != unasked {
		x.mu.Unlock()
		return
	}
	h, ok := x.marks[mark]
	x.mu.Unlock()
	if !ok {
		var few [4]Hash // mostly enough
		list := appendAnnounced(few[:0], s)
		if len(list) == 0 {
			return
		}
		h = x.choose(list, mark)
	}
	x.mu.Lock()
	r.mark = mark
	if h != r.hash {
		r.hash, r.state = h, unasked
		if e.Session != nil {
			e.Work.Save(e.Session)
		}
	}
	x.settle(ctx, e, who, r, l)
}

// settle goes on with a resource whose hash is not resolved, as far as it can be at once.
// The lock is held, and given up.
func (x *Extension) settle(ctx context.Context, e *mux.Event, who subject, r *resource, l limit) {
	f, seen := x.resolve(who, r, l)
	if r.state == unasked {
		x.set(r, nil, unasked) // what it had announced before holds no more
	}
	x.mu.Unlock()
	x.save(e, seen)
	x.tell(ctx, e, who, r)
	if f != nil {
		x.advance(ctx, e, f)
	}
}

// choose is the hash to go by: one that is known, else the first, since only those that
// were announced last count (XEP-0390 §6.2.1). A hash of XEP-0115 is no substitute for
// one of XEP-0390 (§7.2). Its texts keep no stanza alive. What is known is noted under the
// fingerprint of the announcement, so that the next of that kind is not read.
func (x *Extension) choose(list []Hash, mark uint64) Hash {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, h := range list {
		if h.Proto != list[0].Proto {
			break
		}
		if x.cache.get(h.key()) == nil {
			continue
		}
		h = h.clone()
		if len(x.marks) >= maxMarks {
			clear(x.marks)
		}
		x.marks[mark] = h
		return h
	}
	return list[0].clone()
}

// maxMarks bounds the fingerprints that are noted; there are a few hundred kinds of
// clients.
const maxMarks = 4096

// day is how exactly it is kept when a hash was last seen.
const day = 24 * time.Hour

// resolve finds out what a resource's hash stands for: from what is known, or by joining
// those that wait for an answer. The flight is to be advanced, seen to be saved; both may
// be nil.
func (x *Extension) resolve(who subject, r *resource, l limit) (f *flight, seen *Capabilities) {
	k := r.hash.key()
	if c := x.cache.get(k); c != nil {
		if c.refs == 0 {
			domain := outside(x.mux, who.full)
			if !x.cache.affords(domain, c) {
				return nil, nil // as if it was not known
			}
			x.cache.charge(domain, c)
		}
		x.set(r, c, known)
		if now := time.Now(); now.Sub(c.seen) > day {
			c.seen, seen = now, c
		}
		return nil, seen
	}
	if what, ok := x.failures.get(who.full, k); ok {
		x.set(r, what, failed)
		return nil, nil
	}
	if r.state == waiting {
		return nil, nil
	}
	if f = x.join(who, r.hash, l); f != nil {
		r.state = waiting
	}
	return f, nil
}

// tell tells whoever wants to know, if there is something new.
func (x *Extension) tell(ctx context.Context, e *mux.Event, who subject, r *resource) {
	now := r.caps.notify()
	if slices.Equal(now, r.notify) {
		return
	}
	r.notify = now
	x.opt.Changed(ctx, e, who.full, now)
}

// lose forgets what is known of a resource that has left.
func (x *Extension) lose(ctx context.Context, e *mux.Event, who subject, r *resource) {
	x.mu.Lock()
	x.set(r, nil, unasked)
	r.hash, r.mark = Hash{}, 0
	x.mu.Unlock()
	x.tell(ctx, e, who, r)
}

// find is the resource of a subject in the turn of its account, nil if it has left.
func (x *Extension) find(e *mux.Event, who subject) (r *resource, s *mux.Session) {
	if who.full.Bare() == who.account {
		for _, s := range e.Sessions() {
			if s.JID() == who.full {
				return x.own.Of(s), s
			}
		}
		return nil, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.peers[who.account][who.full], nil
}

// save keeps what a hash stands for; c may be nil. What had to make room is removed.
func (x *Extension) save(e *mux.Event, c *Capabilities) {
	x.mu.Lock()
	evicted := x.cache.takeEvicted()
	x.mu.Unlock()
	if x.store == nil {
		return
	}
	for _, k := range evicted {
		e.Work.Write(x.store.Remove(k.proto, k.algo, k.value))
	}
	if c != nil {
		e.Work.Write(x.store.Save(Saved{Proto: c.k.proto, Algo: c.k.algo, Value: c.k.value, Features: c.Features, Seen: time.Now()}))
	}
}

// failures are the resources that did not give the right answer, with what they said.
type failures struct {
	cache *cache
	m     map[failureKey]failure
}

type failureKey struct {
	full mux.Address
	k    key
}

type failure struct {
	until time.Time
	caps  *Capabilities // held; nil if it said nothing of use
}

// maxFailures bounds them.
const maxFailures = 10_000

func (fs *failures) get(full mux.Address, k key) (c *Capabilities, ok bool) {
	fk := failureKey{full, k}
	f, ok := fs.m[fk]
	if ok && !time.Now().Before(f.until) {
		fs.drop(fk)
		return nil, false
	}
	return f.caps, ok
}

// add notes a failure, and takes over the hold on c.
func (fs *failures) add(full mux.Address, k key, c *Capabilities, retry time.Duration) {
	fk := failureKey{full, key{k.proto, strings.Clone(k.algo), strings.Clone(k.value)}}
	fs.drop(fk)
	now := time.Now()
	if len(fs.m) >= maxFailures {
		for fk, f := range fs.m {
			if !now.Before(f.until) {
				fs.drop(fk)
			}
		}
	}
	for fk := range fs.m {
		if len(fs.m) < maxFailures {
			break
		}
		fs.drop(fk)
	}
	if fs.m == nil {
		fs.m = make(map[failureKey]failure)
	}
	fs.m[fk] = failure{now.Add(retry), c}
}

func (fs *failures) drop(fk failureKey) {
	if f, ok := fs.m[fk]; ok {
		delete(fs.m, fk)
		fs.cache.release(f.caps)
	}
}
