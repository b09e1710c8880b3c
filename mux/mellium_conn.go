package mux

import (
	"errors"
	"sync"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// SessionConn is a [Conn] that writes to a plain mellium session. Writing waits
// for the network on a goroutine of its own; a peer that does not read is given
// up when more than limit octets wait, 0 meaning 4 MiB. A proper end waits for
// the peer to read what was written before, for 5 s.
func SessionConn(s *xmpp.Session, limit int) Conn { return newSessionConn(s, limit) }

// closeWait is how long a peer may take to read the end of a stream.
const closeWait = 5 * time.Second

func newSessionConn(s *xmpp.Session, limit int) *sessionConn {
	if limit <= 0 {
		limit = 4 << 20
	}
	c := &sessionConn{s: s, limit: limit}
	c.idle = sync.NewCond(&c.mu)
	return c
}

type sessionConn struct {
	s      *xmpp.Session
	limit  int
	linger bool // a proper end leaves reading to the session, for a while

	mu      sync.Mutex
	idle    *sync.Cond // drain has ended
	low     func()     // told when all is written
	out     []byte
	flight  int // octets that drain is writing
	writing bool
	closed  bool
	ending  bool  // the end was begun
	end     error // what Close was called with
	err     error // of writing
}

// Write implements [Conn].
func (c *sessionConn) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := len(c.out) + c.flight
	switch {
	case c.closed:
		return ErrClosed
	case c.err != nil:
		return c.err
	case waiting > 0 && waiting+len(p) > c.limit:
		return ErrOverflow
	}
	c.out = append(c.out, p...)
	c.start()
	return nil
}

// start has somebody write; the lock is held.
func (c *sessionConn) start() {
	if !c.writing {
		c.writing = true
		go c.drain()
	}
}

// drain writes until nothing is left; it lives no longer.
func (c *sessionConn) drain() {
	for c.drainSome() {
	}
}

func (c *sessionConn) drainSome() (more bool) {
	c.mu.Lock()
	if len(c.out) == 0 {
		if end := c.end; c.closed && !c.ending {
			c.ending = true
			c.mu.Unlock()
			c.finish(end)
			return true
		}
		c.writing = false
		c.idle.Broadcast()
		c.mu.Unlock()
		return false
	}
	p := c.out
	c.out, c.flight = nil, len(p)
	c.mu.Unlock()
	err := c.raw(p)
	c.mu.Lock()
	c.flight = 0
	if err != nil {
		c.err, c.out = err, nil
	}
	low := c.low
	c.mu.Unlock()
	switch {
	case err != nil:
		_ = c.s.Conn().Close() // ends the reader, who tells the mux
	case low != nil:
		low()
	}
	return true
}

// wait returns when nothing is being written, and the end is complete if there
// is one.
func (c *sessionConn) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing {
		c.idle.Wait()
	}
}

// onLow has f told when all is written.
func (c *sessionConn) onLow(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.low = f
}

// raw writes bytes between two of mellium's own elements.
func (c *sessionConn) raw(p []byte) error {
	w := c.s.TokenWriter()
	defer w.Close()
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := c.s.Conn().Write(p)
	return err
}

// Pending implements [Conn].
func (c *sessionConn) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) + c.flight
}

// Close implements [Conn].
func (c *sessionConn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed, c.end = true, err
	if proper(err) {
		c.hurry()
	} else {
		// At once: this wakes a drain that waits for the network.
		c.out = nil
		if c.writing {
			go c.s.Conn().Close()
		}
	}
	c.start()
}

// hurry bounds how long the peer may take to read what is written.
func (c *sessionConn) hurry() {
	_ = c.s.Conn().SetWriteDeadline(time.Now().Add(closeWait)) // without one the peer decides
}

// proper reports whether a stream that ends with err gets a close tag.
func proper(err error) bool {
	var se stream.Error
	return err == nil || errors.As(err, &se)
}

// finish ends the session: with the stream error there is, or properly.
func (c *sessionConn) finish(err error) {
	var se stream.Error
	if errors.As(err, &se) {
		if p, err := xmlwrite.AppendTokens(nil, se.TokenReader(), NSClient); err == nil {
			_ = c.raw(p) // what follows closes it anyway
		}
	}
	if proper(err) {
		_ = c.s.Close() // it may be broken
		if c.linger {
			_ = c.s.Conn().SetReadDeadline(time.Now().Add(closeWait)) // without one the peer decides
			return
		}
	}
	_ = c.s.Conn().Close() // it may be closed
}
