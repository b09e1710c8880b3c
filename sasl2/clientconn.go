package sasl2

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
)

// maxUnread is how much is read from a server until it has proved to know the
// account: features and a few messages.
const maxUnread = 256 << 10

// clientConn is a connection under a session. It bounds what is read, and sends
// what is to leave together with the stream header. The session's decoder reads from
// it byte by byte, so that what it has not asked for is there for the next one
// (auth-register ST-19).
type clientConn struct {
	net.Conn
	r      *bufio.Reader
	left   atomic.Int64 // octets that may be read
	free   atomic.Bool  // any number may
	flight []byte       // what follows the next stream header
}

var _ io.ByteReader = (*clientConn)(nil)

func newClientConn(c net.Conn) *clientConn {
	if c, ok := c.(*clientConn); ok {
		return c
	}
	w := &clientConn{Conn: c}
	w.left.Store(maxUnread)
	w.r = bufio.NewReader(bounded{w})
	return w
}

// Read implements [net.Conn].
func (c *clientConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// ReadByte implements [io.ByteReader].
func (c *clientConn) ReadByte() (byte, error) { return c.r.ReadByte() }

// unread reports whether the server has sent what nobody has asked for.
func (c *clientConn) unread() bool { return c.r.Buffered() > 0 }

// bounded is what is under the buffer.
type bounded struct{ c *clientConn }

func (b bounded) Read(p []byte) (int, error) {
	n, err := b.c.Conn.Read(p)
	if b.c.left.Add(-int64(n)) < 0 && !b.c.free.Load() {
		return 0, broken("too much before authentication")
	}
	return n, err
}

// Write sends the flight with the header that it waits for: what ends with the end
// of a tag.
func (c *clientConn) Write(b []byte) (int, error) {
	if c.flight == nil || len(b) == 0 || b[len(b)-1] != '>' {
		return c.Conn.Write(b)
	}
	all := append(append(make([]byte, 0, len(b)+len(c.flight)), b...), c.flight...)
	c.flight = nil
	n, err := c.Conn.Write(all)
	return min(n, len(b)), err
}

// ConnectionState lets the session see what TLS there is.
func (c *clientConn) ConnectionState() tls.ConnectionState {
	if t, ok := c.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return t.ConnectionState()
	}
	return tls.ConnectionState{}
}

// handshake completes that of TLS, so that its channel bindings are known before
// anything is sent.
func (c *clientConn) handshake(ctx context.Context) error {
	if t, ok := c.Conn.(interface{ HandshakeContext(context.Context) error }); ok {
		return t.HandshakeContext(ctx)
	}
	return nil
}
