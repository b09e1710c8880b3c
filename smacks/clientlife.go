package smacks

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// broken: a connection is lost. If the session can be resumed another one is made.
func (c *Client) broken(l *link, err error) {
	l.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	c.unlink()
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

// unlink forgets the connection; the lock is held.
func (c *Client) unlink() {
	if l := c.link; l != nil {
		c.link, c.state.At = nil, time.Now()
		if l.timer != nil {
			l.timer.Stop()
		}
	}
	c.asked, c.since, c.askAt = false, 0, time.Time{}
	c.change.Broadcast()
}

// again connects until the session goes on, or cannot.
func (c *Client) again(ctx context.Context, err error) {
	for failed := 0; ; failed++ {
		if failed > 0 && !c.wait(ctx, failed, err) {
			if ctx.Err() == nil {
				c.end(err)
			}
			return
		}
		var l *login
		if l, err = c.logIn(ctx, c.takeAddress()); err == nil {
			c.goOn(ctx, l)
			return
		}
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
		_ = c.attach(l, nil) // what is wrong ends the session
	default:
		c.ready = l
		c.state.Token = ""
		c.over(ErrSessionLost)
	}
}

// errClosed is why a session is over that the server has closed.
var errClosed = errors.New("smacks: the server has closed the stream")

// closedBy: the server has ended its stream.
func (c *Client) closedBy(l *link) {
	l.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return
	}
	c.unlink()
	c.state.Token = ""
	c.cur.unanswered()
	c.cur.give([]byte("</stream:stream>"), false)
	c.over(errClosed)
}

// over: the session is, for mellium; what is not acknowledged is for the next. The
// lock is held.
func (c *Client) over(err error) {
	k := c.cur
	if k == nil {
		return
	}
	if k.leaving {
		c.state.Token = "" // we have ended it
	}
	switch {
	case k.leaving:
		c.alive = false
	case c.on && c.state.Token != "":
		c.tell(ClientEvent{Kind: Detached, Err: err}) // it may go on in another one of mellium
	default:
		c.alive = false
		c.tell(ClientEvent{Kind: SessionLost, Err: err})
	}
	c.answered(ErrSessionLost)
	k.fail(err)
	c.cur, c.session = nil, nil
	c.change.Broadcast()
}

// end ends everything at once.
func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
	}
	if c.link != nil {
		c.link.close()
	}
	c.unlink()
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
	var b []byte
	if c.on {
		b = appendAck(b, c.state.In)
	}
	c.cur.leaving = true
	c.link.write(append(b, "</stream:stream>"...))
}

// tell tells the application what has happened; the lock is held.
func (c *Client) tell(e ClientEvent) {
	if f := c.opt.OnEvent; f != nil {
		c.told.add(func() { f(e) })
	}
}
