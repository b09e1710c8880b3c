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
	blocked int  // goroutines that wait for room
	opening bool // mellium writes a header, which nobody is to get; before there is a session
	until   time.Time
	pending map[string]string   // requests that are not answered: to whom, by id
	rooms   map[string]struct{} // stanzas that room is kept for, by id
	served  context.Context     // ends when nobody reads it any more
	unserve context.CancelFunc

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

// maxUnread is how many octets may wait to be read.
const maxUnread = 4 << 20

// full reports whether the server must wait. It must not if the session waits for
// the server: acknowledgements come the same way as everything else.
func (k *clientConn) full() bool {
	return k.bytes > maxUnread && k.blocked == 0 && k.c.awaits == 0
}

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

// fail ends it behind what is to be read; requests get an answer.
func (k *clientConn) fail(err error) {
	if k.failed {
		return
	}
	k.unanswered()
	if err == nil {
		err = io.EOF
	}
	k.failed, k.err = true, err
	k.c.change.Broadcast()
}

// unanswered ends the requests that nobody will answer any more.
func (k *clientConn) unanswered() {
	for _, g := range k.in {
		k.arrives(g.raw) // will be read
	}
	for id, to := range k.pending {
		h := mux.Head{Kind: mux.IQ, Type: "error", ID: id}
		if from, err := mux.ParseAddress(to); err == nil {
			h.From = from
		}
		it := mux.Item{Stanza: mux.Make(h, lost)}
		k.give(it.Append(nil, ""), false)
	}
	clear(k.pending)
}

var lost = mux.RawChild(xml.Name{Space: mux.NSClient, Local: "error"},
	"<error type='wait'><"+string(sessionLost)+" xmlns='"+mux.NSStanza+"'/><text xmlns='"+mux.NSStanza+"'>"+ErrSessionLost.Error()+"</text></error>")

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
	if k.opening {
		return len(p), nil
	}
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

// put takes one item from mellium.
func (k *clientConn) put(kind xmlscan.Kind, raw []byte) error {
	sent, err := k.take(kind, raw)
	if sent {
		k.c.consult()
	}
	return err
}

// take is put, and reports whether a stanza was sent.
func (k *clientConn) take(kind xmlscan.Kind, raw []byte) (sent bool, err error) {
	c := k.c
	var el *mux.Stanza
	if kind == xmlscan.Element {
		el = mux.FromScanner(&k.sc, raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for el != nil && el.Kind() != mux.Nonza && c.cur == k && !k.failed && !k.fits(el.ID()) {
		k.wait()
	}
	switch {
	case c.cur != k && kind == xmlscan.Close:
		return false, nil
	case kind == xmlscan.Close:
		c.bye()
		return false, nil
	case c.cur != k || k.failed || k.leaving && !c.on:
		return false, errors.Join(net.ErrClosed, k.err)
	case el == nil || el.Kind() == mux.Nonza:
		if c.link != nil && !k.leaving {
			c.link.write(raw)
		}
		return false, nil
	}
	k.sends(el, append([]byte(nil), raw...), nil)
	return true, nil
}

// room reports whether one more stanza may be kept, or whether room is kept for it.
func (k *clientConn) room(id string) bool {
	if _, kept := k.rooms[id]; kept {
		return true
	}
	return !k.c.on || len(k.c.state.Unacked)+len(k.rooms) < k.c.opt.MaxQueue
}

// fits is room for what mellium writes: it holds mellium's lock, which those may wait for
// that room is kept for, and so does not wait for them.
func (k *clientConn) fits(id string) bool {
	_, kept := k.rooms[id]
	return kept || !k.c.on || len(k.c.state.Unacked) < k.c.opt.MaxQueue
}

// wait waits for room, or whatever else has changed.
func (k *clientConn) wait() {
	if len(k.c.state.Unacked) > 0 {
		k.c.ask()
	}
	if k.blocked++; k.blocked == 1 { // see full; others who wait so would be woken in turn
		k.c.change.Broadcast()
	}
	k.c.change.Wait()
	k.blocked--
}
