package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/netio"
	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// conn is one connection over TCP, of a client or a component: the mux's Conn and the transport that
// its stream is negotiated over. Its reader goroutine owns what is not marked
// otherwise.
type conn struct {
	srv    *Server
	nc     *netio.Conn
	prefix netip.Prefix
	st     *mux.Stream
	kind   origin
	direct bool // TLS from the first byte

	w    io.Writer // nc or the TLS connection over it
	tls  *tls.Conn
	cert *tls.Certificate

	sc      *xmlscan.Scanner // pooled between elements
	ctx     *xmlscan.Context // of the stream, once it has a header
	started bool             // the header was read
	lim     xmlscan.Limits
	in      input
	noSpace bool // white space between elements is refused

	deadline time.Time // of reading, in the negotiation

	stanzas, octets bucket
	err             error // why the reading ended

	last  atomic.Int64 // when something was read, in Unix nanoseconds
	probe atomic.Int64 // when a probe was sent since, 0 for none
	slow  atomic.Bool  // the peer is left unread for a while, see sleep

	mu     sync.Mutex // writing and closing
	out    []byte     // of the negotiation, not yet sent
	outMem *[]byte    // pooled, where out is
	opened bool       // our header was written
	closed bool
}

var _ mux.Conn = (*conn)(nil)

func (s *Server) newConn(tcp net.Conn, p netip.Prefix, kind origin) *conn {
	c := &conn{srv: s, prefix: p, kind: kind, direct: kind == directTLS}
	c.nc = netio.New(tcp, &netio.Options{MaxPending: s.lim.WriteBuffer, WriteTimeout: s.lim.WriteStall, Budget: s.budget,
		LowWater: 32 << 10, OnDrained: c.drained, OnError: c.failed})
	c.w = c.nc
	c.lim = xmlscan.Limits{Bytes: s.lim.PreAuthBytes, Depth: xmlscan.PreAuthDepth}
	c.stanzas, c.octets = c.rates()
	c.touch()
	c.st = s.mux.NewStream(c, c.role())
	return c
}

func (c *conn) touch() {
	c.last.Store(time.Now().UnixNano())
	c.probe.Store(0)
}

func (c *conn) drained() {
	if c.kind == component {
		c.srv.opt.Components.Drained(c.st)
		return
	}
	c.st.Drained()
}

func (c *conn) failed(err error) {
	c.srv.log.Debug("connection failed", "addr", c.nc.RemoteAddr().String(), "err", err)
}

// Write implements mux.Conn.
func (c *conn) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return c.write(p)
}

// RemoteAddr is where the peer is, for limits on addresses.
func (c *conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Pending implements mux.Conn.
func (c *conn) Pending() int { return c.nc.Pending() }

// Close implements mux.Conn (RFC 6120 §4.4, §4.9).
func (c *conn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	var se stream.Error
	switch {
	case err == nil && c.opened:
		c.farewell(closeTag)
	case errors.As(err, &se) && c.opened:
		c.farewell(string(negotiate.AppendStreamError(nil, se)) + closeTag)
	default:
		_ = c.nc.Close() // there is nobody to tell
		return
	}
	c.nc.CloseAfterDrain(c.srv.lim.Closing)
}

const closeTag = "</stream:stream>"

// farewell writes the last bytes; the lock is held. What cannot be written any
// more is not missed.
func (c *conn) farewell(text string) {
	if c.tls == nil {
		_ = c.write([]byte(text))
		return
	}
	q := c.tls.NetConn().(*quiet)
	q.hold = true
	if c.write([]byte(text)) == nil {
		_ = c.tls.CloseWrite()
	}
	q.hold = false
	_ = q.release()
}

// collect has what is written from here to the end of the stream go out in one
// piece, which is soon.
func (c *conn) collect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tls != nil && !c.closed {
		c.tls.NetConn().(*quiet).hold = true
	}
}

// scanner gives the scanner for the next element.
func (c *conn) scanner() *xmlscan.Scanner {
	if c.sc == nil {
		c.sc = scanners.Get().(*xmlscan.Scanner)
		if c.started {
			c.sc.Resume(c.ctx, c.lim)
		} else {
			c.sc.Reset(c.lim)
		}
	}
	return c.sc
}

// rest gives back what an idle connection does not need.
func (c *conn) rest() {
	if c.in.empty() {
		c.in.release()
		if c.sc != nil {
			scanners.Put(c.sc)
			c.sc = nil
		}
	}
}

var scanners = sync.Pool{New: func() any { return new(xmlscan.Scanner) }}

// inputSize is the size of a pooled input buffer; recordSize is what must be
// free in it, so that each read uses up a TLS record (see package netio).
const (
	inputSize  = 18 << 10
	recordSize = 16 << 10
)

var inputs = sync.Pool{New: func() any { return new([inputSize]byte) }}

// input holds what was read and not yet consumed: buf[off:]. Between elements
// an idle connection has no buffer.
type input struct {
	pooled *[inputSize]byte
	buf    []byte
	off    int
}

func (in *input) empty() bool   { return in.off == len(in.buf) }
func (in *input) bytes() []byte { return in.buf[in.off:] }

// consume drops n bytes from the front.
func (in *input) consume(n int) { in.off += n }

// room makes room for a record behind what there is, and returns it.
func (in *input) room() []byte {
	if in.buf == nil {
		in.pooled = inputs.Get().(*[inputSize]byte)
		in.buf = in.pooled[:0]
	}
	if in.off > 0 {
		n := copy(in.buf[:cap(in.buf)], in.buf[in.off:])
		in.buf, in.off = in.buf[:n], 0
	}
	if cap(in.buf)-len(in.buf) < recordSize {
		bigger := make([]byte, len(in.buf), max(2*cap(in.buf), len(in.buf)+recordSize))
		copy(bigger, in.buf)
		in.release()
		in.buf = bigger
	}
	return in.buf[len(in.buf):cap(in.buf)]
}

// grew notes that n bytes were read into the room.
func (in *input) grew(n int) { in.buf = in.buf[:len(in.buf)+n] }

// release gives the buffer back.
func (in *input) release() {
	if in.pooled != nil {
		inputs.Put(in.pooled)
	}
	*in = input{}
}
