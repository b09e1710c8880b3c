package smacks

import (
	"errors"
	"time"
)

// consult has the policy decide about what was sent, without any lock held.
func (c *Client) consult() {
	c.mu.Lock()
	l, ok := c.link, c.mayAsk() && len(c.state.Unacked) > 0
	u := Unasked{Count: c.since, Unacked: len(c.state.Unacked)}
	if ok {
		u.Last = c.state.Unacked[u.Unacked-1]
	}
	if u.Count > 0 {
		u.Age = time.Since(c.first)
	}
	c.mu.Unlock()
	if !ok {
		return
	}
	d := c.opt.AckPolicy.Ask(u)
	if d < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l || !c.mayAsk() {
		return // somebody else has
	}
	if d == 0 {
		c.ask()
	} else if at := time.Now().Add(d); c.askAt.IsZero() || at.Before(c.askAt) {
		c.askAt = at
		c.arm()
	}
}

// mayAsk reports whether there is somebody to ask who has answered; the lock is held.
func (c *Client) mayAsk() bool {
	return c.link != nil && c.on && !c.asked && c.cur != nil && !c.cur.leaving
}

// askAgain is how long a server may take that has answered, but not about all that
// somebody waits for.
const askAgain = 5 * time.Second

// arm sets the connection's timer: to ask soon, or later; the lock is held.
func (c *Client) arm() {
	l := c.link
	if l == nil || l.timer == nil || !c.on {
		return
	}
	d := c.opt.Probe
	switch {
	case c.asked:
		d = c.opt.AckTimeout
	case len(c.answers) > 0 || c.cur != nil && c.cur.blocked > 0:
		d = min(d, askAgain)
	case !c.askAt.IsZero():
		d = min(d, time.Until(c.askAt))
	}
	l.due = time.Now().Add(d)
	l.timer.Reset(d)
}

// ask asks the server to acknowledge; the lock is held.
func (c *Client) ask() {
	if !c.mayAsk() {
		return
	}
	c.asked, c.since, c.askAt = true, 0, time.Time{}
	c.link.write([]byte("<r xmlns='" + NS + "'/>"))
	c.arm()
}

// due is what the timer does.
func (c *Client) due(l *link) {
	c.mu.Lock()
	switch {
	case c.link != l || !c.on || time.Now().Before(l.due):
	case c.asked && l.deaf:
		c.arm() // the answer may have come (smacks SM-42)
	case c.asked:
		c.mu.Unlock()
		c.broken(l, errTimeout)
		return
	default:
		c.ask()
	}
	c.mu.Unlock()
}

var errTimeout = errors.New("smacks: server does not answer")
