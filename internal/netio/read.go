package netio

import (
	"io"
	"net"
)

// WaitReadable waits until Read would return at once, and holds no buffer
// while it waits. It fails with io.EOF at the end of the stream (in TLS and
// within a record, io.ErrUnexpectedEOF), with an error that is
// os.ErrDeadlineExceeded when the read deadline passes, with one that is
// net.ErrClosed when the Conn is closed, and with the socket's error; Read
// returns the same. It may be interrupted by SetReadDeadline, Close and
// CloseAfterDrain of another goroutine.
func (c *Conn) WaitReadable() error {
	if c.ending.Load() {
		return net.ErrClosed // without waiting for linger
	}
	c.rmu.Lock()
	defer c.unlockRead()
	return c.arrive(c.t.wait)
}

// Read reads as net.Conn.Read does. After SetTLS(true) it never returns bytes
// of two TLS records at once.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.ending.Load() {
		return 0, net.ErrClosed
	}
	c.rmu.Lock()
	defer c.unlockRead()
	if !c.tls && c.in.mem == nil {
		return c.readInto(p)
	}
	if err := c.arrive(c.t.fill); err != nil {
		return 0, err
	}
	b := c.in.bytes()
	n := min(len(b), len(p))
	if c.tls {
		n = c.rec.take(b[:n])
	}
	copy(p, b[:n])
	c.in.skip(n)
	return n, nil
}

// Buffered returns how many bytes have arrived and been taken from the kernel,
// but not been read. As long as there are any, a pooled buffer is held.
func (c *Conn) Buffered() int { return int(c.held.Load()) }

// SetTLS says whether the bytes that arrive from now on are TLS records. The
// reader calls it before the handshake. It fails with ErrBuffered, and changes
// nothing, if TLS is to begin while bytes that arrived in clear are unread: a
// peer must not send them, and an attacker could have (RFC 6120 §5.4.3.3). What
// a parser above has read ahead is for the caller to check.
func (c *Conn) SetTLS(on bool) error {
	if c.ending.Load() {
		return net.ErrClosed
	}
	c.rmu.Lock()
	defer c.unlockRead()
	if on && !c.tls && c.in.mem != nil {
		return ErrBuffered
	}
	if on != c.tls {
		c.tls, c.rec = on, records{}
	}
	return nil
}

// arrive makes sure, by the function given, that something is in the buffer.
func (c *Conn) arrive(by func(*buffer) error) error {
	if c.ending.Load() {
		return net.ErrClosed
	}
	if c.in.mem != nil {
		return nil
	}
	if c.readErr != nil {
		return c.readErr
	}
	return c.note(by(&c.in))
}

// readInto reads past the buffer.
func (c *Conn) readInto(p []byte) (int, error) {
	if c.ending.Load() {
		return 0, net.ErrClosed
	}
	if c.readErr != nil {
		return 0, c.readErr
	}
	n, err := c.t.read(p)
	return n, c.note(err)
}

// note keeps an error that will not go away and returns what the reader is to
// be told.
func (c *Conn) note(err error) error {
	switch {
	case err == nil:
		return nil
	case c.ending.Load():
		return net.ErrClosed // whatever made the wait end
	case isTimeout(err):
		return err
	case err == io.EOF && c.tls && c.rec.inside():
		err = io.ErrUnexpectedEOF
	}
	c.readErr = err
	return err
}

// unlockRead ends a turn of the reader. Close, which cannot wait for the
// reader, leaves the buffer to it.
func (c *Conn) unlockRead() {
	c.held.Store(int32(len(c.in.bytes())))
	c.rmu.Unlock()
	if c.closed.Load() {
		c.dropRead()
	}
}

// dropRead frees the buffer of a closed Conn unless the reader is at work: it
// will come here itself.
func (c *Conn) dropRead() {
	if c.rmu.TryLock() {
		c.in.release()
		c.held.Store(0)
		c.rmu.Unlock()
	}
}
