package smacks

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
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
// handler has returned, or later if that has called [Client.Hold]. What waits to be handled
// when the connection breaks is thrown away, since the server sends it again. Replies to
// pending requests arrive also after a resumption; when a session is lost pending requests
// end with an error that is [ErrSessionLost]. Replies to requests of an earlier process, which nobody waits for in
// this one, are given to the handler, as everything else is.
//
// Sending works while there is no connection. What is written to the session of mellium
// waits if MaxQueue stanzas are unacknowledged, and heeds no context then; Send, SendAcked
// and UnmarshalIQ do.
type Client struct {
	addr jid.JID
	opt  ClientOptions
	told calls

	mu      sync.Mutex
	change  *sync.Cond         // of anything below
	cur     *clientConn        // under the mellium session there is, nil without one
	session *xmpp.Session      // that of cur
	link    *link              // its connection, nil while there is none
	ready   *login             // a connection whose session is new, for the next Connect
	state   ClientState        // of the session, if on
	on      bool               // stream management is
	outcome Outcome            // of the last connection
	alive   bool               // the application believes in the session of the state
	tried   bool               // its location, since there was a connection
	busy    bool               // somebody connects
	leave   []*leaving         // what Detach and Close end beside the session
	asked   bool               // the server owes an acknowledgement
	since   int                // stanzas since it was asked
	first   time.Time          // when the first of them was sent
	askAt   time.Time          // when it is to be asked, by the policy
	answers []answer           // who waits for acknowledgements
	awaits  int                // how many do
	barren  int                // connections in a row that broke at once
	counts  *clientConn        // the one whose stanzas the state's In is about
	stop    context.CancelFunc // of connecting again
}

// NewClient makes a client for an account; with a resource it asks for that. o may
// be nil and is copied.
func NewClient(account jid.JID, o *ClientOptions) *Client {
	c := &Client{addr: account, opt: o.withDefaults()}
	c.change = sync.NewCond(&c.mu)
	if s := c.opt.State; s != nil {
		c.state, c.on, c.alive = *s.clone(), true, s.Token != ""
		c.opt.State = nil
	}
	return c
}

// Connect connects, resumes or begins a session, and gives it as a session of
// mellium, which stays the same until it is over. It makes one attempt. Who gets
// the session must call its Serve, or that of the client.
func (c *Client) Connect(ctx context.Context) (s *xmpp.Session, err error) {
	connecting, mine := c.leavable(ctx)
	defer func() { err = c.stays(mine, err) }()
	return c.connect(ctx, connecting, mine)
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
		defer c.mu.Unlock()
		c.busy, mine.decided = false, false
		c.change.Broadcast()
	}()
	if l == nil {
		var err error
		where := c.takeAddress()
		if l, err = c.logIn(connecting, where); err != nil && where != "" {
			l, err = c.logIn(connecting, "")
		}
		if err != nil {
			return nil, err
		}
	}
	c.heard(l)
	conn := newClientConn(c)
	s, err := conn.session(ctx, l.jid, l.features)
	if err != nil {
		_ = l.el.Close() // it is of no more use
		return nil, err
	}
	if !c.decide(mine) {
		_ = l.el.Close() // nobody wants it any more
		return nil, ErrDetached
	}
	resend := c.settle(l)
	c.mu.Lock()
	c.cur, c.session, c.counts = conn, s, conn
	err = c.attach(l, resend)
	conn.got.last = c.state.In
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	c.consult()
	return s, nil
}

// Run connects, serves, and does so again whenever a session is over, until ctx
// ends, which closes it properly, or an attempt to connect is the last one by
// Backoff, or [Client.Detach] or [Client.Close] is called. start is called with each new
// session of mellium and returns its handler; it begins what a new session needs unless
// [Client.Outcome] is OutcomeResumed, for one that goes on from an earlier process or try.
func (c *Client) Run(ctx context.Context, start func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error)) (err error) {
	ctx, mine := c.leavable(ctx)
	defer func() {
		err = c.stays(mine, err)
		c.rest()
	}()
	return c.run(ctx, start)
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
				c.close(c.current(), closing)
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

// Serve is Serve of a session from Connect, and a stanza whose handler returns an error, which
// ends the session, counts as handled: it would do the same when it comes again. One whose
// handler panics does not, here as there. Run does this by itself.
func (c *Client) Serve(s *xmpp.Session, h xmpp.Handler) error {
	k := c.current()
	if k == nil {
		return s.Serve(h)
	}
	defer k.unserve() // whoever waits for an answer, nobody reads it
	if h == nil {
		return s.Serve(h)
	}
	return s.Serve(xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		err := h.HandleXMPP(t, start)
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.cur == k { // else that may be why
				k.handOver()
			}
		}
		return err
	}))
}

func (c *Client) serve(ctx context.Context, s *xmpp.Session, h xmpp.Handler) error {
	conn := c.current()
	stop := context.AfterFunc(ctx, func() { c.close(conn, closing) })
	defer stop()
	err := c.Serve(s, h)
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

// State is where the session is, at this moment, for another process to go on with. Its
// Token is empty if it cannot be resumed; it is nil if nothing is unacknowledged either.
// Any state is consistent: what counts as handled in it is, and what was sent and not
// acknowledged is in it.
func (c *Client) State() *ClientState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saved()
}

// saved is State; the lock is held.
func (c *Client) saved() *ClientState {
	if !c.on {
		return nil
	}
	s := c.state.clone()
	if c.cur != nil && c.cur.leaving {
		s.Token = ""
	}
	if s.Token == "" && len(s.Unacked) == 0 {
		return nil
	}
	if c.link != nil {
		s.At = time.Now()
	}
	return s
}

// Pending are the stanzas that the server has not acknowledged, oldest first.
func (c *Client) Pending() []Pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return unawaited(c.state.Unacked)
}

// Outcome is what the server has agreed to on the last connection.
func (c *Client) Outcome() Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outcome
}
