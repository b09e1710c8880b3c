package smacks

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/dial"
	"mellium.im/xmpp/jid"
)

// Client keeps a mellium session alive: connections come and go, and the session,
// its handlers and what is being sent do not notice. It is used in place of
// mellium's Dial and New functions:
//
//	c := smacks.NewClient(account, &smacks.ClientOptions{Features: …})
//	err := c.Run(ctx, func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error) {
//		…
//	})
//
// A stanza counts as handled when the session asks for the next one: when its
// handler has returned, or later if that has called [Client.Hold]. What waits to be handled when the connection breaks is
// thrown away, since the server sends it again. Replies to pending requests arrive
// also after a resumption; when a session is lost pending requests are answered
// with the error remote-server-timeout.
//
// Sending works while there is no connection. Deadlines of single writes do not
// count: a write waits only if MaxQueue stanzas are unacknowledged.
type Client struct {
	addr jid.JID
	opt  ClientOptions
	told calls

	mu      sync.Mutex
	change  *sync.Cond  // of anything below
	cur     *clientConn // under the mellium session there is, nil without one
	link    *link       // its connection, nil while there is none
	ready   *login      // a connection whose session is new, for the next Connect
	state   ClientState // of the session, if on
	on      bool        // stream management is
	busy    bool        // somebody connects
	leave   []*leaving  // what Detach ends beside the session
	asked   bool        // the server owes an acknowledgement
	since   int         // stanzas since it was asked
	answers []answer    // who waits for acknowledgements
	waiters map[string][]chan error
	stop    context.CancelFunc // of connecting again
}

// NewClient makes a client for an account; with a resource it asks for that. o may
// be nil and is copied.
func NewClient(account jid.JID, o *ClientOptions) *Client {
	c := &Client{addr: account, opt: o.withDefaults(), waiters: make(map[string][]chan error)}
	c.change = sync.NewCond(&c.mu)
	if s := c.opt.State; s != nil {
		c.state, c.on = *s, true
		c.opt.State = nil
	}
	return c
}

// Connect connects, resumes or begins a session, and gives it as a session of
// mellium, which stays the same until it is over. It makes one attempt. Who gets
// the session must call its Serve.
func (c *Client) Connect(ctx context.Context) (*xmpp.Session, error) {
	connecting, mine := c.leavable(ctx)
	s, err := c.connect(ctx, connecting, mine)
	return s, c.stays(mine, err)
}

func (c *Client) connect(ctx, connecting context.Context, mine *leaving) (*xmpp.Session, error) {
	c.mu.Lock()
	if c.cur != nil || c.busy {
		c.mu.Unlock()
		return nil, ErrConnected
	}
	c.busy = true
	l := c.ready
	c.ready = nil
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.busy = false
		c.mu.Unlock()
	}()
	if l == nil {
		var err error
		where := c.where()
		if l, err = c.logIn(connecting, where); err != nil && where != "" {
			l, err = c.logIn(connecting, "")
		}
		if err != nil {
			return nil, err
		}
	}
	if !c.decide(mine) {
		_ = l.el.Close() // nobody wants it any more
		return nil, ErrDetached
	}
	conn := newClientConn(c)
	resend := c.settle(l)
	c.mu.Lock()
	c.cur, mine.decided = conn, false
	c.change.Broadcast()
	conn.got.last = c.state.In
	c.attach(l, resend)
	kind := Started
	if l.resumed != nil {
		kind = Resumed
	}
	c.tell(ClientEvent{Kind: kind})
	c.mu.Unlock()
	return conn.session(ctx, l.jid)
}

// Run connects, serves, and does so again whenever a session is over, until ctx
// ends, which closes it properly, or an attempt to connect is the last one by
// Backoff, or [Client.Detach] is called. start is called with each new session and
// returns its handler.
func (c *Client) Run(ctx context.Context, start func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error)) error {
	ctx, mine := c.leavable(ctx)
	return c.stays(mine, c.run(ctx, start))
}

