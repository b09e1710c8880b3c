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
func (k *sink) askLater(it *mux.Item) {
	st := k.st
	if !st.live {
		return
	}
	if it.Stanza.Kind() == mux.Message && it.Flags&mux.Service == 0 {
		st.talks = true
	}
	if st.since++; st.asked {
		return
	}
	now := time.Now()
	after, within, soon := k.patience(now)
	ago := now.Sub(st.last)
	switch {
	case k.high(), st.since >= farBehind*after, st.since >= after && ago >= askPause, ago >= k.x.opt.AskWithin, soon > 0 && ago >= soon:
		k.ask()
	case soon > 0:
		k.armAt(now, soon) // when the burst has ended
	case st.since == 1:
		k.armAt(now, within)
	}
}

// answered decides when the client is asked again. Mostly the next stanza takes the
// question with it. Who answers before it has handled all that it was sent is not asked
// at once, when nothing was sent behind the question: it would answer the same, and the
// two would go on in circles (smacks SM-39). The lock is held.
func (k *sink) answered(more bool) {
	st := k.st
	now := time.Now()
	after, within, soon := k.patience(now)
	switch {
	case st.queue.len() == 0 && st.alone:
		st.since, st.talks, st.again = 0, false, false
		st.disarm() // else it wakes up a server that sleeps, for nothing
	case st.queue.len() == 0:
		st.since, st.talks, st.again, st.due = 0, false, false, time.Time{} // the timer is likely to be needed soon
	case st.since > 0 && (st.since >= farBehind*after || k.high() || st.again):
		k.ask()
	case soon > 0:
		k.armAt(now, soon)
	case more && k.high():
		k.armAt(now, k.x.opt.AskSoon) // it gets on, and feeds may wait for it
	default:
		k.armAt(now, within)
	}
}

// A client that gets more in askPause than it is asked after is asked later, but before
// farBehind times as many have gone to it.
const (
	askPause  = 50 * time.Millisecond
	farBehind = 4
)

// patience is after how many stanzas the client is asked, and after how long; soon is
// how long a message waits for another one, 0 for as long as everything. The question
// would wake a client that nobody looks at (XEP-0198 §8.2), so there it mostly waits for
// a stanza that does so anyway (smacks SM-40).
func (k *sink) patience(now time.Time) (after int, within, soon time.Duration) {
	o := &k.x.opt
	if o.Idle != nil && o.Idle(k.s) {
		return idleAfter * o.AskAfter, o.AskIdle, 0
	}
	// A client that leaves before it has acknowledged a message gets it twice, so that is
	// asked for soon; but one with a message every few seconds would answer each.
	if k.st.talks && k.st.spent.Sub(now) <= (soonTimes-1)*o.AskWithin {
		soon = o.AskSoon
	}
	return o.AskAfter, o.AskWithin, soon
}

// soonTimes is how often the client is asked soon before it must be in time with
// AskWithin.
const soonTimes = 8

// spend notes a question for few stanzas, of which there may be one every so often, and
// some more.
func (st *state) spend(now time.Time, every time.Duration) {
	if st.spent.Before(now) {
		st.spent = now
	}
	st.spent = st.spent.Add(every)
	if most := now.Add(soonTimes * every); st.spent.After(most) {
		st.spent = most
	}
}

// idleAfter times as many stanzas pass for an idle client.
const idleAfter = 8

// high reports whether the bounds are near.
func (k *sink) high() bool {
	q := &k.st.queue
	return q.len() > k.x.opt.MaxQueue/4 || q.bytes > k.x.opt.MaxBytes/4
}

// Ask implements [mux.Asker]; the lock is held. One question is out at a time (smacks
// SM-39).
func (k *sink) Ask() {
	switch {
	case k.st.phase != on || !k.st.live:
	case k.st.asked:
		k.st.again = true
	default:
		k.ask()
	}
}

// ask asks now.
func (k *sink) ask() {
	st := k.st
	now := time.Now()
	st.alone = st.since < k.x.opt.AskAfter
	if st.alone {
		st.spend(now, k.x.opt.AskWithin)
	}
	st.asked, st.since, st.last, st.talks, st.again = true, 0, now, false, false
	st.overdue = k.x.opt.Notify == nil || k.x.opt.OverdueAfter >= k.x.opt.AckTimeout
	if k.s.Say(request) == nil {
		if st.overdue {
			k.armAt(now, k.x.opt.AckTimeout)
		} else {
			k.armAt(now, k.x.opt.OverdueAfter)
		}
	}
}

// arm sets the session's one timer: to ask, or for an answer that does not come. To
// set one is dear, so one that fires before is left alone, and set anew when it does.
func (k *sink) arm(d time.Duration) { k.armAt(time.Now(), d) }

func (k *sink) armAt(now time.Time, d time.Duration) {
	st := k.st
	st.due = now.Add(d)
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
