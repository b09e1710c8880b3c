package smacks

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"net"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
)

// attach goes on with a connection; the lock is held.
func (c *Client) attach(in *login, resend []Pending) {
	l := &link{el: in.el}
	c.link, c.asked, c.since = l, false, 0
	if in.resumed != nil {
		if c.state.unsent(*in.resumed) || c.acked(*in.resumed) != nil {
			c.opt.Logger.LogAttrs(context.Background(), slog.LevelWarn, "server counts what was not sent")
			c.state.Token = ""
			go c.broken(l, errSM)
			return
		}
		for i := range c.state.Unacked {
			c.state.Unacked[i].Attempts++
			l.write(c.state.Unacked[i].Raw)
		}
		c.ask()
	} else {
		c.on = in.on
		c.state = ClientState{JID: in.jid, Token: in.token, Max: in.max, Location: in.where}
		for _, raw := range in.early {
			c.cur.give(raw, false)
		}
		for _, p := range resend {
			p.Raw = delayed(p.Raw, c.addr.Domainpart(), p.Since)
			c.submit(p)
		}
	}
	l.timer = time.AfterFunc(c.opt.Probe, func() { c.due(l) })
	l.due = time.Now().Add(c.opt.Probe)
	c.arm()
	go c.read(l)
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
		}
	}
}

// element takes one element of the server.
func (c *Client) element(l *link, el *mux.Stanza, raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.link == l && c.cur.full() {
		c.change.Wait() // it reads too slowly, and does not wait for us
	}
	if c.link != l {
		return net.ErrClosed
	}
	name := el.Name()
	switch {
	case el.Kind() != mux.Nonza && c.on && c.cur.got.again > 0:
		c.cur.got.again-- // the session has it
	case el.Kind() != mux.Nonza:
		c.cur.give(append([]byte(nil), raw...), c.on)
	case name.Space == NS && name.Local == "r":
		c.cur.answer()
	case name.Space == NS && name.Local == "a":
		if h, ok := parseH(el.Attr("h")); !ok || c.on && c.acked(h) != nil {
			c.state.Token = "" // one cannot go on from there
			return errSM
		}
		c.answered(nil)
	case name.Space == stream.NS && name.Local == "error":
		c.cur.give(append([]byte(nil), raw...), false)
		c.cur.fail(nil)
		return errStream
	default:
		c.cur.give(append([]byte(nil), raw...), false)
	}
	return nil
}

var errStream = errors.New("smacks: the server has ended the stream with an error")

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
	for _, p := range done {
		c.resolve(p.ID, nil)
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

// resolve tells who waits for a stanza.
func (c *Client) resolve(id string, err error) {
	for _, ch := range c.waiters[id] {
		ch <- err
	}
	delete(c.waiters, id)
}

func (c *Client) tell(e ClientEvent) {
	if f := c.opt.OnEvent; f != nil {
		c.told.add(func() { f(e) })
	}
}

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
	case len(c.state.Unacked) > 0:
		d = c.opt.AskWithin
	}
	l.due = time.Now().Add(d)
	l.timer.Reset(d)
}

// ask asks the server to acknowledge; the lock is held.
func (c *Client) ask() {
	if c.link == nil || !c.on || c.asked || c.cur.leaving {
		return
	}
	c.asked, c.since = true, 0
	c.link.write([]byte("<r xmlns='" + NS + "'/>"))
	c.arm()
}

// due is what the timer does.
func (c *Client) due(l *link) {
	c.mu.Lock()
	switch {
	case c.link != l || !c.on || time.Now().Before(l.due):
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

// broken: a connection is lost. If the session can be resumed another one is made.
func (c *Client) broken(l *link, err error) {
	l.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	c.link = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	c.asked, c.since = false, 0
	c.change.Broadcast()
	if !c.on || c.state.Token == "" || c.cur.ended() {
		c.over(err)
		return
	}
	c.cur.forget()
	c.tell(ClientEvent{Kind: Detached, Err: err})
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	go c.again(ctx, err)
}

// again connects until the session goes on, or cannot.
func (c *Client) again(ctx context.Context, err error) {
	location := c.where()
	for failed := 0; ; failed++ {
		if failed > 0 && !c.wait(ctx, failed, err) {
			if ctx.Err() == nil {
				c.end(err)
			}
			return
		}
		var l *login
		if l, err = c.logIn(ctx, location); err == nil {
			c.goOn(ctx, l)
			return
		}
		location = "" // once
		c.opt.Logger.LogAttrs(ctx, slog.LevelInfo, "connecting failed", slog.Any("err", err))
	}
}

// goOn goes on with a connection that was made.
func (c *Client) goOn(ctx context.Context, l *login) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		_ = l.el.Close() // nobody wants it any more
	case l.resumed != nil:
		c.attach(l, nil)
		c.tell(ClientEvent{Kind: Resumed})
	default:
		c.ready = l
		c.over(ErrSessionLost)
	}
}

// closedBy: the server has ended its stream.
func (c *Client) closedBy(l *link) {
	l.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	c.link = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	c.state.Token = ""
	c.cur.give([]byte("</stream:stream>"), false)
	c.over(nil)
}

// over: the session is, for mellium; what is not acknowledged is for the next. The
// lock is held.
func (c *Client) over(err error) {
	if c.cur == nil {
		return
	}
	if err != nil {
		c.tell(ClientEvent{Kind: Lost, Err: err})
	}
	c.answered(ErrSessionLost)
	c.cur.fail(err)
	c.cur = nil
	c.change.Broadcast()
}

// end ends everything at once.
func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
	}
	l := c.link
	c.link = nil
	if l != nil {
		if l.timer != nil {
			l.timer.Stop()
		}
		l.close()
	}
	if c.ready != nil {
		_ = c.ready.el.Close() // it was not used
		c.ready = nil
	}
	c.over(err)
}

// bye ends our stream; the lock is held.
func (c *Client) bye() {
	if c.link == nil || c.cur == nil || c.cur.leaving {
		return
	}
	c.cur.leaving = true
	b := []byte("</stream:stream>")
	if c.on {
		b = append([]byte("<a xmlns='"+NS+"' h='"+utoa(c.state.In)+"'/>"), b...)
	}
	c.link.write(b)
}