func (c *Client) run(ctx context.Context, start func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error)) error {
	for failed := 0; ; {
		s, err := c.Connect(ctx)
		if err == nil {
			failed = 0
			var h xmpp.Handler
			if h, err = start(ctx, s); err == nil {
				err = c.serve(ctx, s, h)
			} else {
				c.Close(closing)
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed++
		c.opt.Logger.LogAttrs(ctx, slog.LevelInfo, "session has ended", slog.Any("err", err))
		if errors.Is(err, ErrDetached) || !c.wait(ctx, failed, err) {
			return err
		}
	}
}

func (c *Client) serve(ctx context.Context, s *xmpp.Session, h xmpp.Handler) error {
	conn := c.current()
	stop := context.AfterFunc(ctx, func() { c.close(conn, closing) })
	defer stop()
	err := s.Serve(h)
	c.close(conn, closing) // if that was the handler's will, the server still has to agree
	return err
}

// closing is how long Run waits for the server to close its stream.
const closing = 5 * time.Second

// wait waits before the next attempt; false to give up.
func (c *Client) wait(ctx context.Context, failed int, err error) bool {
	d := c.opt.Backoff(failed, err)
	if d < 0 {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// logIn opens a connection and logs in.
func (c *Client) logIn(ctx context.Context, location string) (*login, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.LoginTimeout)
	defer cancel()
	conn, err := c.dial(ctx, location)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	q := &asks{addr: c.addr, seconds: c.opt.Seconds, features: c.opt.Features, h: c.resumeAt}
	if c.on && c.state.Token != "" {
		q.token, q.addr = c.state.Token, c.state.JID
	}
	c.mu.Unlock()
	if c.opt.Login != nil {
		return logInBy(ctx, conn, q, c.opt.Login)
	}
	return logIn(ctx, conn, q)
}

// where is where the server would like to be reached.
func (c *Client) where() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Location
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

// resumeAt is how many stanzas of the server are handled. What its session has at
// this moment counts: else it would come again.
func (c *Client) resumeAt() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur != nil {
		c.cur.handOver()
		c.cur.got.again = c.cur.got.last - c.state.In
	}
	return c.state.In
}

// settle decides what becomes of stanzas whose session is over, without any lock
// held, and returns those that are to be sent again.
func (c *Client) settle(l *login) (resend []Pending) {
	c.mu.Lock()
	if l.resumed != nil {
		c.mu.Unlock()
		return nil
	}
	if l.known != nil && c.on && !c.state.unsent(*l.known) {
		_ = c.acked(*l.known) // one that makes no sense says nothing
	}
	old := c.state.Unacked
	c.state, c.on = ClientState{}, false
	c.mu.Unlock()
	for _, p := range old {
		if c.opt.OnDropped(p) == Resend {
			resend = append(resend, p)
			continue
		}
		c.mu.Lock()
		c.resolve(p.ID, ErrDropped)
		c.mu.Unlock()
	}
	return resend
}

// State is where the session is, at this moment, for another process to go on with;
// nil if there is none that can be resumed.
func (c *Client) State() *ClientState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on || c.state.Token == "" {
		return nil
	}
	s := c.state
	s.Unacked = append([]Pending(nil), s.Unacked...)
	return &s
}

// Pending are the stanzas that the server has not acknowledged, oldest first.
func (c *Client) Pending() []Pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Pending(nil), c.state.Unacked...)
}

// Close ends the session properly: the server is told what was handled, and is
// waited for so long. What it has not acknowledged by then is in Pending.
func (c *Client) Close(wait time.Duration) { c.close(c.current(), wait) }

// current is what the session of mellium that there is has for a connection.
func (c *Client) current() *clientConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cur
}

// close is Close of one session, unless it is over.
func (c *Client) close(conn *clientConn, wait time.Duration) {
	c.mu.Lock()
	switch {
	case conn == nil, c.cur != conn:
		c.mu.Unlock()
		return
	case c.link == nil:
		c.mu.Unlock()
		c.end(ErrDetached)
		return
	}
	c.bye()
	t := time.AfterFunc(wait, func() { c.end(ErrDetached) })
	defer t.Stop()
	for c.cur == conn {
		c.change.Wait()
	}
	c.mu.Unlock()
}
