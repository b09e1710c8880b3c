package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// writer owns the goroutine that writes and the queue in front of it.
type writer struct {
	tx     *transaction // used by the goroutine alone
	linger time.Duration
	wake   chan struct{} // holds one token when the goroutine should look again
	ended  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	open    *batch     // what arrives goes here
	spare   *batch     // the one that was written last, for reuse
	number  uint64     // of the last submission
	urgent  bool       // somebody waits: do not linger
	closing bool
	failing bool // after the end: a goroutine is turning away what arrives
	told    func(batch uint64, err error)
}

// batch is what shares a transaction.
type batch struct {
	writes []mux.Write
	subs   []submission
	first  time.Time // when the oldest arrived, if the writer lingers
}

// submission is a piece of a batch: the writes from the end of the one before up
// to its own, or an operation.
type submission struct {
	number uint64 // 0 for an operation
	end    int
	op     *operation
}

// maxSpare is the number of writes up to which the memory of a batch is reused.
const maxSpare = 4096

func (w *writer) start(tx *transaction, o Options) {
	tx.log = o.Logger
	w.tx, w.linger = tx, o.Linger
	w.wake, w.ended = make(chan struct{}, 1), make(chan struct{})
	w.open, w.spare = new(batch), new(batch)
	go w.run()
}

func (w *writer) notify(f func(batch uint64, err error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = f
}

func (w *writer) submit(writes []mux.Write) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.number++
	w.open.writes = append(w.open.writes, writes...)
	w.add(submission{number: w.number})
	return w.number
}

// add queues a submission whose writes are in place and sees to it that the
// goroutine takes notice. The lock must be held.
func (w *writer) add(s submission) {
	b := w.open
	s.end = len(b.writes)
	b.subs = append(b.subs, s)
	if len(b.subs) == 1 && w.linger > 0 {
		b.first = time.Now()
	}
	urgent := s.op != nil && !w.urgent
	w.urgent = w.urgent || s.op != nil
	switch {
	case w.finished() && !w.failing:
		w.failing = true
		go w.turnAway()
	case len(b.subs) == 1 || urgent:
		w.poke()
	}
}

// poke lets the goroutine look again.
func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *writer) finished() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// stop lets the goroutine write what is there and end.
func (w *writer) stop() {
	w.mu.Lock()
	w.closing = true
	w.poke()
	w.mu.Unlock()
	<-w.ended
}

// run is the goroutine.
func (w *writer) run() {
	for {
		b, wait := w.take()
		switch {
		case b != nil:
			w.commit(b, 0, len(b.subs))
			w.recycle(b)
		case wait > 0:
			late := time.NewTimer(wait)
			select {
			case <-w.wake:
			case <-late.C:
			}
			late.Stop()
		case wait == 0:
			<-w.wake
		default:
			return
		}
	}
}

// take returns the open batch if it may begin. Otherwise it returns how long to
// wait, 0 for until woken, negative when all is done; then the writer has ended.
func (w *writer) take() (*batch, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.open
	if len(b.subs) == 0 {
		if !w.closing {
			return nil, 0
		}
		w.tx.close()
		close(w.ended)
		return nil, -1
	}
	if w.linger > 0 && !w.urgent && !w.closing {
		if wait := w.linger - time.Since(b.first); wait > 0 {
			return nil, wait
		}
	}
	w.open, w.spare, w.urgent = w.spare, nil, false
	return b, 0
}

// recycle empties a batch for reuse.
func (w *writer) recycle(b *batch) {
	if cap(b.writes) > maxSpare || cap(b.subs) > maxSpare {
		*b = batch{}
	}
	clear(b.writes) // let go of what the writes hold
	clear(b.subs)
	b.writes, b.subs = b.writes[:0], b.subs[:0]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare = b
}

// commit writes the submissions from up to to. Nearly always that is one
// transaction. A submission that fails is left out: those before it are written
// without it, then those after it.
func (w *writer) commit(b *batch, from, to int) {
	for from < to {
		bad, err := w.tx.apply(b, from, to)
		if err == nil || bad == to {
			w.finish(b, from, to, err)
			return
		}
		w.commit(b, from, bad)
		w.finish(b, bad, bad+1, err)
		from = bad + 1
	}
}

// finish tells the end of submissions, in order, those in a row at once.
func (w *writer) finish(b *batch, from, to int, err error) {
	w.mu.Lock()
	told := w.told
	w.mu.Unlock()
	number := uint64(0)
	tell := func() {
		if number != 0 && told != nil {
			told(number, err)
		}
		number = 0
	}
	for _, s := range b.subs[from:to] {
		if s.op != nil {
			tell()
			s.op.end(err)
		} else {
			number = s.number
		}
	}
	tell()
}

// turnAway ends all that arrives after the end.
func (w *writer) turnAway() {
	for {
		w.mu.Lock()
		b := w.open
		if len(b.subs) == 0 {
			w.failing = false
			w.mu.Unlock()
			return
		}
		w.open = new(batch)
		w.mu.Unlock()
		w.finish(b, 0, len(b.subs), ErrClosed)
	}
}

// do is described at [DB.do].
func (w *writer) do(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	op := &operation{run: f, done: make(chan struct{})}
	w.mu.Lock()
	w.add(submission{op: op})
	w.mu.Unlock()
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
	}
	if op.state.CompareAndSwap(waiting, abandoned) {
		return ctx.Err()
	}
	<-op.done // it has started: wait for what becomes of it
	return op.err
}

// idle reports whether nothing was submitted that is not yet written.
func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open.subs) == 0 && w.spare != nil
}
