package smacks

import (
	"time"

	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// outbox is what one stream to another server has sent and the peer has not
// acknowledged, and when to ask for that. It does nothing by itself: it is told what
// happens, and when, and says what is to be done.
type outbox struct {
	opt   *OutgoingOptions
	phase phase
	queue window
	asked bool      // the peer owes an acknowledgement
	hurry bool      // somebody waits until all is acknowledged
	since int       // stanzas behind the last question
	last  time.Time // when it was put, long ago if never
	due   time.Time // when to ask, or to give the peer up; zero for never
	// Until when the peer may take to answer; and until when to acknowledge any of what
	// is kept, zero if it was not asked about that, or not since it has last done so.
	answer, progress time.Time
}

// fits reports whether so many more stanzas may be kept.
func (b *outbox) fits(items []mux.Item) bool {
	if b.phase == off {
		return true
	}
	more := 0
	for i := range items {
		more += size(&items[i])
	}
	q := &b.queue
	return q.len()+len(items) <= b.opt.MaxQueue && (q.bytes+more <= b.opt.MaxBytes || q.len() == 0)
}

// put numbers a stanza and keeps it; it is to be written behind the others.
func (b *outbox) put(it *mux.Item, again bool) {
	if b.phase == off {
		return
	}
	b.queue.push(it).sent = again
	b.since++
}

// wants reports whether a question is to be put behind what was put: the first stanza
// after a silence takes it along, later ones wait for company, but not for long (smacks
// SM-39 to SM-41).
func (b *outbox) wants(now time.Time) bool {
	switch {
	case b.phase == off || b.asked || b.since == 0:
		return false
	case b.hurry, b.since >= b.opt.AskAfter, now.Sub(b.last) >= b.opt.AskWithin, b.high():
		return true
	}
	if b.due.IsZero() {
		b.due = now.Add(b.opt.AskWithin)
	}
	return false
}

// high reports whether a bound is near.
func (b *outbox) high() bool {
	return b.queue.len() > b.opt.MaxQueue/4 || b.queue.bytes > b.opt.MaxBytes/4
}

// ask notes that a question is put.
func (b *outbox) ask(now time.Time) {
	b.asked, b.since, b.last, b.answer = true, 0, now, now.Add(b.opt.AckTimeout)
	if b.due = b.answer; b.queue.len() == 0 {
		return
	}
	if b.progress.IsZero() {
		b.progress = b.answer
	}
	b.due = b.progress // never behind the other
}

// excuse gives the peer its time once more.
func (b *outbox) excuse(now time.Time) {
	b.answer = now.Add(b.opt.AckTimeout)
	b.due = b.answer
	if !b.progress.IsZero() {
		b.progress = b.answer
	}
}

// enabled: the peer counts.
func (b *outbox) enabled() {
	if b.phase == enabling {
		b.phase = on
	}
}

// refused: the peer does not count, and nothing is kept (smacks SM-24).
func (b *outbox) refused() {
	if b.phase == enabling {
		b.phase = off
		b.take()
		b.asked, b.since, b.due, b.progress = false, 0, time.Time{}, time.Time{}
	}
}

// ack takes an acknowledgement as it was written; the error is the stream error for one
// that cannot be (smacks SM-26, SM-27, SM-38).
func (b *outbox) ack(text string, now time.Time) error {
	h, number := parseH(text)
	switch {
	case !number:
		return stream.BadFormat
	case b.phase != on:
		return nil // that the peer has not begun to count, or does not, was its word
	}
	n, ok := acknowledged(h, b.queue.acked, b.queue.out())
	if !ok {
		return tooHigh(h, b.queue.out())
	}
	b.queue.drop(int(n))
	b.asked = false
	if n > 0 || b.queue.len() == 0 {
		b.progress = time.Time{}
	}
	if b.queue.len() == 0 {
		b.since, b.due = 0, time.Time{}
		return nil
	}
	b.due = now.Add(b.opt.AskWithin)
	return nil
}

// alarm is what has become due.
type alarm uint8

const (
	quiet     alarm = iota
	askNow          // the last ones have waited for company long enough
	peerGone        // it does not answer
	peerStuck       // it answers, and acknowledges nothing
)

// tick reports what is due.
func (b *outbox) tick(now time.Time) alarm {
	switch {
	case b.due.IsZero() || now.Before(b.due):
		return quiet
	case b.asked && !now.Before(b.answer):
		return peerGone
	case b.queue.len() == 0:
		b.due = time.Time{}
		return quiet
	case !b.progress.IsZero() && !now.Before(b.progress):
		return peerStuck
	}
	return askNow
}

// take takes out what was not acknowledged, in order, and leaves nothing.
func (b *outbox) take() []entry {
	left := make([]entry, 0, b.queue.len())
	for b.queue.len() > 0 {
		left = append(left, *b.queue.take())
		b.queue.taken()
	}
	return left
}

// repeatable reports whether a stanza may be sent once more at all. A request may have
// been carried out.
func (e *entry) repeatable() bool {
	s := e.item.Stanza
	return !e.sent && (s.Kind() != mux.IQ || s.Type() != "get" && s.Type() != "set")
}

// errUnacked is what senders of stanzas are told that another server has maybe not got.
var errUnacked = stanza.Error{Type: stanza.Wait, Condition: stanza.RemoteServerTimeout}
