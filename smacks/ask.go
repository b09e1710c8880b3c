package smacks

import (
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// fixed is an element that is always the same.
func fixed(raw string) *mux.Stanza {
	s, err := mux.Parse([]byte(raw))
	if err != nil {
		panic(err) // cannot be: it is a constant
	}
	return s
}

var request = fixed("<r xmlns='" + NS + "'/>")

// askLater decides when the client is asked to acknowledge what it was sent: the
// first stanza after a silence takes the question with it, in the same packet; later
// ones wait for company, but not for long (smacks SM-39 to SM-41). The lock is held.
func (k *sink) askLater() {
	st := k.st
	if !st.live {
		return
	}
	st.since++
	switch {
	case st.asked:
	case st.since >= k.x.opt.AskAfter, st.queue.len() == 1, k.high():
		k.ask()
	case st.since == 1:
		k.arm(k.x.within(k.s))
	}
}

// within is how long the last stanzas wait for the question. It would wake a client
// that nobody looks at (XEP-0198 §8.2), so there they mostly wait for a stanza that
// does so anyway.
func (x *Extension) within(s *mux.Session) time.Duration {
	if x.opt.Idle != nil && x.opt.Idle(s) {
		return x.opt.AskIdle
	}
	return x.opt.AskWithin
}

// high reports whether the bounds are near.
func (k *sink) high() bool {
	q := &k.st.queue
	return q.len() > k.x.opt.MaxQueue/4 || q.bytes > k.x.opt.MaxBytes/4
}

// Ask implements [mux.Asker]; the lock is held.
func (k *sink) Ask() {
	if k.st.phase == on && k.st.live && !k.st.asked {
		k.ask()
	}
}

// ask asks now.
func (k *sink) ask() {
	st := k.st
	st.asked, st.since = true, 0
	if k.s.Wire().Put(&mux.Item{Stanza: request}) == nil {
		k.arm(k.x.opt.AckTimeout)
	}
}

// arm sets the session's one timer: to ask, or for an answer that does not come.
func (k *sink) arm(d time.Duration) {
	st := k.st
	st.due = time.Now().Add(d)
	if st.timer != nil {
		st.timer.Reset(d)
		return
	}
	st.timer = time.AfterFunc(d, k.due)
}

// disarm stops it.
func (st *state) disarm() {
	st.due = time.Time{}
	if st.timer != nil {
		st.timer.Stop()
	}
}

// due is what the timer does.
func (k *sink) due() {
	var lost *mux.Stream
	k.s.Sync(func() {
		st := k.st
		if st.phase != on || !st.live || st.due.IsZero() || time.Now().Before(st.due) {
			return // it fired while it was set anew
		}
		if !st.asked {
			if st.queue.len() > 0 {
				k.ask()
			}
			return
		}
		stream := k.s.Stream()
		if stream == nil {
			return
		}
		if paused(stream) {
			// It may have answered, and we do not read (smacks SM-42).
			k.arm(k.x.opt.AckTimeout)
			return
		}
		lost = stream
	})
	if lost != nil {
		k.x.stats.timeouts.Add(1)
		lost.Abandon(stream.ConnectionTimeout)
	}
}

// paused reports whether it is us who do not read (core-im LC-30).
func paused(st *mux.Stream) bool {
	if st.Waiting() {
		return true
	}
	p, ok := st.Conn().(interface{ Paused() bool })
	return ok && p.Paused()
}
