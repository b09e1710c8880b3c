package smacks

import (
	"sync/atomic"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// counters count what happened since the start.
type counters struct {
	acked, resumed, restored, timeouts, overflowed, crowded atomic.Int64
	refused                                                 [refusals]atomic.Int64
}

// refusal is why a resumption did not work.
type refusal uint8

const (
	malformed refusal = iota
	unknown
	wrongCounter
	stalled
	busy
	refusals
)

// Refusals are resumptions that did not work, by what was wrong.
type Refusals struct {
	Malformed    int64 // elements that nobody could read
	Unknown      int64 // sessions that are not there, any more or at all, or not the client's
	WrongCounter int64 // clients that claim to have what they were not sent, or miss what they had
	Stalled      int64 // sessions resumed again and again without getting on
	Busy         int64 // the session's old connection could not be put to rest in time
}

// All is how many.
func (r Refusals) All() int64 { return r.Malformed + r.Unknown + r.WrongCounter + r.Stalled + r.Busy }

// Stats are numbers for operators.
type Stats struct {
	Managed int // sessions with stream management now
	Waiting int // sessions without a connection now
	Queued  int // stanzas that are not acknowledged now
	Bytes   int // their octets
	// WaitingBytes are those of sessions that wait, which count towards
	// Options.MaxAllBytes.
	WaitingBytes int
	Acked        int64 // stanzas acknowledged since the start
	Resumed      int64 // resumptions that worked
	Refused      Refusals
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
	n := Stats{Acked: c.acked.Load(), Resumed: c.resumed.Load(), Restored: c.restored.Load(),
		Timeouts: c.timeouts.Load(), Overflowed: c.overflowed.Load(), Crowded: c.crowded.Load()}
	n.WaitingBytes = int(x.waiting.bytes.Load())
	n.Refused = Refusals{Malformed: c.refused[malformed].Load(), Unknown: c.refused[unknown].Load(),
		WrongCounter: c.refused[wrongCounter].Load(), Stalled: c.refused[stalled].Load(), Busy: c.refused[busy].Load()}
	if x.m == nil {
		return n
	}
	for s := range x.m.AllSessions() {
		if s.State() == mux.Hibernating {
			n.Waiting++
		}
		s.Sync(func() {
			st := x.key.Of(s)
			if st.phase == on {
				n.Managed++
			}
			q := &st.queue
			n.Queued += q.len()
			n.Bytes += q.bytes
		})
	}
	return n
}

// SessionInfo is what operators can know of a session.
type SessionInfo struct {
	ID            mux.SessionID
	JID           mux.Address
	State         mux.SessionState
	Managed       bool      // stream management is on
	Resumable     bool      // and it may be resumed
	Queued, Bytes int       // what is not acknowledged
	Since         time.Time // when it began to wait, if it does
}

// Sessions lists the sessions of an account, or of all if that is zero.
func (x *Extension) Sessions(account mux.Address) []SessionInfo {
	var list []SessionInfo
	if x.m == nil {
		return nil
	}
	for s := range x.m.AllSessions() {
		if !account.IsZero() && s.Account() != account.Bare() {
			continue
		}
		s.Sync(func() {
			st := x.key.Of(s)
			i := SessionInfo{ID: s.ID(), JID: s.JID(), State: s.State(), Managed: st.phase == on, Resumable: st.phase == on && st.resume && !st.dead,
				Queued: st.queue.len(), Bytes: st.queue.bytes}
			if i.State == mux.Hibernating {
				i.Since = st.waits
			}
			list = append(list, i)
		})
	}
	return list
}

// End ends a session, wherever its client is: it cannot be resumed. It reports whether
// there is one.
func (x *Extension) End(id mux.SessionID) bool {
	if x.m == nil {
		return false
	}
	s := x.m.SessionByID(id)
	if s == nil {
		return false
	}
	s.Sync(func() { x.key.Of(s).dead = true })
	s.Close(nil)
	return true
}
