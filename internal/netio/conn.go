package netio

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a net.Conn for a server's sessions; see the package documentation.
//
// WaitReadable, Read and SetTLS are for one goroutine, the reader; Write may
// be called by any. All other methods may be called at any time.
type Conn struct {
	inner net.Conn
	t     transport
	opt   Options

	ending atomic.Bool  // CloseAfterDrain or Close was called: nothing is read any more
	closed atomic.Bool  // set with wmu held
	held   atomic.Int32 // bytes in in, for Buffered

	rmu     sync.Mutex // held by the reader, also while it waits
	in      buffer
	tls     bool
	rec     records
	readErr error // sticky: the end of the stream, or a broken one

	wmu       sync.Mutex // never held while waiting
	out       queue      // not empty only while drain runs
	draining  bool       // drain owns the writing half of t
	sent      uint64
	writeErr  error // sticky
	wdeadline time.Time
	running   int           // own goroutines
	done      chan struct{} // made when asked for
	doneShut  bool
	closeWhen *time.Timer // CloseAfterDrain's
	lingers   bool
}

var _ net.Conn = (*Conn)(nil)

// New returns a Conn over c, which it owns from then on. If c has a method
// SyscallConn, as *net.TCPConn does, its system calls are made directly: a
// wrapper that has the method and also reads ahead or counts bytes needs
// Options.Portable. A write deadline set on c before is removed. o may be nil;
// it is copied.
func New(c net.Conn, o *Options) *Conn {
	_ = c.SetWriteDeadline(time.Time{}) // if it fails so does the first write
	opt := o.withDefaults()
	return &Conn{inner: c, t: newTransport(c, opt.Portable), opt: opt}
}

// LocalAddr returns the local address of the wrapped connection.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the remote address of the wrapped connection.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetDeadline sets the read and the write deadline.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the time at which WaitReadable and Read fail, with an
// error that is os.ErrDeadlineExceeded, also if they are waiting already. The
// Conn stays usable. The zero time means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.ending.Load() {
		return net.ErrClosed // CloseAfterDrain uses the deadline itself
	}
	return c.inner.SetReadDeadline(t)
}

// SetWriteDeadline sets the time after which Write accepts nothing more.
// Since Write does not wait, that is all it does: bytes accepted earlier go
// out, and Options.WriteTimeout bounds how long that takes. (tls.Conn uses a
// write deadline in the past as a stop after its close_notify, which is thus
// not held back.) The zero time means never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.wdeadline = t
	return nil
}

// isTimeout says whether an error is that of a deadline.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
