package smacks

import (
	"context"
	"slices"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// Link is one stream of an [Outgoing].
type Link struct {
	o    *Outgoing
	conn mux.Conn

	// Guarded by the lock of o.
	box    outbox
	timer  *time.Timer
	fires  time.Time // when it does, zero if it is not running
	broken bool      // nothing can be written any more, as when it is gone
	wrong  bool      // the peer has broken the protocol: it is believed no more
	gone   bool
	waits  []chan error // told when all is acknowledged, or the stream has ended
}

const requestText = "<r xmlns='" + NS + "'/>"

// write numbers, keeps and writes stanzas behind what is in the buffer, in this order
// (smacks SM-32), and a question if it is time; the lock is held. With an error the
// stream is of no more use, and is to be closed.
func (l *Link) write(items []mux.Item, again bool) error {
	o, now := l.o, time.Now()
	for i := range items {
		it := items[i]
		it.Work, it.Record = nil, nil
		if it.At.IsZero() {
			it.At = now
		}
		o.buf = it.Append(o.buf, "")
		l.box.put(&it, again)
	}
	if l.box.wants(now) {
		l.box.ask(now)
		o.buf = append(o.buf, requestText...)
	}
	l.arm(now)
	return l.flush()
}

// flush writes the buffer; the lock is held.
func (l *Link) flush() (err error) {
	o := l.o
	if len(o.buf) > 0 && !l.broken {
		err = l.conn.Write(o.buf)
	}
	if cap(o.buf) > 64<<10 {
		o.buf = nil
	}
	if err != nil {
		l.broken = true
	}
	return err
}

// say writes an element that does not count; the lock is held.
func (l *Link) say(text string) error {
	l.o.buf = append(l.o.buf[:0], text...)
	return l.flush()
}

// answer is say, unless so much is still to be written that the peer asks and does not
// read (core-im LIM-18).
func (l *Link) answer(text string) error {
	if !l.broken && l.conn.Pending() > l.box.queue.bytes+2*l.o.opt.MaxBytes {
		l.broken = true
		return mux.ErrOverflow
	}
	return l.say(text)
}

// close ends the connection if there is an error. The lock is not held: whoever closes
// may call us.
func (l *Link) close(err error) {
	if err != nil {
		l.conn.Close(err)
	}
}

// Receive takes an element that the peer has sent, from the stream's reader, and reports
// whether it was about Stream Management. An error is a [stream.Error] for which the
// connection was closed already, or what broke it.
func (l *Link) Receive(el *mux.Stanza) (mine bool, err error) {
	if el.Name().Space != NS || el.Kind() != mux.Nonza {
		return false, nil
	}
	l.o.mu.Lock()
	if !l.gone && !l.wrong {
		err = l.take(el)
	}
	l.o.mu.Unlock()
	l.close(err)
	return true, err
}

// take is Receive under the lock.
func (l *Link) take(el *mux.Stanza) error {
	now := time.Now()
	switch el.Name().Local {
	case "enabled":
		l.box.enabled()
	case "failed":
		if l.broken {
			return nil // some may have not been written: all go back
		}
		l.box.refused()
		l.wake(nil)
	case ackName.Local:
		if l.box.phase == off {
			return l.answer(string(failed(unexpected))) // smacks SM-46
		}
		if err := l.box.ack(el.Attr("h"), now); err != nil {
			l.broken, l.wrong = true, true
			return err
		}
		l.wake(nil)
		l.o.buf = l.o.buf[:0]
		return l.write(nil, false) // a question, if it is time
	case requestName.Local:
		if l.box.phase == off {
			return l.answer(string(failed(unexpected)))
		}
		return l.answer("<a xmlns='" + NS + "' h='0'/>") // stanzas come on other streams
	case enableName.Local, resumeName.Local:
		return l.answer(string(failed(unexpected)))
	default:
		return l.answer(string(failed(badRequest)))
	}
	return nil
}

// arm sets the timer for what is due; the lock is held. One that fires before is left
// alone, and set anew when it does.
func (l *Link) arm(now time.Time) {
	due := l.box.due
	if due.IsZero() || !l.fires.IsZero() && !l.fires.After(due) {
		return
	}
	l.fires = due
	if l.timer != nil {
		l.timer.Reset(due.Sub(now))
		return
	}
	l.timer = time.AfterFunc(due.Sub(now), l.rings)
}

// rings is what the timer does.
func (l *Link) rings() {
	var err error
	l.o.mu.Lock()
	l.fires = time.Time{}
	if !l.broken {
		now := time.Now()
		switch l.box.tick(now) {
		case askNow:
			err = l.ask(now)
		case peerGone:
			err = l.giveUp(now, stream.ConnectionTimeout)
		case peerStuck:
			err = l.giveUp(now, stream.PolicyViolation) // smacks SM-48
		}
		l.arm(now)
	}
	l.o.mu.Unlock()
	l.close(err)
}

// giveUp ends the stream, unless it is us who do not read: what the peer has said may be
// on its way (core-im LC-30). The lock is held.
func (l *Link) giveUp(now time.Time, why error) error {
	if p, ok := l.conn.(interface{ Paused() bool }); ok && p.Paused() {
		l.box.excuse(now)
		return nil
	}
	l.broken, l.box.due = true, time.Time{}
	return why
}

// ask puts the question alone; the lock is held.
func (l *Link) ask(now time.Time) error {
	l.box.ask(now)
	return l.say(requestText)
}

// Ask asks the peer to acknowledge what it was sent, as a way to see whether it is still
// there (XEP-0198 §8.2). It reports whether the question is on its way.
func (l *Link) Ask() bool {
	l.o.mu.Lock()
	ok, err := l.box.phase != off && !l.broken, error(nil)
	if ok && !l.box.asked {
		now := time.Now()
		err = l.ask(now)
		l.arm(now)
	}
	l.o.mu.Unlock()
	l.close(err)
	return ok && err == nil
}

// Wait asks, and waits until the peer has acknowledged all that it was sent: before a
// stream is closed properly. It returns at once if the peer does not count. The error is
// that of ctx, or [mux.ErrClosed] if the stream has ended before.
func (l *Link) Wait(ctx context.Context) error {
	l.o.mu.Lock()
	if l.gone || l.box.queue.len() == 0 { // as for a peer that does not count
		gone := l.gone
		l.o.mu.Unlock()
		if gone {
			return mux.ErrClosed
		}
		return nil
	}
	done := make(chan error, 1)
	l.waits, l.box.hurry = append(l.waits, done), true
	l.o.mu.Unlock()
	l.Ask()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		l.o.mu.Lock()
		defer l.o.mu.Unlock()
		l.waits = slices.DeleteFunc(l.waits, func(c chan error) bool { return c == done })
		l.box.hurry = len(l.waits) > 0
		return ctx.Err()
	}
}

// wake tells those who wait, unless something is still not acknowledged and the stream
// goes on; the lock is held.
func (l *Link) wake(err error) {
	if l.box.queue.len() > 0 && err == nil {
		return
	}
	for _, done := range l.waits {
		done <- err
	}
	l.waits, l.box.hurry = nil, false
}

// Gone tells that the stream has ended; its reader calls it once, whoever ended the
// stream. What the peer has not acknowledged goes back, or waits for the next stream;
// that is done when Gone returns.
func (l *Link) Gone() {
	l.o.mu.Lock()
	if l.gone {
		l.o.mu.Unlock()
		return
	}
	l.gone, l.broken = true, true
	if l.timer != nil {
		l.timer.Stop()
	}
	left := l.box.take()
	l.wake(mux.ErrClosed)
	resend := l.o.opt.Resend
	if l.o.closed {
		resend = nil
	}
	l.o.mu.Unlock()
	var back, again []mux.Item
	for i := range left {
		e := &left[i]
		if resend != nil && e.repeatable() && resend(&e.item) {
			again = append(again, e.item)
		} else {
			back = append(back, e.item)
		}
	}
	l.o.goBack(back)
	l.o.wait(again)
}
