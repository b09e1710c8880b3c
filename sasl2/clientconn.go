package sasl2

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
)

// maxUnread is how much is read from a server until it has proved to know the
// account: features and a few messages.
const maxUnread = 256 << 10

// clientConn is a connection under a session. It bounds what is read, and sends
// what is to leave together with the stream header.
type clientConn struct {
	net.Conn
	left   atomic.Int64 // octets that may be read
	free   atomic.Bool  // any number may
	flight []byte       // what follows the next stream header
}

func newClientConn(c net.Conn) *clientConn {
	if c, ok := c.(*clientConn); ok {
		return c
	}
	w := &clientConn{Conn: c}
	w.left.Store(maxUnread)
	return w
}

func (c *clientConn) Read(b []byte) (int, error) {
	if c.free.Load() {
		return c.Conn.Read(b)
	}
	n, err := c.Conn.Read(b)
	if c.left.Add(-int64(n)) < 0 {
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
