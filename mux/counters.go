package mux

import "sync"

// counters count stanzas of the peer: those received and those finished, so
// that h never says more than what will survive (XEP-0198 §4).
type counters struct {
	mu       sync.Mutex
	received uint32
	handled  uint32              // all up to this one are finished
	ahead    map[uint32]struct{} // finished, behind one that is not
	waiting  []handledWaiter     // in order
}

type handledWaiter struct {
	n uint32
	f func()
}

// Received is the number of stanzas the peer has sent in this session, modulo
// 2^32.
func (s *Session) Received() uint32 { return s.count.seen() }

// Handled is how many of them, from the first on, are finished: decided, durable
// and on their way.
func (s *Session) Handled() uint32 { return s.count.done() }

// OnHandled runs f when the first n stanzas are finished, at once if they are.
// f must not wait.
func (s *Session) OnHandled(n uint32, f func()) { s.count.when(n, f) }

// handledUpTo notes that stanza n is finished.
func (s *Session) handledUpTo(r *runner, n uint32) {
	for _, w := range s.count.finished(n) {
		s.m.protect(w.f)
		r.touch(s)
	}
}

func (c *counters) seen() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received
}

func (c *counters) done() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handled
}

// when is [Session.OnHandled].
func (c *counters) when(n uint32, f func()) {
	c.mu.Lock()
	if int32(c.handled-n) >= 0 {
		c.mu.Unlock()
		f()
		return
	}
	c.waiting = append(c.waiting, handledWaiter{n, f})
	c.mu.Unlock()
}

// next counts one more stanza and returns its number.
func (c *counters) next() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received++
	return c.received
}

// finished notes that stanza n is, and returns who has waited for that.
func (c *counters) finished(n uint32) (due []handledWaiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n != c.handled+1 {
		if c.ahead == nil {
			c.ahead = make(map[uint32]struct{})
		}
		c.ahead[n] = struct{}{}
		return nil
	}
	c.handled = n
	for len(c.ahead) > 0 {
		if _, ok := c.ahead[c.handled+1]; !ok {
			break
		}
		c.handled++
		delete(c.ahead, c.handled)
	}
	for len(c.waiting) > 0 && int32(c.handled-c.waiting[0].n) >= 0 {
		due = append(due, c.waiting[0])
		c.waiting[0] = handledWaiter{} // what it holds is not kept until the next append
		c.waiting = c.waiting[1:]
	}
	return due
}

// handledWith is what Handled will be when w is finished.
func (s *Session) handledWith(w *Work) uint32 {
	c := &s.count
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.sess != s || w.seq != c.handled+1 {
		return c.handled
	}
	h := w.seq
	for {
		if _, ok := c.ahead[h+1]; !ok {
			return h
		}
		h++
	}
}

// idle reports whether all that was received is finished.
func (c *counters) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received == c.handled
}

// behind is how many come from the first that is not finished on.
func (c *counters) behind() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.received - c.handled)
}
