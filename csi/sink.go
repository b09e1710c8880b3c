package csi

import (
	"sync/atomic"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// state is what is kept for each session, touched under its lock. It is the session's
// outbound sink as well, and holds the inbound one, so that an active session costs
// nothing more.
type state struct {
	x        *Extension
	s        *mux.Session
	next     mux.Sink
	in       inbound
	held     *held       // of an inactive client; nil for an active one with nothing left
	inactive atomic.Bool // changed under the lock
}

// held is what an inactive client costs.
type held struct {
	queue queue
	awake time.Time // until then everything is sent
	probe string    // id of the server's last ping that was not answered
	timer *time.Timer
	saved bool     // the session store has some of it
	raw   [][]byte // what was saved, until the mux has started
}

var (
	_ mux.Sink    = (*outbound)(nil)
	_ mux.Drainer = (*outbound)(nil)
	_ mux.Keeper  = (*outbound)(nil)
)

// outbound is the sink on a session's way out.
type outbound state

func (x *Extension) outbound(s *mux.Session, next mux.Sink) mux.Sink {
	st := x.key.Of(s)
	st.x, st.s, st.next = x, s, next
	return (*outbound)(st)
}

// Marks are put into the chain in place of a stanza, and go no further. So what they
// ask for happens between what was put before and after them, also behind a feed, and
// the kernel deals with what is too much.
var (
	activeMark   = mark("active")   // the client is active
	inactiveMark = mark("inactive") // the client is inactive
	spokeMark    = mark("spoke")    // the client has said something
	agedMark     = mark("aged")     // something has been held for long
)

func mark(local string) *mux.Stanza {
	s, err := mux.Parse([]byte("<" + local + " xmlns='" + NS + "'/>"))
	if err != nil {
		panic(err) // cannot be: it is a constant
	}
	return s
}

// Put implements [mux.Sink].
func (k *outbound) Put(it *mux.Item) error {
	st := (*state)(k)
	if it.Stanza.Kind() == mux.Nonza {
		return st.nonza(it)
	}
	if st.held == nil {
		return st.next.Put(it)
	}
	return st.put(it)
}

// nonza obeys marks; stream-level elements are passed on at once (smacks CSI-16) and
// are no reason to send what is held (CSI-22).
func (st *state) nonza(it *mux.Item) error {
	switch it.Stanza {
	case activeMark:
		return st.activate()
	case inactiveMark:
		st.deactivate()
	case spokeMark:
		return st.spoke()
	case agedMark:
		return st.aged()
	default:
		return st.next.Put(it)
	}
	return nil
}

// activate sends what is held, and has the client asked what it has (smacks CSI-7,
// SM-40). For a client that is active already it does nothing (CSI-10).
func (st *state) activate() error {
	if !st.inactive.Swap(false) {
		return nil
	}
	if err := st.flush(ByActive, mux.Address{}); err != nil {
		return err
	}
	if a, ok := st.next.(mux.Asker); ok {
		a.Ask()
	}
	return nil
}

// deactivate begins to hold; what is held already stays (smacks CSI-10).
func (st *state) deactivate() {
	if !st.inactive.Swap(true) && st.held == nil {
		st.held = new(held)
	}
}

// spoke is what a stanza of an inactive client leads to: its radio is awake (smacks
// CSI-22).
func (st *state) spoke() error {
	if !st.inactive.Load() {
		return nil
	}
	st.wake()
	return st.flush(ByClient, mux.Address{})
}

// wake has the next stanzas sent at once, if there is somebody to get them.
func (st *state) wake() {
	if st.x.opt.Awake > 0 && st.s.Stream() != nil {
		st.held.awake = time.Now().Add(st.x.opt.Awake)
	}
}

// put decides about a stanza for a client that is inactive or was until now.
func (st *state) put(it *mux.Item) error {
	if !st.inactive.Load() { // what could not be sent when it became active comes first
		if err := st.flush(ByActive, mux.Address{}); err != nil {
			return err
		}
		return st.next.Put(it)
	}
	if st.notesProbe(it) {
		return st.next.Put(it)
	}
	d := st.x.decide(it)
	switch {
	case d.Action == Drop:
		st.x.stats.dropped.Add(1)
		it.Record.Lost()
		return nil
	case d.Action == Send:
		return st.important(it, d.Key)
	case time.Now().Before(st.held.awake):
		return st.pass(it, ByClient)
	}
	return st.hold(it, d)
}

// important sends a stanza at once, behind what is held (smacks CSI-15). Answers to it
// are not held.
func (st *state) important(it *mux.Item, outdated Key) error {
	if old, ok := st.held.queue.replaced(outdated); ok {
		st.x.stats.dropped.Add(1)
		old.Record.Lost()
	}
	st.wake()
	return st.pass(it, ByImportant)
}

// pass sends a stanza behind what is held: all of it, or what is from the same sender;
// always the latter while nobody is there to get it (smacks CSI-13).
func (st *state) pass(it *mux.Item, why Reason) error {
	if st.held.queue.n > 0 {
		var sender mux.Address
		if st.x.opt.PerSender || st.s.Stream() == nil {
			sender = senderOf(it)
		}
		if err := st.flush(why, sender); err != nil {
			return err
		}
	}
	return st.next.Put(it)
}

// hold holds a stanza back.
func (st *state) hold(it *mux.Item, d Decision) error {
	q := &st.held.queue
	if !d.Fence {
		if old, ok := q.replaced(d.Key); ok {
			st.x.stats.collapsed.Add(1)
			old.Record.Lost() // the newer one stands for it
		}
	}
	e := entry{item: *it, key: d.Key, sender: senderOf(it), since: time.Now()}
	e.item.Origin = nil // so that it does not keep a stream that has ended
	if e.item.At.IsZero() {
		e.item.At = e.since
	}
	if q.n > 0 && (q.n >= st.x.opt.MaxHeld || q.bytes+e.size() > st.x.opt.MaxBytes) {
		if err := st.flush(ByOverflow, mux.Address{}); err != nil {
			return err
		}
	}
	if e.size() > st.x.opt.MaxBytes {
		return st.next.Put(it)
	}
	q.push(e, d.Fence)
	st.x.stats.held.Add(1)
	st.watchAge()
	if st.x.more && lasting(it) {
		st.saveWith(it)
	}
	return nil
}

// flush sends what is held, of a sender or all, in the order in which it came and with
// the time at which it did (smacks CSI-20). What cannot be sent stays held.
func (st *state) flush(why Reason, sender mux.Address) error {
	h, n := st.held, int64(0)
	if h == nil {
		return nil
	}
	err := h.queue.take(sender, func(it *mux.Item) error {
		it.StampDelay()
		if err := st.next.Put(it); err != nil {
			return err
		}
		n++
		return nil
	})
	st.x.stats.flushed(why, n)
	if n > 0 && h.saved {
		h.saved = false
		st.saveLater() // else a crash would bring back what is sent now
	}
	if err == nil && !st.inactive.Load() {
		h.disarm()
		st.held = nil
	}
	return err
}

// Drain implements [mux.Drainer]: a stream that resumes is active (XEP-0352 §5.2), and
// gets what was held behind the replay.
func (k *outbound) Drain() error {
	st := (*state)(k)
	st.inactive.Store(false)
	return st.flush(ByResume, mux.Address{})
}

// Unacked implements [mux.Keeper]: what is held when the session ends is disposed of
// like what was sent and not acknowledged (smacks CSI-14).
func (k *outbound) Unacked() []mux.Item {
	st := (*state)(k)
	if st.held == nil {
		return nil
	}
	st.held.disarm()
	var left []mux.Item
	_ = st.held.queue.take(mux.Address{}, func(it *mux.Item) error {
		left = append(left, *it)
		return nil
	}) // takes all
	st.x.stats.flushed(ByEnd, int64(len(left)))
	return left
}

// inbound is the sink on a session's way in.
type inbound struct {
	st   *state
	next mux.Sink
}

func (x *Extension) inbound(s *mux.Session, next mux.Sink) mux.Sink {
	st := x.key.Of(s)
	st.in = inbound{st, next}
	return &st.in
}

// Put implements [mux.Sink]; it runs outside of the session's lock.
func (k *inbound) Put(it *mux.Item) error {
	if k.st.inactive.Load() && !k.st.answersProbe(it) {
		k.st.s.Put(mux.Item{Stanza: spokeMark, Flags: mux.Service})
	}
	return k.next.Put(it)
}

const nsPing = "urn:xmpp:ping"

// notesProbe reports whether the server asks the client whether it is there, which is
// no reason to send anything else (smacks CSI-22).
func (st *state) notesProbe(it *mux.Item) bool {
	s := it.Stanza
	if s.Kind() != mux.IQ || it.Flags&mux.Service == 0 || s.Type() != string(stanza.GetIQ) {
		return false
	}
	if c := s.Children(); len(c) != 1 || c[0].Name.Space != nsPing || s.From().Local() != "" {
		return false
	}
	st.held.probe = s.ID()
	return true
}

// answersProbe reports whether a stanza of the client answers that, in its result or
// with an error.
func (st *state) answersProbe(it *mux.Item) (answers bool) {
	s := it.Stanza
	if s.Kind() != mux.IQ || s.Type() != string(stanza.ResultIQ) && s.Type() != string(stanza.ErrorIQ) || s.To().Local() != "" {
		return false
	}
	st.s.Sync(func() {
		if h := st.held; h != nil && h.probe != "" && h.probe == s.ID() {
			answers, h.probe = true, ""
		}
	})
	return answers
}
