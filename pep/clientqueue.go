package pep

import (
	"context"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// queue has events handled away from where the session is read: those of one watcher,
// account and node one after another, others beside them.
type queue struct {
	mu  *sync.Mutex // the intake's, guards everything here
	opt *ClientOptions

	lines         map[lineKey]*line
	ready         []*line // have events, and nobody is at them
	workers       int
	events, bytes int
	room          *sync.Cond // told when there are fewer
	ctx           context.Context
	cancel        context.CancelFunc

	running sync.WaitGroup // the workers
}

type lineKey struct {
	w *watcher
	ownedNode
}

// line is what waits of one watcher, account and node.
type line struct {
	key  lineKey
	jobs []job
}

// job is an event, or one that is wrong.
type job struct {
	e     Event
	wrong error
}

// size is about what it takes in memory.
func (j *job) size() int {
	n := 256 + len(j.e.Item.Payload) + len(j.e.Item.ID) + len(j.e.Redirect) + len(j.e.Subscription.SubID) + len(j.e.Subscription.State)
	for name, values := range j.e.Config {
		n += 64 + len(name)
		for _, v := range values {
			n += 16 + len(v)
		}
	}
	return n
}

func (q *queue) init(mu *sync.Mutex, o *ClientOptions) {
	q.mu, q.opt = mu, o
	q.lines = make(map[lineKey]*line)
	q.room = sync.NewCond(mu)
}

// open begins after init and drop; the lock is held.
func (q *queue) open() {
	if q.ctx == nil || q.ctx.Err() != nil {
		q.ctx, q.cancel = context.WithCancel(context.Background())
	}
}

// drop drops all and takes no more; the lock is held.
func (q *queue) drop() {
	q.cancel()
	clear(q.lines)
	q.ready, q.events, q.bytes = nil, 0, 0
	q.room.Broadcast()
}

func (q *queue) full() bool { return q.events >= q.opt.MaxEvents || q.bytes >= q.opt.MaxEventBytes }

// add appends a job to its line; the lock is held. Without room for it its place is taken
// by one that tells of a loss.
func (q *queue) add(w *watcher, from mux.Address, j job) bool {
	if q.ctx.Err() != nil {
		return false
	}
	k := lineKey{w, ownedNode{from, w.Node}}
	l := q.lines[k]
	full := q.full()
	if l == nil {
		if full && len(q.lines) >= 2*q.opt.MaxEvents {
			return false
		}
		l = &line{key: k}
		q.lines[k] = l
		q.ready = append(q.ready, l)
		q.work()
	}
	if full {
		if n := len(l.jobs); n == 0 || l.jobs[n-1].e.Kind != Missed {
			l.jobs = append(l.jobs, job{e: Event{From: j.e.From, Own: j.e.Own, Node: w.Node, Kind: Missed}})
		}
		return false
	}
	l.jobs = append(l.jobs, j)
	q.events++
	q.bytes += j.size()
	return true
}

// wait returns when there is room; the lock is held.
func (q *queue) wait(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.room.Broadcast()
	})()
	for q.full() && ctx.Err() == nil && q.ctx.Err() == nil {
		q.room.Wait()
	}
	if q.ctx.Err() != nil {
		return ErrDisconnected
	}
	return ctx.Err()
}

// work starts a worker if there is one to be had; the lock is held.
func (q *queue) work() {
	if q.workers < q.opt.Workers {
		q.workers++
		q.running.Go(q.worker)
	}
}

// worker handles events until there are none.
func (q *queue) worker() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) > 0 {
		l := q.ready[0]
		q.ready = q.ready[1:]
		q.one(l)
		if q.lines[l.key] != l {
			continue // it was dropped meanwhile
		}
		if len(l.jobs) > 0 {
			q.ready = append(q.ready, l)
		} else {
			delete(q.lines, l.key)
		}
	}
	q.workers--
}

// one handles the first event of a line; the lock is held but for that.
func (q *queue) one(l *line) {
	if len(l.jobs) == 0 {
		return
	}
	j := l.jobs[0]
	l.jobs = l.jobs[1:]
	ctx, w := q.ctx, l.key.w
	if j.e.Kind != Missed {
		q.events--
		q.bytes -= j.size()
		q.room.Broadcast()
	}
	if w.stopped || ctx.Err() != nil {
		return
	}
	if j.wrong == nil {
		j.e.Known = w.seen.note(l.key.owner, &j.e)
	}
	q.mu.Unlock()
	defer q.mu.Lock()
	if j.wrong != nil {
		w.Wrong(ctx, j.e, j.wrong)
	} else {
		w.Handle(ctx, j.e)
	}
}
