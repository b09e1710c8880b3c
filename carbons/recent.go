package carbons

import (
	"hash/maphash"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// copied is what an account remembers of messages that were copied, or would have
// been if there had been anybody to get the copy. It is touched in the account's
// turns only.
type copied struct{ ways [2]ring }

// ring remembers the latest of many.
type ring struct {
	marks []mark
	next  int
}

type mark struct {
	hash uint64
	at   time.Duration // since start
}

// keep is how long a message is remembered.
const keep = 10 * time.Minute

var seed = maphash.MakeSeed()

// hashOf stands for a message to or from a peer. Others collide with it only by
// chance, since nobody knows the seed.
func hashOf(peer mux.Address, id string) uint64 {
	const mix = 0x9e3779b97f4a7c15
	return maphash.String(seed, peer.String())*mix ^ maphash.String(seed, id)
}

// add remembers a message, in place of the oldest if there are limit already.
func (r *ring) add(peer mux.Address, id string, at time.Duration, limit int) {
	m := mark{hashOf(peer, id), at}
	if len(r.marks) < limit {
		r.marks = append(r.marks, m)
		return
	}
	r.marks[r.next] = m
	r.next = (r.next + 1) % limit
}

// has reports whether a message is remembered.
func (r *ring) has(peer mux.Address, id string, at time.Duration) bool {
	h := hashOf(peer, id)
	for _, m := range r.marks {
		if m.hash == h && at-m.at <= keep {
			return true
		}
	}
	return false
}
