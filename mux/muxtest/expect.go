package muxtest

import (
	"strings"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// patience is how long an element is waited for outside of a bubble.
const patience = 10 * time.Second

// await waits until have, called under the lock, is true. Inside a bubble
// everything has come to rest, so it is true then or never.
func (h *Host) await(have func() bool) bool {
	h.Settle()
	if h.bubble {
		h.mu.Lock()
		defer h.mu.Unlock()
		return have()
	}
	late := false
	timer := time.AfterFunc(patience, func() {
		h.mu.Lock()
		late = true
		h.mu.Unlock()
		h.arrived.Broadcast()
	})
	defer timer.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !have() && !late {
		h.arrived.Wait()
	}
	return have()
}

// Arrived are the elements that have arrived and were not taken yet: as written;
// the end tag of the stream, and [Dropped], count as elements.
func (c *Client) Arrived() []string {
	c.h.Settle()
	return c.conn.peek()
}

// Next takes the next element that has arrived; there must be one.
func (c *Client) Next() string {
	c.t.Helper()
	if !c.h.await(func() bool { return len(c.conn.peek()) > 0 }) {
		c.t.Fatalf("%s: nothing has arrived", c.name)
	}
	el, _ := c.conn.take()
	return el
}

// Recv is Next as a parsed element.
func (c *Client) Recv() *mux.Stanza {
	c.t.Helper()
	el := c.Next()
	s, err := mux.Parse([]byte(el))
	if err != nil {
		c.t.Fatalf("%s: no element but %s", c.name, el)
	}
	return s
}

// Expect takes as many elements as are given, which must match them in order.
func (c *Client) Expect(elements ...string) {
	c.t.Helper()
	c.ExpectWith(nil, elements...)
}

// ExpectWith is Expect with captures; it adds to them.
func (c *Client) ExpectWith(captures Captures, elements ...string) {
	c.t.Helper()
	for _, want := range elements {
		if !c.h.await(func() bool { return len(c.conn.peek()) > 0 }) {
			c.t.Fatalf("%s: nothing has arrived, want\n%s", c.name, want)
		}
		got, _ := c.conn.take()
		if err := Match(want, got, captures); err != nil {
			c.t.Fatalf("%s: %v\n got: %s\nwant: %s", c.name, err, got, want)
		}
	}
}

// ExpectNone fails the test if anything has arrived that was not taken.
func (c *Client) ExpectNone() {
	c.t.Helper()
	if got := c.Arrived(); len(got) > 0 {
		c.t.Fatalf("%s: unexpected:\n%s", c.name, strings.Join(got, "\n"))
	}
}

// ExpectClosed takes the end of the stream: with the stream error of that
// condition, properly if it is empty.
func (c *Client) ExpectClosed(condition string) {
	c.t.Helper()
	if condition != "" {
		c.Expect("<stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
	}
	c.Expect(streamEnd)
}

// Clear forgets what has arrived.
func (c *Client) Clear() {
	c.h.Settle()
	for {
		if _, ok := c.conn.take(); !ok {
			return
		}
	}
}

// Routed takes all elements that were routed to a domain.
func (h *Host) Routed(domain string) []string {
	h.Settle()
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.routed[domain]
	delete(h.routed, domain)
	return l
}

// ExpectRouted takes as many elements as are given of those routed to a domain.
func (h *Host) ExpectRouted(domain string, elements ...string) {
	h.t.Helper()
	for _, want := range elements {
		got, ok := h.TakeRouted(domain)
		if !ok {
			h.t.Fatalf("%s: nothing was routed there, want\n%s", domain, want)
		}
		if err := Match(want, got, nil); err != nil {
			h.t.Fatalf("%s: %v\n got: %s\nwant: %s", domain, err, got, want)
		}
	}
}

// TakeRouted takes the next element that was routed to a domain; ok is false if
// there is none.
func (h *Host) TakeRouted(domain string) (el string, ok bool) {
	if !h.await(func() bool { return len(h.routed[domain]) > 0 }) {
		return "", false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	el = h.routed[domain][0]
	if h.routed[domain] = h.routed[domain][1:]; len(h.routed[domain]) == 0 {
		delete(h.routed, domain)
	}
	return el, true
}
