package negotiate

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// XMPP is for [xmpp.ReceiveSession], for those who want an *xmpp.Session of a
// client's connection. bound, which may be nil, is called when the negotiation
// has succeeded, with the stream whose session is attached.
//
// The session then gives the elements, byte for byte from where the negotiation
// ended: [mux.FromTokens] and [mux.Stream.Receive] take them, and [mux.Stream.Gone]
// must be called at the end. Do not use [xmpp.Session.Serve], which answers what
// others should, and do not write through the session but through the mux, whose
// writes must not come inside an element. Unlike the streams of mellium's own
// negotiator, RemoteAddr is the JID that was bound.
//
// The connection given to ReceiveSession must be a net.Conn.
func (n *Negotiator) XMPP(o *ConnOptions, bound func(st *mux.Stream, t *ConnTransport)) xmpp.Negotiator {
	return func(ctx context.Context, in, out *stream.Info, session *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, any, error) {
		if c, ok := data.(*sessionConn); ok {
			// The second call: the session has a new decoder, over c.
			err := c.begin(session, in, out)
			c.t.onLow(c.st.Drained)
			if err == nil && bound != nil {
				bound(c.st, c.t)
			}
			return xmpp.Ready, nil, nil, err
		}
		t := NewConnTransport(session.Conn(), o)
		st := n.m.NewStream(t, mux.Client)
		if err := n.Serve(ctx, st, t); err != nil {
			st.Gone(false)
			t.Finish()
			return 0, nil, nil, err
		}
		c := &sessionConn{Conn: t.conn(), t: t, st: st}
		c.head = *strings.NewReader(string(appendHeader(nil, Header{Version: "1.0"})))
		state := xmpp.Authn
		if st.State()&mux.Secure != 0 {
			state |= xmpp.Secure
		}
		return state, c, c, nil
	}
}

// sessionConn is what the session reads on: a stream header for its decoder,
// which has seen none, what was read already, then the connection. With
// ReadByte, encoding/xml reads no further than it must.
type sessionConn struct {
	net.Conn
	t    *ConnTransport
	st   *mux.Stream
	head strings.Reader
	one  [1]byte
}

// begin lets the session's decoder see the stream header.
func (c *sessionConn) begin(session *xmpp.Session, in, out *stream.Info) error {
	r := session.TokenReader()
	_, err := r.Token()
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	s := c.st.Session()
	switch {
	case err != nil:
		return fmt.Errorf("negotiate: %w", err)
	case s == nil:
		return mux.ErrClosed
	}
	version := stream.Version{Major: 1}
	domain := s.JID().JID().Domain()
	*in = stream.Info{XMLNS: mux.NSClient, Version: version, To: domain, From: s.JID().JID()}
	*out = stream.Info{XMLNS: mux.NSClient, Version: version, To: s.JID().JID(), From: domain}
	return nil
}

// Read implements [io.Reader].
func (c *sessionConn) Read(p []byte) (int, error) {
	if c.head.Len() > 0 {
		return c.head.Read(p)
	}
	if c.t.unread() {
		n := copy(p, c.t.in[c.t.used:])
		c.t.used += n
		return n, nil
	}
	return c.Conn.Read(p)
}

// ReadByte implements [io.ByteReader].
func (c *sessionConn) ReadByte() (byte, error) {
	if !c.t.unread() && c.head.Len() == 0 {
		// A byte at a time, but not of the network's.
		if err := c.t.fill(context.Background()); err != nil {
			return 0, err
		}
	}
	_, err := io.ReadFull(c, c.one[:])
	return c.one[0], err
}

// Write implements [io.Writer]: behind what the mux writes.
func (c *sessionConn) Write(p []byte) (int, error) {
	if err := c.t.Write(p); err != nil {
		return 0, err
	}
	return len(p), c.t.Flush()
}

// Close implements [net.Conn].
func (c *sessionConn) Close() error {
	c.t.Finish()
	return nil
}
