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

	mu      sync.Mutex
	out     []byte
	writing bool
	dead    bool
}

// writeTimeout is how long one write to a connection may take.
const writeTimeout = 30 * time.Second

func (l *link) write(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
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
		p := l.out
		if len(p) == 0 || l.dead {
			l.writing = false
			l.mu.Unlock()
			return
		}
		l.out = nil
		l.mu.Unlock()
		_ = l.el.SetWriteDeadline(time.Now().Add(writeTimeout)) // without one the network decides
		if _, err := l.el.Write(p); err != nil {
			l.close() // its reader notices
		}
	}
}

func (l *link) close() {
	l.mu.Lock()
	l.dead, l.out = true, nil
	l.mu.Unlock()
	_ = l.el.Close() // it is of no more use
}
