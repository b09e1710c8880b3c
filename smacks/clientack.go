package smacks

import (
	"context"
	"slices"

	"github.com/propolis-im/propolis/mux"
)

// RequestAck asks the server to acknowledge and waits until it has acknowledged all that
// was sent before, over resumptions as well. That it returns nil shows that the server is
// there; [ErrOff] says that it acknowledges nothing, and [ErrSessionLost] that it will not.
func (c *Client) RequestAck(ctx context.Context) error {
	done := make(chan error, 1)
	c.mu.Lock()
	switch {
	case c.cur == nil:
		c.mu.Unlock()
		return ErrNoSession
	case !c.on:
		c.mu.Unlock()
		return ErrOff
	}
	c.answers = append(c.answers, answer{c.state.Out(), done})
	c.ask()
	c.mu.Unlock()
	defer c.awaiting()()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answers = slices.DeleteFunc(c.answers, func(a answer) bool { return a.done == done })
		return ctx.Err()
	}
}

// answer is what somebody waits for: an acknowledgement of all up to a stanza.
type answer struct {
	upTo uint32
	done chan error
}

// SendAck tells the server what is handled, without having been asked. While there is no
// connection it does nothing: a resumption tells as well.
func (c *Client) SendAck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur != nil {
		c.acknowledge()
	}
}

// acknowledge tells the server what is handled; the lock is held.
func (c *Client) acknowledge() {
	if c.link != nil && c.on && !c.cur.leaving {
		c.link.write(appendAck(nil, c.state.In))
	}
}

func appendAck(b []byte, h uint32) []byte {
	return append(b, "<a xmlns='"+NS+"' h='"+utoa(h)+"'/>"...)
}

// sm takes an element of stream management; the lock is held.
func (c *Client) sm(l *link, el *mux.Stanza) error {
	switch name := el.Name().Local; {
	case name == "enabled", name == "resumed", name == "failed":
		// Nobody has asked, and an answer might be answered.
	case name == "r" && c.on:
		c.cur.answer()
	case name == "a" && c.on:
		h, ok := parseH(el.Attr("h"))
		switch {
		case !ok:
			c.quit(l, "bad-format", "")
			return errSM
		case c.acked(h) != nil:
			c.quitTooHigh(l, h)
			return errSM
		}
		c.answered(nil)
	case c.cur.leaving:
	case name == "r", name == "a":
		l.write([]byte(failed(unexpected))) // smacks SM-46
	default:
		l.write([]byte(failed(badRequest)))
	}
	return nil
}

// quitTooHigh is for servers that acknowledge what they were not sent, or what they had
// acknowledged already (XEP-0198 §6; smacks SM-38). There is nothing to go on with (smacks
// SM-84). The lock is held.
func (c *Client) quitTooHigh(l *link, h uint32) {
	c.warn("server counts what was not sent")
	c.quit(l, "undefined-condition", "<handled-count-too-high xmlns='"+NS+"' h='"+utoa(h)+"' send-count='"+utoa(c.state.Out())+"'/>")
}

// quit ends our stream with an error, and the session with it; the lock is held.
func (c *Client) quit(l *link, condition, more string) {
	c.state.Token = ""
	l.finish([]byte("<stream:error><" + condition + " xmlns='" + nsStreams + "'/>" + more + "</stream:error></stream:stream>"))
}

// nsStreams is the namespace of conditions of stream errors (RFC 6120 §4.9.2).
const nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"

// acked takes an acknowledgement; the lock is held.
func (c *Client) acked(h uint32) error {
	n, ok := acknowledged(h, c.state.Acked, c.state.Out())
	if !ok {
		return errSM
	}
	if n == 0 {
		return nil
	}
	done := c.state.Unacked[:n:n]
	c.state.Acked = h
	c.state.Unacked = c.state.Unacked[n:]
	for i := range done {
		done[i].resolve(nil)
	}
	if f := c.opt.OnAcked; f != nil {
		c.told.add(func() { f(done) })
	}
	c.change.Broadcast()
	return nil
}

// answered: the server has said something, or will not any more. It may have answered
// before it had handled all that was sent; then it says more when it has, or is asked.
func (c *Client) answered(err error) {
	waiting := c.answers[:0]
	for _, a := range c.answers {
		if err == nil && after(a.upTo, c.state.Acked) {
			waiting = append(waiting, a)
			continue
		}
		a.done <- err
	}
	clear(c.answers[len(waiting):])
	c.answers, c.asked = waiting, false
	switch {
	case err != nil:
	case len(waiting) > 0 && c.since > 0:
		c.ask()
	default:
		c.arm()
	}
}
