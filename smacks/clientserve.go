package smacks

import (
	"encoding/xml"
	"errors"
	"net"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

// attach goes on with a connection; the lock is held. If the server cannot be gone on with
// the session is over.
func (c *Client) attach(in *login, resend []Pending) error {
	l := &link{el: in.el, begun: time.Now(), in: c.state.In, acked: c.state.Acked}
	c.link, c.outcome, c.tried = l, in.outcome(), false
	c.asked, c.since, c.askAt = false, 0, time.Time{}
	event := ClientEvent{Kind: Started, Session: c.session, Outcome: c.outcome}
	if in.resumed != nil {
		event.Kind = Resumed
		if in.features != nil {
			c.state.Features = in.features
		}
		if h := *in.resumed; c.state.unsent(h) || c.acked(h) != nil {
			c.quitTooHigh(l, h)
			c.unlink()
			c.over(errSM)
			return errSM
		}
		for i := range c.state.Unacked {
			c.state.Unacked[i].Attempts++
			l.write(c.state.Unacked[i].Raw)
		}
		c.ask()
	} else {
		c.on = in.on
		c.state = ClientState{JID: in.jid, Token: in.token, Max: in.max, Location: in.where, Features: in.features}
		for _, raw := range in.early {
			c.cur.give(raw, false)
		}
		for _, p := range resend {
			p.Raw = delayed(p.Raw, c.addr.Domainpart(), p.Since)
			c.submit(p)
		}
	}
	c.alive = true
	c.tell(event)
	l.timer = time.AfterFunc(c.opt.Probe, func() { c.due(l) })
	l.due = time.Now().Add(c.opt.Probe)
	c.arm()
	go c.read(l)
	return nil
}

var delayName = xml.Name{Space: nsDelay, Local: "delay"}

// delayed is an element with the time it was sent at first (XEP-0203).
func delayed(raw []byte, from string, since time.Time) []byte {
	s, err := mux.Parse(raw)
	if err != nil {
		return raw // it was an element before
	}
	it := mux.Item{Stanza: s, At: since}
	if _, has := s.Child(delayName); !has {
		it.Extra = mux.AppendDelay(nil, from, since)
	}
	return it.Append(nil, mux.NSClient)
}

// read is what a connection's goroutine does.
func (c *Client) read(l *link) {
	for {
		kind, raw, err := l.el.next()
		if err != nil {
			c.broken(l, err)
			return
		}
		switch kind {
		case xmlscan.Close:
			c.closedBy(l)
			return
		case xmlscan.Element:
			el := mux.FromScanner(&l.el.sc, raw)
			if err := c.element(l, el, raw); err != nil {
				c.broken(l, err)
				return
			}
			if el.Name() == ackName {
				c.consult()
			}
		}
	}
}

var streamError = xml.Name{Space: stream.NS, Local: "error"}

var tooHighName = xml.Name{Space: NS, Local: "handled-count-too-high"}

// element takes one element of the server.
func (c *Client) element(l *link, el *mux.Stanza, raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.link == l && c.cur.full() {
		l.deaf = true // it reads too slowly, and does not wait for us
		c.change.Wait()
	}
	if c.link != l {
		return net.ErrClosed
	}
	if l.deaf {
		l.deaf = false
		c.arm()
	}
	switch name := el.Name(); {
	case el.Kind() != mux.Nonza && c.on && c.cur.got.again > 0:
		c.cur.got.again-- // the session has it
	case el.Kind() != mux.Nonza:
		c.cur.give(append([]byte(nil), raw...), c.on)
	case name.Space == NS:
		return c.sm(l, el)
	case name == streamError:
		c.cur.unanswered()
		c.cur.give(append([]byte(nil), raw...), false)
		c.cur.fail(nil)
		return errStream
	default:
		c.cur.give(append([]byte(nil), raw...), false)
	}
	return nil
}

var errStream = errors.New("smacks: the server has ended the stream with an error")
