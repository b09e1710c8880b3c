package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

var _ negotiate.Transport = (*conn)(nil)

// ReadHeader implements negotiate.Transport.
func (c *conn) ReadHeader(ctx context.Context) (negotiate.Header, error) {
	for {
		k, raw, err := c.next(ctx)
		if err != nil {
			return negotiate.Header{}, err
		}
		switch k {
		case xmlscan.Space:
			c.in.consume(len(raw))
		case xmlscan.Open:
			h := c.header(raw)
			c.in.consume(len(raw))
			return h, nil
		default:
			return negotiate.Header{}, io.ErrUnexpectedEOF
		}
	}
}

func (c *conn) header(raw []byte) negotiate.Header {
	c.ctx, c.started = c.sc.Context(), true
	h := negotiate.Header{Content: c.ctx.ContentNS()}
	for _, a := range c.sc.Attrs() {
		v := string(a.Value.Of(raw))
		if a.Escaped {
			v = string(xmlscan.AppendUnescaped(nil, a.Value.Of(raw)))
		}
		switch local := string(a.Name.Local.Of(raw)); {
		case a.Name.From == xmlscan.FromNone && local == "to":
			h.To = v
		case a.Name.From == xmlscan.FromNone && local == "from":
			h.From = v
		case a.Name.From == xmlscan.FromNone && local == "id":
			h.ID = v
		case a.Name.From == xmlscan.FromNone && local == "version":
			h.Version = v
		case local == "lang" && string(c.sc.SpaceBytes(a.Name)) == "http://www.w3.org/XML/1998/namespace":
			h.Lang = v
		}
	}
	return h
}

// WriteHeader implements negotiate.Transport. It always begins with an XML
// declaration (core-im XS-6).
func (c *conn) WriteHeader(h negotiate.Header) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := append(c.pending(), "<?xml version='1.0'?><stream:stream xmlns='"+c.content()+"' xmlns:stream='http://etherx.jabber.org/streams'"...)
	for _, a := range [...]struct{ name, value string }{
		{"from", h.From}, {"to", h.To}, {"id", h.ID}, {"version", h.Version}, {"xml:lang", h.Lang},
	} {
		if a.value == "" || !xmlwrite.ValidText(a.value) {
			continue
		}
		b = append(append(append(b, ' '), a.name...), '=', '\'')
		b = append(xmlwrite.AppendAttrValue(b, a.value), '\'')
	}
	c.out, c.opened = append(b, '>'), true
	return nil
}

// ReadElement implements negotiate.Transport.
func (c *conn) ReadElement(ctx context.Context) (*mux.Stanza, error) {
	for {
		k, raw, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		switch k {
		case xmlscan.Element:
			s := mux.FromScanner(c.sc, raw)
			c.in.consume(len(raw))
			return s, nil
		case xmlscan.Close:
			c.in.consume(len(raw))
			return nil, io.EOF
		}
		c.in.consume(len(raw))
		if c.noSpace {
			return nil, stream.PolicyViolation
		}
	}
}

// NoSpace implements negotiate.Transport.
func (c *conn) NoSpace(on bool) { c.noSpace = on }

// WriteElement implements negotiate.Transport.
func (c *conn) WriteElement(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.pending(), p...)
	return nil
}

// pending is what was written in the negotiation and not sent yet; the lock is
// held.
func (c *conn) pending() []byte {
	if c.outMem == nil {
		c.outMem = outputs.Get().(*[]byte)
		c.out = (*c.outMem)[:0]
	}
	return c.out
}

// outputs have room for what answers a pipelined login.
var outputs = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Flush implements negotiate.Transport.
func (c *conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) == 0 {
		return nil
	}
	if c.closed {
		return net.ErrClosed
	}
	return c.write(nil)
}

// write sends what the negotiation has left, and p behind it, in one piece; the
// lock is held.
func (c *conn) write(p []byte) error {
	if len(c.out) == 0 {
		_, err := c.w.Write(p)
		return err
	}
	all, mem := append(c.out, p...), c.outMem
	c.out, c.outMem = nil, nil
	_, err := c.w.Write(all)
	giveBack(mem, all)
	return err
}

// giveBack gives memory back to outputs, as it has grown.
func giveBack(mem *[]byte, b []byte) {
	if cap(b) <= 16<<10 {
		*mem = b
		outputs.Put(mem)
	}
}

// Buffered implements negotiate.Transport. White space does not count: clients of
// go-xmpp send a line feed behind starttls.
func (c *conn) Buffered() bool {
	for !c.in.empty() && strings.IndexByte(" \t\r\n", c.in.bytes()[0]) >= 0 {
		c.in.consume(1)
	}
	return !c.in.empty() || c.nc.Buffered() > 0
}

