package server

import (
	"time"

	"github.com/propolis-im/propolis/internal/netio"
)

// maxHeld bounds what is held back.
const maxHeld = 16 << 10

// quiet is what TLS reads from and writes to. Before it asks the network for more,
// what was caused so far goes out: a record need not be there as a whole, nor have
// anything for us in it.
//
// In the handshake it sends only when it waits. What is left at the end on TLS 1.3,
// session tickets that nobody waits for, goes out with the first thing that is
// written: a client speaks first. When the peer has closed its stream, what it is
// still to get goes out together.
type quiet struct {
	*netio.Conn
	c    *conn
	hold bool   // in the handshake, later guarded by the lock of c
	held []byte // to be sent, nil for nothing
	mem  *[]byte
}

// Read implements net.Conn.
func (q *quiet) Read(p []byte) (int, error) {
	if q.Buffered() == 0 {
		if q.hold {
			if err := q.release(); err != nil {
				return 0, err
			}
		} else {
			_ = q.c.Flush() // whoever waits on a broken connection gets the error
			q.c.st.Flush()
		}
	}
	return q.Conn.Read(p)
}

// Write implements net.Conn. TLS lets one goroutine do so at a time.
func (q *quiet) Write(p []byte) (int, error) {
	if q.hold && q.held == nil {
		q.mem = outputs.Get().(*[]byte)
		q.held = (*q.mem)[:0]
	}
	if q.held == nil {
		return q.Conn.Write(p)
	}
	q.held = append(q.held, p...)
	if q.hold && len(q.held) <= maxHeld {
		return len(p), nil
	}
	return len(p), q.release()
}

// SetWriteDeadline implements net.Conn. Writing never waits; TLS forbids it behind
// its close_notify, which may be held still.
func (q *quiet) SetWriteDeadline(time.Time) error { return nil }

// release sends what was held.
func (q *quiet) release() error {
	if q.held == nil {
		return nil
	}
	p, mem := q.held, q.mem
	q.held, q.mem = nil, nil
	_, err := q.Conn.Write(p)
	giveBack(mem, p)
	return err
}
