package mux

import (
	"sync"
	"sync/atomic"
)

// Work is everything one inbound stanza causes, in however many turns. Its
// durable writes commit together when the last turn has ended; nothing it
// caused leaves the process before.
type Work struct {
	m     *Mux
	gen   atomic.Uint64 // changes when the Work has ended for good
	wrote atomic.Int32  // calls of Write and Save
	turns atomic.Int32  // queued or running

	mu       sync.Mutex
	writes   []stamped
	touched  []*Session // have output that waits for this Work
	outlets  []*outlet  // likewise
	accounts []*account // had a turn that wrote
	changed  []*Session // are to be saved with the writes
	after    []func(err error)
	fn       func(error) // told at the end, by Do
	ended    bool        // durable or failed

	bundle *bundle
	batch  uint64
	stream *Stream
	sess   *Session // whose stanza it is
	seq    uint32   // number of the stanza in its session, or on a server's stream
	size   int      // octets of credit
	failed atomic.Bool
}

// generation is what an item keeps to tell whether its Work has ended.
func (w *Work) generation() uint64 {
	if w == nil {
		return 0
	}
	return w.gen.Load()
}

// Write adds a durable change. It must be called in a turn of this Work. Changes
// of one account are made in the order of its turns.
func (w *Work) Write(f Write) {
	if f == nil {
		return
	}
	w.mu.Lock()
	w.writes = append(w.writes, stamped{w.m.stamps.Add(1), f})
	w.mu.Unlock()
	w.wrote.Add(1)
}

// After registers f, which runs when the Work is durable (nil) or its commit has
// failed. f must not wait; it is outside of any turn.
func (w *Work) After(f func(err error)) {
	w.mu.Lock()
	w.after = append(w.after, f)
	w.mu.Unlock()
}

// whenEnded is After for one who has only an item of the Work, with its generation
// then; false if the Work has ended.
func (w *Work) whenEnded(gen uint64, f func(err error)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || w.gen.Load() != gen {
		return false
	}
	w.after = append(w.after, f)
	return true
}

// Save has the session saved with this Work's writes, if it can be resumed. It must
// be called in a turn of the session's account: what is written then is in order with
// the writes of other turns.
func (w *Work) Save(s *Session) {
	if w.m.opt.Sessions == nil {
		return // nothing is saved anywhere
	}
	w.wrote.Add(1) // as Write does, although nobody knows yet what
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.changed {
		if c == s {
			return
		}
	}
	w.changed = append(w.changed, s)
}

// Origin is the session whose stanza began the Work and the number of that stanza
// in it; nil if no session's did.
func (w *Work) Origin() (s *Session, n uint32) {
	if w.sess == nil {
		return nil, 0
	}
	return w.sess, w.seq
}

var works = sync.Pool{New: func() any { return new(Work) }}

// newWork begins a Work with one turn, the caller's.
func (m *Mux) newWork() *Work {
	w := works.Get().(*Work)
	w.m = m
	w.turns.Store(1)
	m.open.Add(1)
	return w
}

// touch notes a session whose output waits for w.
func (w *Work) touch(s *Session) {
	w.mu.Lock()
	if n := len(w.touched); n == 0 || w.touched[n-1] != s {
		w.touched = append(w.touched, s)
	}
	w.mu.Unlock()
}

func (w *Work) touchOutlet(o *outlet) {
	w.mu.Lock()
	w.outlets = append(w.outlets, o)
	w.mu.Unlock()
}

// note keeps an account whose memory is ahead of the store by w.
func (w *Work) note(a *account) {
	w.m.wroteIn(w, a)
	w.mu.Lock()
	if n := len(w.accounts); n == 0 || w.accounts[n-1] != a {
		w.accounts = append(w.accounts, a)
		w.m.retain(a)
	}
	w.mu.Unlock()
}

// turnEnded is called for each turn; the last one ends the Work.
func (w *Work) turnEnded(r *runner) {
	if w.turns.Add(-1) > 0 {
		return
	}
	m := w.m
	for _, f := range m.sealers {
		m.protect(func() { f(w) })
	}
	for _, s := range w.changed {
		s.saving(w)
		w.Write(s.saveWrite(w))
	}
	if len(w.writes) == 0 && w.bundle == nil {
		w.finish(r, nil)
		return
	}
	m.submit(r, w)
}

// finish ends the Work for good: it is durable, or its commit has failed.
func (w *Work) finish(r *runner, err error) {
	m := w.m
	if err != nil {
		w.failed.Store(true)
		m.commitFailed(r, w, err)
	}
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	for _, f := range w.after {
		m.protect(func() { f(err) })
	}
	touched, outlets := w.touched, w.outlets
	if fn := w.fn; fn != nil {
		r.ended = append(r.ended, told{fn, err})
	}
	st, sess, seq, size := w.stream, w.sess, w.seq, w.size
	accounts := w.accounts
	// From here on items of this Work are free to go.
	if err == nil {
		w.gen.Add(1)
	}
	for _, s := range touched {
		r.touch(s)
	}
	for _, o := range outlets {
		r.touchOutlet(o)
	}
	for _, a := range accounts {
		m.release(a)
	}
	switch {
	case err != nil:
	case sess != nil:
		sess.handledUpTo(r, seq)
	case st != nil && st.far != nil:
		st.far.handledUpTo(r, seq)
	}
	if st != nil {
		st.release(size)
	}
	w.recycle(err)
	m.workEnded()
}

// recycle returns w to the pool. A failed one is left to the collector, because
// items may still ask it.
func (w *Work) recycle(err error) {
	if err != nil {
		return
	}
	clear(w.writes)
	clear(w.touched)
	clear(w.outlets)
	clear(w.accounts)
	clear(w.changed)
	clear(w.after)
	w.writes, w.touched, w.outlets = w.writes[:0], w.touched[:0], w.outlets[:0]
	w.accounts, w.changed, w.after = w.accounts[:0], w.changed[:0], w.after[:0]
	w.ended = false
	w.bundle, w.fn, w.stream, w.sess, w.seq, w.size, w.batch = nil, nil, nil, nil, 0, 0, 0
	works.Put(w)
}

// gate says what stands between an item and the wire.
type gate uint8

const (
	gateOpen gate = iota
	gateShut      // its Work has not ended
	gateLost      // its Work has failed
)

func (it *Item) gate() gate {
	g := it.Work.gate(it.gen)
	if g == gateOpen && it.also != nil {
		return it.also.gate(it.alsoGen)
	}
	return g
}

// gate is that of an item which was made when w had that generation.
func (w *Work) gate(gen uint64) gate {
	switch {
	case w == nil || w.gen.Load() != gen:
		return gateOpen
	case w.failed.Load():
		if w.gen.Load() != gen {
			return gateOpen // it had ended well before it was used again
		}
		return gateLost
	}
	return gateShut
}
