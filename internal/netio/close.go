package netio

import (
	"net"
	"time"
)

// maxLinger bounds, in bytes, what is read and thrown away of a peer that goes
// on sending after CloseAfterDrain.
const maxLinger = 1 << 20

// Close closes the connection at once; what is pending is lost. It ends every
// wait and may be called more than once. Note that tls.Conn.Close calls it
// right after close_notify: see CloseAfterDrain.
func (c *Conn) Close() error {
	c.wmu.Lock()
	if c.closed.Load() {
		c.wmu.Unlock()
		return nil
	}
	if c.writeErr == nil {
		c.writeErr = net.ErrClosed
	}
	c.shut()
	c.wmu.Unlock()
	err := c.inner.Close()
	c.dropRead()
	return err
}

// shut marks the Conn closed; wmu is held and the caller closes inner.
func (c *Conn) shut() {
	c.ending.Store(true)
	c.closed.Store(true)
	if c.closeWhen != nil {
		c.closeWhen.Stop()
	}
	c.signal()
}

// CloseAfterDrain closes the connection once what is pending has gone out, and
// after timeout in any case. It returns at once; Done tells the end. From its
// call on Write and Read fail with net.ErrClosed. A timeout of 0 or below is
// Close.
//
// A stream error and a TLS close_notify are sent by Write, by
// tls.Conn.CloseWrite, then CloseAfterDrain; tls.Conn.Close is not called, or
// when Done is closed.
//
// When everything has gone out the socket is shut for writing and what the
// peer still sends is thrown away until it closes too, at most 1 MiB: closing
// with bytes unread would make the kernel reset the connection, and the peer
// could lose what was sent last (RFC 9293 §3.6.1).
func (c *Conn) CloseAfterDrain(timeout time.Duration) {
	if timeout <= 0 {
		_ = c.Close() // nobody to tell: the connection is given up
		return
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.ending.Swap(true) {
		return
	}
	c.closeWhen = time.AfterFunc(timeout, func() { _ = c.Close() })
	// The reader lets go; linger may need its place. If the deadline cannot be
	// set the socket is broken and the reader fails anyway.
	_ = c.inner.SetReadDeadline(time.Unix(1, 0))
	if c.mayLinger() {
		c.running++
		go func() {
			defer c.exit()
			c.linger()
		}()
	}
}

// drained is the end of drain when everything went out.
func (c *Conn) drained() {
	c.wmu.Lock()
	linger := c.mayLinger()
	c.wmu.Unlock()
	if linger {
		c.linger()
	}
}

// mayLinger says, to one caller only, that CloseAfterDrain was called and
// nothing is pending any more; wmu is held. Another drain may have begun in
// OnDrained of the one that asks, and will ask in turn.
func (c *Conn) mayLinger() bool {
	if !c.ending.Load() || c.draining || c.lingers {
		return false
	}
	c.lingers = true
	return true
}

// linger is the second half of CloseAfterDrain.
func (c *Conn) linger() {
	half, ok := c.inner.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		c.rmu.Lock()
		c.throwAway()
		c.unlockRead()
	}
	_ = c.Close() // nobody to tell
}

// throwAway reads until the peer closes, Close is called or it was too much.
func (c *Conn) throwAway() {
	if c.inner.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for n := 0; n < maxLinger; {
		n += len(c.in.bytes())
		c.in.release()
		if c.t.fill(&c.in) != nil {
			return
		}
	}
}

// Done returns a channel that is closed when the connection is closed and its
// goroutines have ended, OnDrained and OnError included. A goroutine in a
// method of the Conn may return a moment later.
func (c *Conn) Done() <-chan struct{} {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		c.signal()
	}
	return c.done
}

// exit is the end of a goroutine of the Conn.
func (c *Conn) exit() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.running--
	c.signal()
}

// signal closes done when its time has come; wmu is held.
func (c *Conn) signal() {
	if c.done != nil && !c.doneShut && c.closed.Load() && c.running == 0 {
		c.doneShut = true
		close(c.done)
	}
}
