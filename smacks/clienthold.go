package smacks

import "sync"

// handled is how far a client's session is with what it was given; it is guarded by
// the client's lock. What counts is the state's In: all up to it are handled.
type handled struct {
	last  uint32              // the last that the session was given
	held  bool                // it does not count when its handler returns
	ahead map[uint32]struct{} // handled, behind one that is not
	again uint32              // so many will come again that the session has
}

// Hold has the stanza that is being handled count as handled not when its handler
// returns but when the function is called that Hold returns: when the application has
// it for good. That may be on any goroutine, and once; stanzas behind it count when it
// does (XEP-0198 §4). It is to be called by a handler, about its own stanza.
//
// A connection that is lost meanwhile is not noticed: the server sends the stanza again,
// and the session does not get it twice. A session that goes on in another process, by
// [Client.State], gets everything again that is held. When the session is over the
// function does nothing.
func (c *Client) Hold() (handled func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.cur
	if k == nil || !k.cur.counts || k.got.held {
		return func() {}
	}
	k.got.held = true
	n := k.got.last
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.cur == k {
			k.done(n)
			k.settle()
		}
	})
}

// done notes that stanza n is handled; those up to the first that is not count.
func (k *clientConn) done(n uint32) {
	if k.c.counts != k {
		return // another one has begun to count
	}
	in := &k.c.state.In
	if n != *in+1 {
		if k.got.ahead == nil {
			k.got.ahead = make(map[uint32]struct{})
		}
		k.got.ahead[n] = struct{}{}
		return
	}
	for *in = n; len(k.got.ahead) > 0; *in++ {
		if _, ok := k.got.ahead[*in+1]; !ok {
			return
		}
		delete(k.got.ahead, *in+1)
	}
}
