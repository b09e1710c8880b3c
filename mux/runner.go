package mux

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"mellium.im/xmpp/stanza"
)

// taskKind is what a turn does.
type taskKind uint8

const (
	peerTask   taskKind = iota // a client's stanza, in its own account
	arriveTask                 // a stanza for the account
	hostTask                   // a request of somebody remote to a served domain
	entityTask                 // a stanza for a hosted entity
	callTask                   // a function
)

// task is one turn that waits for its account.
type task struct {
	next *task
	kind taskKind
	work *Work
	item Item
	sess *Session
	fn   func(ctx context.Context, e *Event)

	waits bool // fn may wait
}

var tasks = sync.Pool{New: func() any { return new(task) }}

func newTask(k taskKind, w *Work) *task {
	t := tasks.Get().(*task)
	t.kind, t.work = k, w
	return t
}

func (t *task) free() {
	*t = task{}
	tasks.Put(t)
}

// Bounds of a runner.
const (
	drainBound = 32  // turns of one account before others get theirs
	listBound  = 64  // accounts before a new goroutine takes the rest
	flushBound = 256 // turns before what they led to is written
)

// runner runs turns to completion on one goroutine: those it is given and all
// that they lead to, one after another, never recursively and without waiting.
type runner struct {
	m       *Mux
	first   *account
	last    *account
	n       int
	turns   int // since the last flush
	dirty   []*Session
	outlets []*outlet
	remotes []*far
	ev      Event
	inner   *Event // of what an account sends to itself, within its turn
	targets []*Session
	buf     []byte
	items   []Item
	ended   []told // told when what Works led to is written
	item    Item   // on its way into a sink
	given   Item   // the same, of Deliver
	waits   bool   // the goroutine is the runner's own, turns may wait
	inside  bool
}

// told is who is told how a Work has ended.
type told struct {
	fn  func(error)
	err error
}

var runners = sync.Pool{New: func() any { return new(runner) }}

func (m *Mux) newRunner() *runner {
	r := runners.Get().(*runner)
	r.m = m
	m.open.Add(1) // what it has to flush is not out yet
	return r
}

// end flushes and gives the runner back.
func (r *runner) end() {
	r.run()
	r.flush()
	r.recycle()
}

func (r *runner) recycle() {
	r.m.workEnded()
	r.m, r.waits, r.inside = nil, false, false
	r.ev, r.item, r.given = Event{}, Item{}, Item{}
	if cap(r.buf) > 64<<10 {
		r.buf = nil
	}
	runners.Put(r)
}

// add puts an account, which the caller has made busy, on the run list.
func (r *runner) add(a *account) {
	a.next = nil
	if r.last == nil {
		r.first = a
	} else {
		r.last.next = a
	}
	r.last = a
	r.n++
}

func (r *runner) take() *account {
	a := r.first
	if a == nil {
		return nil
	}
	r.first = a.next
	if r.first == nil {
		r.last = nil
	}
	a.next = nil
	r.n--
	return a
}

// submit queues a turn. The account's reference that the caller took goes with
// it; the turn is counted in its Work by the caller.
func (r *runner) submit(a *account, t *task) {
	if a.push(t) {
		r.add(a)
	}
}

// run drains the run list.
func (r *runner) run() {
	if r.inside {
		return
	}
	r.inside = true
	for {
		a := r.take()
		if a == nil {
			break
		}
		r.drain(a)
		if r.turns >= flushBound {
			r.flush()
		}
		if r.n > listBound {
			r.handOn()
		}
	}
	r.inside = false
}

// handOn gives the run list to a new goroutine.
func (r *runner) handOn() {
	if r.first == nil {
		return
	}
	m := r.m
	o := m.newRunner()
	o.first, o.last, o.n = r.first, r.last, r.n
	r.first, r.last, r.n = nil, nil, 0
	m.goes.Add(1)
	go func() {
		defer m.goes.Done()
		o.end()
	}()
}

