package component

import (
	"log/slog"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// link is the way to one component: what waits for the store or for the
// connection, in the order of the turns.
type link struct {
	x      *Extension
	addr   mux.Address
	name   string
	secret []byte

	mu    sync.Mutex // guards what follows
	peer  *peer      // nil while the component is absent
	queue []*waiting
	bytes int // of the queue
}

// waiting is a stanza that has not been written.
type waiting struct {
	item  mux.Item
	size  int
	state gate
}

type gate uint8

const (
	shut gate = iota // the Work of the stanza is not durable yet (kernel rule 1)
	open
	void // its commit has failed
)

// peer is a connected component. It is guarded by the lock of its link.
type peer struct {
	link     *link
	st       *mux.Stream
	conn     mux.Conn
	ready    bool   // the handshake is answered
	base     uint64 // octets of the connection before the first stanza
	written  uint64 // octets of stanzas
	accepted uint64 // those that the connection took
	inflight []sent
}

// sent is a stanza that was written and may not have left the process.
type sent struct {
	item mux.Item
	end  uint64 // octets of stanzas up to its end
}

// window bounds what is given to the connection before it has sent it, in octets:
// what is behind it comes back to its senders when the connection breaks.
const window = 64 << 10

// counter is a connection that counts what has left the process.
type counter interface{ Sent() uint64 }

// forward takes the stanza of a turn, and reports whether there is somebody to
// take it to.
func (l *link) forward(e *mux.Event) bool {
	w := &waiting{item: *e.Item, size: e.Stanza.Size()}
	w.item.Work = nil // it is over when the stanza is written
	l.mu.Lock()
	p := l.peer
	if p == nil {
		l.mu.Unlock()
		return false
	}
	if l.bytes > 0 && l.bytes+w.size > l.x.opt.MaxQueue {
		l.mu.Unlock()
		l.x.opt.Logger.Warn("component does not read", slog.String("component", l.addr.Domain()))
		p.st.Close(errSlow) // core-im LIM-18
		return false
	}
	l.queue = append(l.queue, w)
	l.bytes += w.size
	l.mu.Unlock()
	e.Work.After(func(err error) { l.settle(w, err) })
	return true
}

// settle opens the gate of a stanza.
func (l *link) settle(w *waiting, err error) {
	l.mu.Lock()
	w.state = open
	if err != nil {
		w.state = void // whoever sent it learns that his stream has ended
	}
	done := l.flush()
	l.mu.Unlock()
	l.x.finish(done)
}

// outcome is what is to be done without the lock.
type outcome struct {
	lost   []mux.Item  // to be bounced
	broken *mux.Stream // to be closed with err
	err    error
}

// flush writes what may go, in order. The lock is held.
func (l *link) flush() (o outcome) {
	p := l.peer
	var buf []byte
	for len(l.queue) > 0 && l.queue[0].state != shut {
		w := l.queue[0]
		if w.state == open && p != nil {
			if !p.ready {
				break
			}
			if p.conn.Pending()+len(buf) >= window {
				break // Drained goes on
			}
			n := len(buf)
			buf = w.item.Append(buf, "")
			p.written += uint64(len(buf) - n)
			p.inflight = append(p.inflight, sent{w.item, p.written})
		} else if w.state == open {
			o.lost = append(o.lost, w.item)
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.bytes -= w.size
	}
	if len(l.queue) == 0 {
		l.queue = nil
	}
	if len(buf) > 0 {
		if err := p.conn.Write(buf); err != nil {
			o.broken, o.err = p.st, err // Detach bounces what is in flight
			return o
		}
		p.accepted = p.written
		p.prune()
	}
	return o
}

// open notes that the handshake is answered.
func (p *peer) open() {
	p.ready = true
	p.base = uint64(p.conn.Pending())
	if c, ok := p.conn.(counter); ok {
		p.base += c.Sent()
	}
}

// prune forgets what has left the process.
func (p *peer) prune() {
	gone := uint64(0)
	if c, ok := p.conn.(counter); ok {
		gone = less(c.Sent(), p.base)
	} else {
		gone = less(p.accepted, uint64(p.conn.Pending()))
	}
	n := 0
	for n < len(p.inflight) && p.inflight[n].end <= gone {
		n++
	}
	if n == len(p.inflight) {
		p.inflight = nil
		return
	}
	p.inflight = p.inflight[n:]
}

// less subtracts down to 0.
func less(a, b uint64) uint64 { return a - min(a, b) }
