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
	if l.idle(&c.state) {
		c.barren++
	} else {
		c.barren = 0
	}
	if !c.on || c.state.Token == "" || c.cur.ended() {
		c.over(err)
		return
	}
	c.cur.forget()
	c.tell(ClientEvent{Kind: Detached, Err: err})
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	go c.again(ctx, err, max(c.barren-maxBarren, 0))
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

// again connects until the session goes on, or cannot; so many connections have failed.
func (c *Client) again(ctx context.Context, err error, failed int) {
	for ; ; failed++ {
		if failed > 0 && !c.wait(ctx, failed, err) {
			c.mu.Lock()
			defer c.mu.Unlock()
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
	c.mu.Lock()
	if c.link == l && !c.cur.leaving { // it is told what was handled, as always (smacks SM-37)
		l.finish(c.farewell())
	}
	c.mu.Unlock()
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

// end ends everything at once; the lock is held.
func (c *Client) end(err error) {
	if c.stop != nil {
		c.stop()
	}
	if c.link != nil {
		go c.link.close() // which may take its time
	}
	c.unlink()
	c.unready()
	if k := c.cur; k != nil && c.on && c.state.Token != "" && !k.leaving {
		k.forget()
	}
	c.over(err)
}

// endOf ends a session at once, unless it is over.
func (c *Client) endOf(k *clientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur == k {
		c.end(ErrDetached)
	}
}

// unready ends a session that nobody has begun to use; the lock is held.
func (c *Client) unready() {
	l := c.ready
	if c.ready = nil; l == nil {
		return
	}
	go func() {
		_ = l.el.SetWriteDeadline(time.Now().Add(writeTimeout)) // without one the network decides
		_ = l.write([]byte("</stream:stream>"))                 // if it can be told
		_ = l.el.Close()
	}()
}

// rest is for when nobody connects any more: there is no next session that stanzas would
// be acknowledged in.
func (c *Client) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur == nil && len(c.leave) == 0 {
		c.unready()
		c.forsake()
	}
}

// forsake tells those who wait for acknowledgements that nobody will know; the lock is
// held.
func (c *Client) forsake() {
	for i := range c.state.Unacked {
		c.state.Unacked[i].resolve(ErrDetached)
	}
}

// bye ends our stream; the lock is held.
func (c *Client) bye() {
	if c.cur == nil || c.cur.leaving {
		return
	}
	c.cur.leaving = true
	c.change.Broadcast()
	if c.link == nil { // there is nobody to tell
		c.end(ErrDetached)
		return
	}
	c.link.write(c.farewell())
}

// farewell is the end of our stream; the lock is held.
func (c *Client) farewell() (b []byte) {
	if c.on {
		b = appendAck(b, c.state.In)
	}
	return append(b, "</stream:stream>"...)
}

// tell tells the application what has happened; the lock is held.
func (c *Client) tell(e ClientEvent) {
	if f := c.opt.OnEvent; f != nil {
		c.told.add(func() { f(e) })
	}
}
