package smacks

import (
	"sync/atomic"

	"github.com/propolis-im/propolis/mux"
)

// counters count what happened since the start.
type counters struct {
	acked, resumed, refused, restored, timeouts, overflowed, crowded atomic.Int64
}

// Stats are numbers for operators.
type Stats struct {
	Waiting int   // sessions without a connection now
	Queued  int   // stanzas that are not acknowledged now
	Bytes   int   // their octets
	Acked   int64 // stanzas acknowledged since the start
	Resumed int64 // resumptions that worked
	Refused int64 // and that did not
	// Restored are sessions that were there when the mux started.
	Restored int64
	// Timeouts are connections given up because their client did not acknowledge,
	// Overflowed sessions ended because of too much to keep, Crowded those ended
	// because too many of their account waited.
	Timeouts, Overflowed, Crowded int64
}

// Stats counts. It looks at every session, so it is not for every second.
func (x *Extension) Stats() Stats {
	c := &x.stats
	n := Stats{Acked: c.acked.Load(), Resumed: c.resumed.Load(), Refused: c.refused.Load(), Restored: c.restored.Load(),
		Timeouts: c.timeouts.Load(), Overflowed: c.overflowed.Load(), Crowded: c.crowded.Load()}
	if x.m == nil {
		return n
	}
	for s := range x.m.AllSessions() {
		if s.State() == mux.Hibernating {
			n.Waiting++
		}
		s.Sync(func() {
			q := &x.key.Of(s).queue
			n.Queued += q.len()
			n.Bytes += q.bytes
		})
	}
	return n
}
