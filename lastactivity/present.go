package lastactivity

import (
	"context"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// present are the accounts that are there, with when the time was last written for
// them or they came. There is one timer for all, and none while there are none.
type present struct {
	mu      sync.Mutex
	since   map[mux.Address]time.Time
	timer   *time.Timer
	stopped bool
}

// ticks is how often in an interval it is looked for accounts whose time is over, so
// that not all are written at once.
const ticks = 8

// arrived notes an account that is there.
func (x *Extension) arrived(m *mux.Mux, account mux.Address) {
	p := &x.present
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.since[account]; ok || x.opt.Interval < 0 || p.stopped {
		return
	}
	if p.since == nil {
		p.since = make(map[mux.Address]time.Time)
	}
	p.since[account] = time.Now()
	if len(p.since) == 1 {
		p.timer = time.AfterFunc(x.opt.Interval/ticks, func() { x.tick(m) })
	}
}

// attached is told of sessions that come back, after a restart too.
func (x *Extension) attached(s *mux.Session) {
	if s.Available() {
		x.arrived(s.Mux(), s.Account())
	}
}

// tick writes the time of those for whom that is due.
func (x *Extension) tick(m *mux.Mux) {
	p := &x.present
	var due []mux.Address
	p.mu.Lock()
	now := time.Now()
	for a, since := range p.since {
		if now.Sub(since) >= x.opt.Interval {
			due = append(due, a)
			p.since[a] = now
		}
	}
	if len(p.since) > 0 && !p.stopped {
		p.timer.Reset(x.opt.Interval / ticks)
	}
	p.mu.Unlock()
	for _, a := range due {
		m.Go(a, x.still)
	}
}

// still is an account's turn: if it is still there that is written, if not it is
// looked after no longer.
func (x *Extension) still(_ context.Context, e *mux.Event) {
	for _, s := range e.Sessions() {
		if s.Available() {
			x.write(e, "")
			return
		}
	}
	x.present.remove(e.Account)
}

func (p *present) remove(account mux.Address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.since, account)
	if len(p.since) == 0 && p.timer != nil {
		p.timer.Stop()
	}
}

// Shutdown implements [mux.Stopper].
func (x *Extension) Shutdown(context.Context) error {
	p := &x.present
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.timer != nil {
		p.timer.Stop()
	}
	return nil
}
