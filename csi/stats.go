package csi

import (
	"sync/atomic"
)

// Reason is why what is held was sent.
type Reason uint8

// The reasons.
const (
	ByActive    Reason = iota // the client became active
	ByClient                  // it has said something
	ByImportant               // something important came
	ByOverflow                // it was too much
	ByAge                     // it was held for too long
	ByResume                  // the client came back
	ByEnd                     // the session ended: it was not sent but disposed of
	reasons
)

// String names the reason.
func (r Reason) String() string {
	return [...]string{"active", "client", "important", "overflow", "age", "resume", "end"}[r]
}

// counters count what happened since the start.
type counters struct {
	held, collapsed, dropped atomic.Int64
	times, stanzas           [reasons]atomic.Int64
}

func (c *counters) flushed(why Reason, n int64) {
	if n > 0 {
		c.times[why].Add(1)
		c.stanzas[why].Add(n)
	}
}

// Flushed counts how often what was held was sent, and how many stanzas.
type Flushed struct{ Times, Stanzas int64 }

// Stats are numbers for operators.
type Stats struct {
	Inactive int // sessions whose client is inactive now, or was when it went
	Holding  int // stanzas held now
	Bytes    int // about what they occupy, in octets
	// Held are stanzas held back since the start, Collapsed those of them that were
	// replaced by newer ones, Dropped those that were dropped or out of date.
	Held, Collapsed, Dropped int64
	// Flushed says by reason what became of the others.
	Flushed [reasons]Flushed
}

// Stats counts. It looks at every session, so it is not for every second.
func (x *Extension) Stats() Stats {
	c := &x.stats
	n := Stats{Held: c.held.Load(), Collapsed: c.collapsed.Load(), Dropped: c.dropped.Load()}
	for i := range n.Flushed {
		n.Flushed[i] = Flushed{c.times[i].Load(), c.stanzas[i].Load()}
	}
	if x.m == nil {
		return n
	}
	for s := range x.m.AllSessions() {
		s.Sync(func() { n.count(x.key.Of(s)) })
	}
	return n
}

func (n *Stats) count(st *state) {
	if st.is(inactive) {
		n.Inactive++
	}
	if st.held != nil {
		n.Holding += st.held.queue.n
		n.Bytes += st.held.queue.bytes
	}
}
