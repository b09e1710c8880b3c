package netio

import (
	"net"
	"os"
	"time"
)

// Write gives p to the kernel and keeps what the kernel does not take; it
// never blocks and does not retain p. It accepts all of p or, with an error,
// nothing, except where [ErrFull] says so and when the socket fails. Errors
// other than ErrFull and that of a write deadline stay: every later Write
// returns them. After CloseAfterDrain and Close that is net.ErrClosed.
func (c *Conn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.writable(); err != nil {
		return 0, err
	}
	if limit := c.opt.MaxPending; limit > 0 && len(p) > limit-c.out.bytes {
		return 0, ErrFull
	}
	if len(p) == 0 {
		return 0, nil
	}
	if c.draining {
		if !c.keep(p) {
			return 0, ErrFull
		}
		return len(p), nil
	}
	return c.writeNow(p)
}

// writable returns why nothing may be written.
func (c *Conn) writable() error {
	switch {
	case c.writeErr != nil:
		return c.writeErr
	case c.ending.Load():
		return net.ErrClosed
	case !c.wdeadline.IsZero() && !time.Now().Before(c.wdeadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// writeNow writes when nothing is pending.
func (c *Conn) writeNow(p []byte) (int, error) {
	n, err := c.t.tryWrite(p)
	c.sent += uint64(n)
	if err != nil {
		c.writeErr = err
		return n, err
	}
	if n == len(p) {
		return n, nil
	}
	if !c.keep(p[n:]) {
		if n > 0 {
			c.writeErr = ErrFull // the rest would be missing in the stream
		}
		return n, ErrFull
	}
	c.draining = true
	c.running++
	go c.drain()
	return len(p), nil
}

// keep puts bytes into the queue if the budget allows.
func (c *Conn) keep(p []byte) bool {
	if !c.opt.Budget.take(c.out.cost(len(p)), c.out.memory) {
		return false
	}
	c.out.append(p)
	return true
}

// Pending returns how many bytes Write accepted that the kernel has not taken.
// It is 0 after the connection failed or, soon, after Close.
func (c *Conn) Pending() int {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.out.bytes
}

// Sent returns how many bytes the kernel took in all.
func (c *Conn) Sent() uint64 {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.sent
}

// drain passes what is pending to the kernel. It owns the queue's front: only
// drain shortens the queue, also after Close.
func (c *Conn) drain() {
	defer c.exit()
	for {
		p := c.front()
		if p == nil {
			return
		}
		n, err := c.t.writeSome(p, c.opt.WriteTimeout)
		empty, tell := c.took(n)
		if err != nil {
			if isTimeout(err) {
				err = ErrWriteStalled
			}
			c.fail(err)
			return
		}
		if tell && c.opt.OnDrained != nil {
			c.opt.OnDrained()
		}
		if empty {
			c.drained()
			return
		}
	}
}

// front returns what is to be written next. It returns nil, having ended the
// draining, if the Conn was closed.
func (c *Conn) front() []byte {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closed.Load() {
		c.discard()
		return nil
	}
	return c.out.front()
}

// took notes that the kernel took n bytes. It returns whether nothing is
// pending, in which case the draining has ended, and whether OnDrained is due.
func (c *Conn) took(n int) (empty, tell bool) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	before := c.out.bytes
	c.sent += uint64(n)
	c.opt.Budget.give(c.out.advance(n))
	low := c.opt.LowWater
	empty = c.out.bytes == 0
	if empty {
		c.draining = false
	}
	return empty, empty || (before > low && c.out.bytes <= low)
}

// discard empties the queue and ends the draining; wmu is held.
func (c *Conn) discard() {
	c.opt.Budget.give(c.out.clear())
	c.draining = false
}

// fail ends the connection after an error met in drain. If Close came first,
// the error is only its echo.
func (c *Conn) fail(err error) {
	c.wmu.Lock()
	c.discard()
	if c.closed.Load() {
		c.wmu.Unlock()
		return
	}
	c.writeErr = err
	c.shut()
	c.wmu.Unlock()
	_ = c.inner.Close() // err says more than this could
	c.dropRead()
	if c.opt.OnError != nil {
		c.opt.OnError(err)
	}
}