// drain runs turns of an account, up to a bound.
func (r *runner) drain(a *account) {
	for i := 0; ; i++ {
		if i == drainBound {
			a.mu.Lock()
			more := a.head != nil
			if !more {
				a.busy = false
			}
			a.mu.Unlock()
			if more {
				r.add(a)
			}
			return
		}
		t := a.pop()
		if t == nil {
			return
		}
		if r.m.mustWait(r, a, t) {
			if !r.waits {
				r.detach(a, t)
				return
			}
			r.handOn()
			r.flush()
		}
		r.turn(a, t)
	}
}

// detach continues an account on a goroutine that may wait.
func (r *runner) detach(a *account, t *task) {
	m := r.m
	m.goes.Add(1)
	go func() {
		defer m.goes.Done()
		o := m.newRunner()
		o.waits, o.inside = true, true
		o.handOn()
		o.turn(a, t)
		o.drain(a)
		o.inside = false
		o.end()
	}()
}

// turn runs one turn and what ends it.
func (r *runner) turn(a *account, t *task) {
	r.turns++
	w := t.work
	before := w.wrote.Load()
	r.guarded(a, t)
	if w.wrote.Load() != before {
		w.note(a)
	}
	r.ev, r.inner = Event{}, nil
	clear(r.targets)
	r.targets = r.targets[:0]
	t.free()
	w.turnEnded(r)
	r.m.release(a)
}

// guarded runs a turn with its panics contained (core-im CORE-18).
func (r *runner) guarded(a *account, t *task) {
	if !r.m.opt.NoRecover {
		defer func() {
			if p := recover(); p != nil {
				r.panicked(a, t, p)
			}
		}()
	}
	e := &r.ev
	*e = Event{Account: a.addr, Work: t.work, m: r.m, r: r, acct: a}
	r.m.perform(r, e, t)
}

func (r *runner) panicked(a *account, t *task, p any) {
	m := r.m
	m.log.LogAttrs(m.ctx, slog.LevelError, "a handler panicked", slog.String("account", a.addr.String()),
		slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
	e := &r.ev
	if r.inner != nil {
		e = r.inner
	}
	if t.item.Stanza != nil && e.reply != replyGiven && len(e.Targets) == 0 {
		m.bounce(m.ctx, e, &t.item, errInternal)
	}
	if t.kind == peerTask && t.item.Origin != nil {
		r.endStream(t.item.Origin, errServer)
	}
}

// endStream closes a stream within a turn, behind what it is to get and may.
func (r *runner) endStream(st *Stream, err error) {
	if s := st.Session(); s != nil {
		s.flush(r)
	}
	st.Close(err)
}

// touch notes a session whose output is to be flushed.
func (r *runner) touch(s *Session) {
	if n := len(r.dirty); n > 0 && r.dirty[n-1] == s {
		return
	}
	if r.waits || s.dirty.CompareAndSwap(false, true) { // who may wait must not keep others from writing
		r.dirty = append(r.dirty, s)
	}
}

func (r *runner) touchOutlet(o *outlet) { r.outlets = append(r.outlets, o) }

// flush writes what sessions have ready.
func (r *runner) flush() {
	r.turns = 0
	for i, s := range r.dirty {
		r.dirty[i] = nil
		s.dirty.Store(false)
		s.flush(r)
	}
	r.dirty = r.dirty[:0]
	for i, o := range r.outlets {
		r.outlets[i] = nil
		o.flush(r)
	}
	r.outlets = r.outlets[:0]
	for i, f := range r.remotes {
		r.remotes[i] = nil
		f.release()
	}
	r.remotes = r.remotes[:0]
	for i, t := range r.ended {
		r.ended[i] = told{}
		t.fn(t.err)
	}
	r.ended = r.ended[:0]
}

// stanzaError finds the stanza error in err.
func stanzaError(err error) (stanza.Error, bool) {
	var full *Error
	if asError(err, &full) {
		return full.Stanza, true
	}
	var se stanza.Error
	if asError(err, &se) {
		return se, true
	}
	return se, false
}
