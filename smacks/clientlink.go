package smacks

import (
	"sync"
	"time"
)

// link is one connection of a client. What is written to it waits in memory: who
// writes never waits for the network, and so reading goes on whatever happens.
type link struct {
	el    *elements
	timer *time.Timer // to ask, or for an answer that does not come
	due   time.Time
	deaf  bool // it is not read at present
	begun time.Time
	in    uint32 // stanzas handled then
	acked uint32 // and acknowledged

	mu      sync.Mutex
	out     []byte
	writing bool
	last    bool // nothing comes behind out, which is to be written before it is closed
	dead    bool
}

// writeTimeout is how long one write to a connection may take.
const writeTimeout = 30 * time.Second

// idle reports whether it has lasted for no time, and nothing has got on by it.
func (l *link) idle(s *ClientState) bool {
	return time.Since(l.begun) < barren && s.In == l.in && s.Acked == l.acked
}

// barren is how long a connection lasts at least that is no failure, and so many failures
// in a row may be bad luck: behind these the next attempt waits as if it had failed.
const (
	barren    = 10 * time.Second
	maxBarren = 5
)

func (l *link) write(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(b)
}

// finish writes something and closes the connection then.
func (l *link) finish(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(b)
	l.last = true
}

func (l *link) add(b []byte) {
	if l.dead || l.last {
		return
	}
	l.out = append(l.out, b...)
	if !l.writing {
		l.writing = true
		go l.drain()
	}
}

// drain writes until nothing is left.
func (l *link) drain() {
	for {
		l.mu.Lock()
		p, last := l.out, l.last
		if len(p) == 0 || l.dead {
			l.writing = false
			l.mu.Unlock()
			if last {
				l.cut()
			}
			return
		}
		l.out = nil
		l.mu.Unlock()
		_ = l.el.SetWriteDeadline(time.Now().Add(writeTimeout)) // without one the network decides
		if _, err := l.el.Write(p); err != nil {
			l.cut() // its reader notices
		}
	}
}

// close closes the connection, unless finish does.
func (l *link) close() {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	if !last {
		l.cut()
	}
}

// cut closes the connection at once.
func (l *link) cut() {
	l.mu.Lock()
	l.dead, l.out = true, nil
	l.mu.Unlock()
	_ = l.el.Close() // it is of no more use
}
