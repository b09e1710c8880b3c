package mux_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// recConn is a connection that can be looked at without waiting for all to come
// to rest, and whose writes the test can hold up and let fail.
type recConn struct {
	hold chan struct{} // a write waits until it is closed; nil for none

	mu     sync.Mutex // guards what follows
	got    []string
	fail   error
	closed bool
}

func (c *recConn) Write(p []byte) error {
	if c.hold != nil {
		<-c.hold
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil {
		c.got = append(c.got, string(p))
	}
	return c.fail
}

func (c *recConn) Pending() int { return 0 }

func (c *recConn) Close(error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// writes is what was written, one entry for each Write.
func (c *recConn) writes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// recorded is a stream over a recConn that has authenticated as an account; the
// test is its reader.
func recorded(h *muxtest.Host, account string) (*mux.Stream, *recConn) {
	h.AddAccount(account)
	c := new(recConn)
	st := h.Mux().NewStream(c, mux.Client)
	st.SetState(mux.Secure)
	st.SetAccount(addr(account))
	return st, c
}

// receive has the stream take an element.
func receive(t *testing.T, st *mux.Stream, el string) {
	t.Helper()
	if err := st.Receive(t.Context(), parse(t, el)); err != nil {
		t.Errorf("%v: %s", err, el)
	}
}

// writeNothing is a durable change that can fail.
func writeNothing(e *mux.Event) { e.Work.Write(func(context.Context, mux.Tx) error { return nil }) }
