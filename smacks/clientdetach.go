package smacks

import (
	"context"
	"slices"
	"time"
)

// Close ends the session properly: the server is told what was handled, and is
// waited for so long. It cannot be resumed any more, whether the server has answered or
// there was a connection to tell it or not. What it has not acknowledged by then is in
// Pending. Run, and a Connect that is in progress, end with [ErrDetached]: nobody connects
// until one of them is called again.
func (c *Client) Close(wait time.Duration) {
	defer c.awaiting()()
	ended := c.dismiss()
	c.close(c.current(), wait)
	c.mu.Lock()
	for _, l := range ended {
		l.cancel()
	}
	c.mu.Unlock()
	c.rest()
}

// dismiss has no Run or Connect that is in progress begin another session.
func (c *Client) dismiss() []*leaving {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dismissed()
}

// dismissed is that where the lock is held.
func (c *Client) dismissed() []*leaving {
	for c.decided() {
		c.change.Wait()
	}
	for _, l := range c.leave {
		l.gone = true
	}
	return slices.Clone(c.leave)
}

// current is what the session of mellium that there is has for a connection.
func (c *Client) current() *clientConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cur
}

// close is Close of one session, unless it is over.
func (c *Client) close(conn *clientConn, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn == nil || c.cur != conn {
		return
	}
	c.bye()
	t := time.AfterFunc(wait, func() { c.endOf(conn) })
	defer t.Stop()
	for c.cur == conn {
		c.change.Wait()
	}
}

// Detach drops the connection and connects no more: Run, and a Connect that is in
// progress, end with [ErrDetached], as the session of mellium does. The server keeps its
// own for a while, and what is returned, the [Client.State], goes on with it; so does this
// client if it connects again. It must not be called by
// [ClientOptions.OnDropped].
func (c *Client) Detach() *ClientState {
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := c.dismissed()
	s := c.saved()
	c.end(ErrDetached)
	c.forsake()
	for _, l := range ended {
		l.cancel() // behind that, since Run ends a session properly that is left
	}
	return s
}

// leaving is a call that Detach and Close end. It is guarded by the client's lock.
type leaving struct {
	cancel  context.CancelFunc
	gone    bool // it was ended
	decided bool // it has a connection, and will have a session
}

// leavable is a context that ends with Detach and Close, too.
func (c *Client) leavable(ctx context.Context) (context.Context, *leaving) {
	ctx, cancel := context.WithCancel(ctx)
	l := &leaving{cancel: cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave = append(c.leave, l)
	return ctx, l
}

// stays is the end of what leavable began, and what it ends with.
func (c *Client) stays(l *leaving, err error) error {
	l.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.leave {
		if c.leave[i] == l {
			c.leave = append(c.leave[:i:i], c.leave[i+1:]...)
			break
		}
	}
	if l.gone {
		return ErrDetached
	}
	return err
}

// decide has a connection be used, unless Detach or Close was called.
func (c *Client) decide(l *leaving) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.decided = !l.gone
	return l.decided
}

// decided reports whether a session is about to begin; the lock is held.
func (c *Client) decided() bool {
	for _, l := range c.leave {
		if l.decided {
			return true
		}
	}
	return false
}