// CanSecure implements negotiate.Transport.
func (c *conn) CanSecure() bool { return c.tls == nil && c.srv.tls != nil }

type connKey struct{}

// Secure implements negotiate.Transport.
func (c *conn) Secure(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	return c.secure(deadline)
}

// secure makes the TLS handshake until then.
func (c *conn) secure(deadline time.Time) error {
	config := c.srv.tls
	if c.direct {
		config = c.srv.directTLS
	}
	c.in.release()
	if err := c.nc.SetTLS(true); err != nil {
		return err
	}
	_ = c.setDeadline(deadline) // a broken connection shows at once below
	q := &quiet{Conn: c.nc, c: c, hold: true}
	t := tls.Server(q, config)
	// The deadline is that of the connection, and whoever cancels closes it: a
	// context that cannot end is cheaper.
	err := t.HandshakeContext(context.WithValue(context.Background(), connKey{}, c))
	if q.hold = false; err == nil && t.ConnectionState().Version < tls.VersionTLS13 {
		err = q.release() // the peer waits for the end of the handshake
	}
	if err != nil {
		_ = q.release() // an alert, if anything
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return io.ErrClosedPipe
	}
	c.tls, c.w = t, t
	return nil
}

// TLS implements negotiate.Transport.
func (c *conn) TLS() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	cs := c.tls.ConnectionState()
	return &cs
}

// Trusted implements negotiate.Transport.
func (c *conn) Trusted() bool { return c.tls != nil || c.srv.tls == nil }

// Certificate implements negotiate.Transport.
func (c *conn) Certificate() *tls.Certificate { return c.cert }

// Restart implements negotiate.Transport.
func (c *conn) Restart() {
	c.Buffered() // white space behind the last element is no beginning of the next stream
	c.started, c.ctx = false, nil
	if c.sc != nil {
		c.sc.Reset(c.lim)
	}
	c.mu.Lock()
	c.opened = false
	c.mu.Unlock()
}

// Authenticated implements negotiate.Transport.
func (c *conn) Authenticated() {
	c.lim = xmlscan.Limits{Bytes: c.stanzaBytes()}
	if c.sc != nil {
		c.sc.SetLimits(c.lim)
	}
}

// Resumable implements negotiate.Transport.
func (c *conn) Resumable() bool { return true }

// next is the next item of the stream, which stays in the input until it is
// consumed.
func (c *conn) next(ctx context.Context) (xmlscan.Kind, []byte, error) {
	for {
		if !c.in.empty() {
			k, n, err := c.scanner().Next(c.in.bytes())
			if err != nil {
				return xmlscan.None, nil, err
			}
			if k != xmlscan.None {
				return k, c.in.bytes()[:n], nil
			}
		}
		if err := c.fill(ctx); err != nil {
			return xmlscan.None, nil, err
		}
	}
}

// fill waits for more bytes, once what was written has gone out. Nothing is held
// while it waits between elements.
func (c *conn) fill(ctx context.Context) error {
	c.rest()
	if c.nc.Buffered() == 0 {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	return c.readUntil(ctx)
}

// readUntil is read with the deadline of ctx. To set one wakes up a thread, so one
// that strikes earlier is left alone, and moved when it does.
func (c *conn) readUntil(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	if early := !c.deadline.IsZero() && (deadline.IsZero() || c.deadline.Before(deadline)); !early && !c.deadline.Equal(deadline) {
		if err := c.setDeadline(deadline); err != nil {
			return err
		}
	}
	for {
		err := c.read()
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.deadline.Equal(deadline) {
			return err
		}
		if err := c.setDeadline(deadline); err != nil {
			return err
		}
	}
}

// setDeadline sets the time until which the negotiation waits for the peer.
func (c *conn) setDeadline(t time.Time) error {
	c.deadline = t
	return c.nc.SetReadDeadline(t)
}

// read waits for bytes and puts them into the input.
func (c *conn) read() error {
	if err := c.nc.WaitReadable(); err != nil {
		return unexpected(err)
	}
	var r io.Reader = c.nc
	if c.tls != nil {
		r = c.tls
	}
	n, err := r.Read(c.in.room())
	c.in.grew(n)
	c.touch()
	if n > 0 {
		return nil
	}
	return unexpected(err)
}

// unexpected: the end of the connection is not that of the stream.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pause is how long the peer has to be left unread, having sent n octets in so
// many stanzas.
func (c *conn) pause(stanzas, n int) time.Duration {
	if c.stanzas.rate < 0 && c.octets.rate < 0 {
		return 0
	}
	now := time.Now()
	return max(c.stanzas.take(stanzas, now), c.octets.take(n, now))
}
