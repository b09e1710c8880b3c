package netio

import (
	"net"
	"time"
)

// transport moves bytes between a Conn and the connection it wraps. At most
// one goroutine at a time uses the reading half, and one the writing half.
// Closing the wrapped connection ends every wait; read deadlines set on it are
// honoured.
type transport interface {
	// wait waits until something arrives and puts it, or its first byte, into
	// the empty b. No memory is held while it waits.
	wait(b *buffer) error
	// fill is wait for a caller that needs more than one byte. It may hold
	// memory while it waits.
	fill(b *buffer) error
	// read waits until something arrives and puts it into p.
	read(p []byte) (int, error)
	// tryWrite writes what can be written at once, maybe nothing.
	tryWrite(p []byte) (int, error)
	// writeSome waits until some of p was written. It fails with a timeout if
	// nothing was within the time, if that is above 0.
	writeSome(p []byte, within time.Duration) (int, error)
}

// newTransport picks the transport for a connection.
func newTransport(c net.Conn, portable bool) transport {
	if !portable {
		if t := newRaw(c); t != nil {
			return t
		}
	}
	return &plain{conn: c}
}

// deadlineAfter turns a time span into a deadline; none for 0 and below.
func deadlineAfter(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
