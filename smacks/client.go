package smacks

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/dial"
	"mellium.im/xmpp/jid"
)

// ClientOptions refine a Client. The zero value of each field is its default.
type ClientOptions struct {
	// Dial opens a connection to the server. Once after a connection was lost,
	// location is where the server would like to be reached (XEP-0198 §5): host, or
	// host:port; else it is empty. Nil finds the server as RFC 6120 §3.2 says.
	Dial func(ctx context.Context, location string) (net.Conn, error)
	// Features log in: STARTTLS and SASL. Resuming, binding and enabling are added.
	Features []xmpp.StreamFeature
	// State is where an earlier process got to, nil to begin anew.
	State *ClientState
	// Seconds is how long the server is asked to wait for us; 0 for what it likes.
	Seconds int
	// MaxQueue is how many stanzas may be unacknowledged, 0 for 1000; writing waits
	// at the bound.
	MaxQueue int
	// AskAfter is after how many stanzas the server is asked to acknowledge, 0 for
	// 5; AskWithin how long the last ones wait for that, 0 for 5 s.
	AskAfter  int
	AskWithin time.Duration
	// AckTimeout is how long the server may take to answer, 0 for 30 s. Then the
	// connection is given up.
	AckTimeout time.Duration
	// Probe is how long nothing may be exchanged before the server is asked, to see
	// whether it is there; 0 for 5 min.
	Probe time.Duration
	// LoginTimeout bounds one attempt to connect and log in, 0 for 30 s.
	LoginTimeout time.Duration
	// Backoff is how long to wait before the next attempt, after so many that have
	// failed and none that did not, the last with this error; below zero to give up.
	// Nil waits up to 1 s, 2 s, 4 s, … and at most 60 s.
	Backoff func(failed int, err error) time.Duration
	// OnAcked is told of stanzas that the server has acknowledged, in order.
	OnAcked func([]Pending)
	// OnDropped decides about each stanza that was not acknowledged when its session
	// could not be resumed, in order. Nil is [ResendMessages].
	OnDropped func(Pending) Action
	// OnEvent is told what becomes of the connection. It and OnAcked run one after
	// another on a goroutine of their own, and may call anything.
	OnEvent func(ClientEvent)
	// Logger is for failed attempts (Info) and misbehaving servers (Warn); nil
	// discards.
	Logger *slog.Logger
}

func (o *ClientOptions) withDefaults() ClientOptions {
	var d ClientOptions
	if o != nil {
		d = *o
	}
	orElse(&d.MaxQueue, 1000)
	orElse(&d.AskAfter, 5)
	orElse(&d.AskWithin, 5*time.Second)
	orElse(&d.AckTimeout, 30*time.Second)
	orElse(&d.Probe, 5*time.Minute)
	orElse(&d.LoginTimeout, 30*time.Second)
	if d.Backoff == nil {
		d.Backoff = backoff
	}
	if d.OnDropped == nil {
		d.OnDropped = ResendMessages
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// backoff doubles, and differs between clients.
func backoff(failed int, _ error) time.Duration {
	d := time.Second << min(failed-1, 6)
	return d/2 + rand.N(min(d, time.Minute)/2)
}

// Action is what becomes of a stanza whose session could not be resumed.
type Action uint8

const (
	// Discard forgets it; [Client.SendAcked] returns [ErrDropped].
	Discard Action = iota
	// Resend sends it again in the next session, with the time it was sent at
	// first (XEP-0203). The server may have had it.
	Resend
)

// ResendMessages has chat and normal messages sent again and everything else
// forgotten: a request or a presence is for a session that is over (smacks SM-83).
func ResendMessages(p Pending) Action {
	if p.Kind == "message" && (p.Type == "" || p.Type == "chat" || p.Type == "normal") {
		return Resend
	}
	return Discard
}

// ClientEventKind says what has happened to a client.
type ClientEventKind uint8

// The events of a client's life.
const (
	// Started: there is a new session, in which nothing is as it was: roster,
	// presence, carbons, rooms have to be asked for, set and entered again.
	Started ClientEventKind = iota
	// Detached: the connection is lost, and the session may go on.
	Detached
	// Resumed: the session goes on with another connection. Nothing is to be done.
	Resumed
	// Lost: the session is over.
	Lost
)

// String names the event.
func (k ClientEventKind) String() string {
	return [...]string{"started", "detached", "resumed", "lost"}[k]
}

// ClientEvent is told to [ClientOptions.OnEvent].
type ClientEvent struct {
	Kind ClientEventKind
	Err  error // why, with Detached and Lost
}

// Errors of a client.
var (
	// ErrSessionLost is what a session ends with that could not be resumed.
	ErrSessionLost = errors.New("smacks: session could not be resumed")
	// ErrDropped is for a stanza that was not acknowledged and will not be sent
	// again.
	ErrDropped = errors.New("smacks: stanza was dropped with its session")
	// ErrDetached is what a session ends with after [Client.Detach].
	ErrDetached = errors.New("smacks: detached")
	// ErrConnected is for a second session at the same time.
	ErrConnected = errors.New("smacks: there is a session already")
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
// handler has returned. What waits to be handled when the connection breaks is
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
	change  *sync.Cond   // of anything below
	cur     *clientConn  // under the mellium session there is, nil without one
	link    *link        // its connection, nil while there is none
	ready   *login       // a connection whose session is new, for the next Connect
	state   ClientState  // of the session, if on
	on      bool         // stream management is
	busy    bool         // somebody connects
	asked   bool         // the server owes an acknowledgement
	since   int          // stanzas since it was asked
	answers []chan error // wait for the next acknowledgement
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
		if l, err = c.logIn(ctx, where); err != nil && where != "" {
			l, err = c.logIn(ctx, "")
		}
		if err != nil {
			return nil, err
		}
	}
	conn := newClientConn(c)
	resend := c.settle(l)
	c.mu.Lock()
	c.cur = conn
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
// Backoff. start is called with each new session and returns its handler.
func (c *Client) Run(ctx context.Context, start func(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error)) error {
	for failed := 0; ; {
		s, err := c.Connect(ctx)
		if err == nil {
			failed = 0
			var h xmpp.Handler
			if h, err = start(ctx, s); err == nil {
				err = c.serve(ctx, s, h)
			} else {
				c.Detach()
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
	stop := context.AfterFunc(ctx, func() { c.Close(closing) })
	defer stop()
	err := s.Serve(h)
	c.Close(closing) // if that was the handler's will, the server still has to agree
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
	if l.known != nil && c.on {
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

// Detach drops the connection and connects no more. The session of mellium ends
// with [ErrDetached]; the server keeps its own for a while, and the state that is
// returned, nil if it cannot be resumed, goes on with it.
func (c *Client) Detach() *ClientState {
	s := c.State()
	c.end(ErrDetached)
	return s
}

// Close ends the session properly: the server is told what was handled, and is
// waited for so long. What it has not acknowledged by then is in Pending.
func (c *Client) Close(wait time.Duration) {
	c.mu.Lock()
	conn := c.cur
	switch {
	case conn == nil:
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
