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
	if st.since++; st.asked {
		return
	}
	after, within := k.patience()
	ago := time.Since(st.last)
	switch {
	case k.high(), st.since >= farBehind*after, st.since >= after && ago >= askPause, ago >= k.x.opt.AskWithin:
		k.ask()
	case st.since == 1:
		k.arm(within)
	}
}

// answered decides when the client is asked again. Mostly the next stanza takes the
// question with it. The lock is held.
func (k *sink) answered() {
	st := k.st
	after, within := k.patience()
	switch {
	case st.queue.len() == 0 && st.alone:
		st.since = 0
		st.disarm() // else it wakes up a server that sleeps, for nothing
	case st.queue.len() == 0:
		st.since, st.due = 0, time.Time{} // the timer is likely to be needed soon
	case st.since >= farBehind*after, k.high():
		k.ask()
	default:
		k.arm(within)
	}
}

// A client that gets more in askPause than it is asked after is asked later, but before
// farBehind times as many have gone to it.
const (
	askPause  = 50 * time.Millisecond
	farBehind = 4
)

// patience is after how many stanzas the client is asked, and after how long. The
// question would wake a client that nobody looks at (XEP-0198 §8.2), so there it mostly
// waits for a stanza that does so anyway (smacks SM-40).
func (k *sink) patience() (after int, within time.Duration) {
	after, within = k.x.opt.AskAfter, k.x.opt.AskWithin
	if k.x.opt.Idle != nil && k.x.opt.Idle(k.s) {
		after, within = idleAfter*after, k.x.opt.AskIdle
	}
	return after, within
}

// idleAfter times as many stanzas pass for an idle client.
const idleAfter = 8

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
	st.alone = st.since < k.x.opt.AskAfter
	st.asked, st.since, st.last = true, 0, time.Now()
	st.overdue = k.x.opt.Notify == nil || k.x.opt.OverdueAfter >= k.x.opt.AckTimeout
	if k.s.Say(request) == nil {
		if st.overdue {
			k.arm(k.x.opt.AckTimeout)
		} else {
			k.arm(k.x.opt.OverdueAfter)
		}
	}
}

// arm sets the session's one timer: to ask, or for an answer that does not come. To
// set one is dear, so one that fires before is left alone, and set anew when it does.
func (k *sink) arm(d time.Duration) {
	st := k.st
	st.due = time.Now().Add(d)
	if !st.fires.IsZero() && !st.fires.After(st.due) {
		return
	}
	st.fires = st.due
	if st.timer != nil {
		st.timer.Reset(d)
		return
	}
	st.timer = time.AfterFunc(d, k.due)
}

// disarm stops it.
func (st *state) disarm() {
	st.due, st.fires = time.Time{}, time.Time{}
	if st.timer != nil {
		st.timer.Stop()
	}
}

// due is what the timer does.
func (k *sink) due() {
	var lost *mux.Stream
	k.s.Sync(func() {
		st := k.st
		st.fires = time.Time{}
		if st.phase != on || !st.live || st.due.IsZero() {
			return
		}
		if rest := time.Until(st.due); rest > 0 {
			st.fires = st.due
			st.timer.Reset(rest)
			return
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
		if !st.overdue {
			st.overdue = true // and nobody has to be told again (smacks SM-45)
			k.x.notify(k.s, Notice{Kind: NoticeOverdue, Stanzas: st.queue.stanzas()})
			k.arm(k.x.opt.AckTimeout - k.x.opt.OverdueAfter)
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
