package smacks

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"mellium.im/xmpp/dial"
)

// logIn opens a connection and logs in.
func (c *Client) logIn(ctx context.Context, location string) (*login, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.LoginTimeout)
	defer cancel()
	conn, err := c.dial(ctx, location)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	q := &asks{addr: c.addr, seconds: c.opt.Seconds, features: c.opt.Features, h: c.resumeAt, warn: c.warn}
	if c.on && c.state.Token != "" {
		q.token, q.addr = c.state.Token, c.state.JID
		c.tell(ClientEvent{Kind: Resuming})
	}
	c.mu.Unlock()
	var l *login
	if c.opt.Login != nil {
		l, err = logInBy(ctx, conn, q, c.opt.Login)
	} else {
		l, err = logIn(ctx, conn, q)
	}
	if errors.Is(err, errWrong) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.state.Token = "" // once, and not for ever (smacks SM-84)
	}
	return l, err
}

// NextAddress is where the next attempt to connect goes, which Dial is told as well: where
// the server would like to be reached, the first time after a connection was lost; else it
// is empty, which means wherever the account's server is found.
func (c *Client) NextAddress() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tried {
		return ""
	}
	return c.state.Location
}

// takeAddress is NextAddress for the attempt itself.
func (c *Client) takeAddress() string {
	where := c.NextAddress()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried = true
	return where
}

// Expired reports whether the server may have stopped waiting at that time, as
// [ClientState.Expired] says of a state. A connection is tried to resume all the same.
func (c *Client) Expired(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.on && c.link == nil && c.state.Expired(now)
}

func (c *Client) warn(text string) {
	c.opt.Logger.LogAttrs(context.Background(), slog.LevelWarn, text)
}

func (c *Client) dial(ctx context.Context, location string) (net.Conn, error) {
	if c.opt.Dial != nil {
		return c.opt.Dial(ctx, location)
	}
	if location != "" {
		if _, _, err := net.SplitHostPort(location); err != nil {
			location = net.JoinHostPort(location, "5222")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", location)
	}
	return dial.Client(ctx, "tcp", c.addr)
}

// resumeAt is how many stanzas of the server are handled. What its session has beyond that
// comes again, and is not given to it twice. A session that is over counts no more.
func (c *Client) resumeAt() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur != nil {
		c.cur.got.again = c.cur.got.last - c.state.In
	} else if c.counts != nil {
		c.counts.forget()
		c.counts = nil
	}
	return c.state.In
}

// heard has a login know the features of its session, which a resumption may not list.
func (c *Client) heard(l *login) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.features == nil && l.resumed != nil {
		l.features = c.state.Features
	}
}
