package smacks

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

// clientConn is what a session of mellium has for a connection: it outlives those
// to the server. Its fields are guarded by the client's lock.
type clientConn struct {
	c       *Client
	in      []given // not yet read
	bytes   int     // of in
	cur     given   // is being read, or handled
	rest    []byte  // of cur
	got     handled // what the session has
	owes    bool    // an acknowledgement when all is handled
	err     error   // behind all that is in
	failed  bool
	leaving bool // our stream is closed
	blocked int  // goroutines that wait in Write
	until   time.Time
	pending map[string]string // requests that are not answered: to whom, by id

	out sync.Mutex // writing, before the client's lock
	sc  xmlscan.Scanner
	buf []byte
}

// given is an element of the server.
type given struct {
	raw    []byte
	counts bool // when it is handled
}

var _ net.Conn = (*clientConn)(nil)

const streamHeader = "<stream:stream xmlns='" + mux.NSClient + "' xmlns:stream='" + stream.NS + "' version='1.0'>"

func newClientConn(c *Client) *clientConn {
	k := &clientConn{c: c, pending: make(map[string]string)}
	k.sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{Bytes: maxElement})
	k.give([]byte(streamHeader), false)
	return k
}

// session is the session of mellium over it. There is nothing to negotiate, and so
// nothing that the end of a context could be for, see logIn.
func (k *clientConn) session(ctx context.Context, addr jid.JID) (*xmpp.Session, error) {
	return xmpp.NewSession(context.WithoutCancel(ctx), addr.Domain(), addr, k, xmpp.Secure|xmpp.Authn,
		func(_ context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
			in.XMLNS, out.XMLNS = mux.NSClient, mux.NSClient
			in.Name = xml.Name{Space: stream.NS, Local: "stream"}
			out.Name = in.Name
			in.Version, out.Version = stream.DefaultVersion, stream.DefaultVersion
			r := s.TokenReader()
			defer r.Close()
			_, err := r.Token() // the stream header
			return xmpp.Ready, nil, nil, err
		})
}

// maxUnread is how many octets may wait to be read.
const maxUnread = 4 << 20

// full reports whether the server must wait. It must not if the session waits for
// the server: acknowledgements come the same way as everything else.
func (k *clientConn) full() bool { return k.bytes > maxUnread && k.blocked == 0 }

// give adds an element to what is to be read.
func (k *clientConn) give(raw []byte, counts bool) {
	if k.failed {
		return
	}
	k.in = append(k.in, given{raw, counts})
	k.bytes += len(raw)
	k.c.change.Broadcast()
}

// forget throws away what was not handed over: the server will send it again.
func (k *clientConn) forget() {
	kept := k.in[:0]
	for _, g := range k.in {
		if !g.counts {
			kept = append(kept, g)
		}
	}
	clear(k.in[len(kept):])
	k.in, k.bytes, k.owes = kept, 0, false
	for _, g := range kept {
		k.bytes += len(g.raw)
	}
}

// handOver counts what is being handled as handled.
func (k *clientConn) handOver() {
	if k.cur.counts {
		k.cur.counts = false
		if !k.got.held {
			k.done(k.got.last)
		}
		k.got.held = false
	}
}

// answer acknowledges: at once, and again when all that waits is handled.
func (k *clientConn) answer() {
	k.c.acknowledge()
	k.owes = len(k.in) > 0 || k.got.last != k.c.state.In
}

// settle acknowledges once more if that is due.
func (k *clientConn) settle() {
	if k.owes && len(k.in) == 0 && k.got.last == k.c.state.In {
		k.owes = false
		k.c.acknowledge()
	}
}

// acknowledge tells the server what is handled; the lock is held.
func (c *Client) acknowledge() {
	if c.link != nil && c.on && !c.cur.leaving {
		c.link.write([]byte("<a xmlns='" + NS + "' h='" + utoa(c.state.In) + "'/>"))
	}
}

// fail ends it behind what is to be read; requests get an answer.
func (k *clientConn) fail(err error) {
	if k.failed {
		return
	}
	for id, to := range k.pending {
		if err == nil {
			break
		}
		it := mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.IQ, Type: "error", ID: id}, timedOut)}
		raw := it.Append(nil, "")
		if from, err := mux.ParseAddress(to); err == nil {
			it.Stanza = mux.Make(mux.Head{Kind: mux.IQ, Type: "error", ID: id, From: from}, timedOut)
			raw = it.Append(nil, "")
		}
		k.give(raw, false)
	}
	if err == nil {
		err = io.EOF
	}
	k.failed, k.err = true, err
	k.c.change.Broadcast()
}

var timedOut = mux.RawChild(xml.Name{Space: mux.NSClient, Local: "error"},
	"<error type='wait'><remote-server-timeout xmlns='"+mux.NSStanza+"'/></error>")

