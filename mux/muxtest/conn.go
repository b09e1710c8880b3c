package muxtest

import (
	"errors"
	"slices"
	"sync"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

var _ mux.Conn = (*conn)(nil)

var errCut = errors.New("muxtest: the connection is cut")

// Dropped is what [Client.Arrived] says of a connection that was ended without
// a close tag.
const Dropped = "(dropped)"

// streamEnd is the end tag of a stream.
const streamEnd = "</stream:stream>"

// conn is the connection of a Client, the mux's side of it.
type conn struct {
	c *Client

	mu      sync.Mutex // guards what follows; inside of Host.mu
	got     []string   // elements that have arrived and were not looked at
	closed  bool
	stalled bool
	pending int
	fail    error
}

// Write implements [mux.Conn].
func (n *conn) Write(p []byte) error {
	elements, err := split(p)
	if err != nil {
		n.c.t.Errorf("%s: the mux writes bad XML: %v: %s", n.c.name, err, p)
		return err
	}
	n.c.h.mu.Lock()
	defer n.c.h.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errCut
	}
	if n.fail != nil {
		return n.fail
	}
	if n.stalled {
		n.pending += len(p)
	}
	n.got = append(n.got, elements...)
	n.c.h.arrived.Broadcast()
	return nil
}

// split cuts what is written into elements.
func split(p []byte) (elements []string, err error) {
	var sc xmlscan.Scanner
	sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{Bytes: 1 << 24, Depth: 1 << 8})
	for len(p) > 0 {
		k, n, err := sc.Next(p)
		switch {
		case err != nil:
			return nil, err
		case k != xmlscan.Element:
			return nil, errors.New("not a whole element")
		}
		elements = append(elements, string(p[:n]))
		p = p[n:]
	}
	return elements, nil
}

// Pending implements [mux.Conn].
func (n *conn) Pending() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pending
}

// Close implements [mux.Conn].
func (n *conn) Close(err error) {
	n.c.h.mu.Lock()
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	if first {
		n.got = append(n.got, lastWords(err)...)
		n.c.h.arrived.Broadcast()
	}
	n.mu.Unlock()
	n.c.h.mu.Unlock()
	if first {
		n.c.mu.Lock()
		n.c.ending = true
		n.c.cond.Broadcast()
		n.c.mu.Unlock()
	}
}

func lastWords(err error) []string {
	var se stream.Error
	switch {
	case err == nil:
		return []string{streamEnd}
	case !errors.As(err, &se):
		return []string{Dropped}
	}
	return []string{"<stream:error><" + se.Err + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", streamEnd}
}

// cut breaks the connection from the peer's side.
func (n *conn) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
}

func (n *conn) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

// Stall makes the client read no more: what is written to it stays pending,
// although it can be looked at.
func (c *Client) Stall() {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.conn.stalled = true
}

// Unstall lets the client read again.
func (c *Client) Unstall() {
	c.conn.mu.Lock()
	c.conn.stalled, c.conn.pending = false, 0
	c.conn.mu.Unlock()
	c.Stream.Drained()
	c.h.Settle()
}

// FailWrites makes every later write to the client fail.
func (c *Client) FailWrites(err error) {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	c.conn.fail = err
}

// take removes the first element that has arrived.
func (n *conn) take() (el string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.got) == 0 {
		return "", false
	}
	el, n.got = n.got[0], n.got[1:]
	return el, true
}

// peek is what has arrived.
func (n *conn) peek() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}