// ended reports whether the session is at its end, on either side.
func (k *clientConn) ended() bool { return k.failed || k.leaving }

// Read implements [net.Conn]. Asking for what is behind an element says that this
// one is handled.
func (k *clientConn) Read(p []byte) (int, error) {
	c := k.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(k.rest) == 0 {
		k.handOver()
		if len(k.in) > 0 {
			k.cur = k.in[0]
			k.in[0] = given{}
			k.in = k.in[1:]
			k.bytes -= len(k.cur.raw)
			k.rest = k.cur.raw
			if k.cur.counts {
				k.got.last++
			}
			k.arrives(k.cur.raw)
			c.change.Broadcast()
			break
		}
		k.settle()
		if k.err != nil {
			return 0, k.err
		}
		if !k.until.IsZero() && !time.Now().Before(k.until) {
			return 0, os.ErrDeadlineExceeded
		}
		c.change.Wait()
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}

// arrives notes an answer to a request.
func (k *clientConn) arrives(raw []byte) {
	if len(k.pending) == 0 {
		return
	}
	s, err := mux.Parse(raw)
	if err == nil && s.Kind() == mux.IQ && (s.Type() == "result" || s.Type() == "error") {
		delete(k.pending, s.ID())
	}
}

// Write implements [net.Conn]: elements are kept and sent when they are whole.
func (k *clientConn) Write(p []byte) (int, error) {
	k.out.Lock()
	defer k.out.Unlock()
	k.buf = append(k.buf, p...)
	for len(k.buf) > 0 {
		kind, n, err := k.sc.Next(k.buf)
		if err != nil {
			return 0, err
		}
		if kind == xmlscan.None {
			break
		}
		if err := k.put(kind, k.buf[:n]); err != nil {
			return 0, err
		}
		k.buf = k.buf[n:]
	}
	if len(k.buf) == 0 {
		k.buf = nil
	}
	return len(p), nil
}

func (k *clientConn) put(kind xmlscan.Kind, raw []byte) error {
	c := k.c
	var el *mux.Stanza
	if kind == xmlscan.Element {
		el = mux.FromScanner(&k.sc, raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for kind == xmlscan.Element && c.cur == k && c.on && len(c.state.Unacked) >= c.opt.MaxQueue {
		c.ask()
		k.blocked++
		c.change.Broadcast()
		c.change.Wait()
		k.blocked--
	}
	switch {
	case c.cur != k:
		if kind == xmlscan.Close {
			return nil
		}
		return errors.Join(net.ErrClosed, k.err)
	case kind == xmlscan.Close:
		c.bye()
		return nil
	case el == nil || el.Kind() == mux.Nonza:
		if c.link != nil {
			c.link.write(raw)
		}
		return nil
	}
	if el.Kind() == mux.IQ && (el.Type() == "get" || el.Type() == "set") {
		k.pending[el.ID()] = el.To().String()
	}
	c.submit(Pending{ID: el.ID(), Kind: el.Name().Local, Type: el.Type(), Raw: append([]byte(nil), raw...), Since: time.Now()})
	return nil
}

// submit sends a stanza, now or when there is a connection; the lock is held.
func (c *Client) submit(p Pending) {
	if !c.on {
		if c.link != nil {
			c.link.write(p.Raw)
		}
		c.resolve(p.ID, nil) // nobody will say
		return
	}
	if c.link != nil {
		p.Attempts++
		c.link.write(p.Raw)
	}
	c.state.Unacked = append(c.state.Unacked, p)
	if c.since++; c.since >= c.opt.AskAfter {
		c.ask()
	} else if c.since == 1 && !c.asked {
		c.arm()
	}
}

// Close implements [net.Conn] as [Client.Detach].
func (k *clientConn) Close() error {
	k.c.mu.Lock()
	mine := k.c.cur == k
	k.c.mu.Unlock()
	if mine {
		k.c.end(ErrDetached)
	}
	return nil
}

// SetReadDeadline implements [net.Conn].
func (k *clientConn) SetReadDeadline(t time.Time) error {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	k.until = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), k.c.change.Broadcast)
	}
	return nil
}

// SetWriteDeadline implements [net.Conn]; writing does not wait for the network.
func (k *clientConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements [net.Conn] for reading.
func (k *clientConn) SetDeadline(t time.Time) error { return k.SetReadDeadline(t) }

// LocalAddr implements [net.Conn].
func (k *clientConn) LocalAddr() net.Addr { return nowhere{} }

// RemoteAddr implements [net.Conn].
func (k *clientConn) RemoteAddr() net.Addr { return nowhere{} }

// nowhere is the address of what is no connection.
type nowhere struct{}

// Network implements [net.Addr].
func (nowhere) Network() string { return "xmpp" }

// String implements [net.Addr].
func (nowhere) String() string { return "xmpp" }
