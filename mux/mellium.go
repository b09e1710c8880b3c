package mux

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// ClientSession runs extensions in a client, a bot or a gateway on an
// [*xmpp.Session]: it is its handler and the host of a mux with the one account
// that the session is logged in as.
//
//	c, err := mux.NewClientSession(ctx, session, nil, exts...)
//	…
//	err = session.Serve(c)
//
// Stanzas that no extension answers are answered by mellium's rules, if need be
// with service-unavailable. What is sent while a handler runs is written through
// the handler's encoder, since [xmpp.Session.Send] would deadlock there.
type ClientSession struct {
	m    *Mux
	st   *Stream
	s    *xmpp.Session
	self Address

	mu      sync.Mutex
	out     []*Stanza
	inside  bool          // HandleXMPP will write what is sent
	writing bool          // a goroutine does
	more    chan struct{} // told when out has grown while inside
}

var (
	_ xmpp.Handler = (*ClientSession)(nil)
	_ Host         = (*ClientSession)(nil)
	_ Conn         = (*ClientSession)(nil)
)

// NewClientSession makes the mux for a session that is ready to be served. The
// mux ends with Close.
func NewClientSession(ctx context.Context, s *xmpp.Session, o *Options, exts ...Extension) (*ClientSession, error) {
	c := &ClientSession{s: s, self: AddressOf(s.LocalAddr()), more: make(chan struct{}, 1)}
	m, err := New(c, o, exts...)
	if err != nil {
		return nil, err
	}
	m.upstream = true
	c.m, c.st = m, m.NewStream(c, Upstream)
	if _, err = c.st.Attach(ctx, c.self); err != nil {
		return nil, errors.Join(err, m.Shutdown(ctx))
	}
	return c, m.Start(ctx)
}

// Mux is the client's mux.
func (c *ClientSession) Mux() *Mux { return c.m }

// Session is the client's one session in its mux.
func (c *ClientSession) Session() *Session { return c.st.Session() }

// HandleXMPP implements [xmpp.Handler]. A request is answered before it returns,
// since mellium answers requests that a handler leaves open.
func (c *ClientSession) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	s, err := FromTokens(*start, t)
	if err != nil {
		return nil // not for us: what cannot be read is no stanza
	}
	c.mu.Lock()
	c.inside = true
	c.mu.Unlock()
	err = c.st.Receive(context.Background(), s)
	c.st.Flush()
	request := s.kind == IQ && (s.typ == "get" || s.typ == "set")
	late := time.NewTimer(c.m.opt.ReplyTimeout)
	defer late.Stop()
	answered, werr := c.write(t, s)
	for request && !answered && err == nil && werr == nil {
		select {
		case <-c.more:
			answered, werr = c.write(t, s)
		case <-late.C:
			request = false
		}
	}
	c.mu.Lock()
	c.inside = false
	left := len(c.out) > 0
	c.mu.Unlock()
	if left {
		c.writeSoon()
	}
	if errors.Is(err, ErrClosed) {
		return io.EOF
	}
	return errors.Join(err, werr)
}

// write encodes what is to be sent and tells whether an answer to req was among
// it.
func (c *ClientSession) write(t xmlstream.TokenWriter, req *Stanza) (answered bool, err error) {
	for _, s := range c.take() {
		if s.kind == IQ && s.id == req.id && (s.typ == "result" || s.typ == "error") {
			answered = true
		}
		if _, err = xmlstream.Copy(t, s.TokenReader()); err != nil {
			return answered, err
		}
	}
	return answered, nil
}

func (c *ClientSession) take() []*Stanza {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	c.out = nil
	return out
}

// Route implements [Host]: everything goes to the server.
func (c *ClientSession) Route(_ context.Context, it *Item) error {
	s := it.Stanza
	if !it.To.IsZero() {
		s = s.WithTo(it.To)
	}
	c.send(s)
	return nil
}

func (c *ClientSession) send(s *Stanza) {
	c.mu.Lock()
	c.out = append(c.out, s)
	inside := c.inside
	c.mu.Unlock()
	if inside {
		select {
		case c.more <- struct{}{}:
		default:
		}
		return
	}
	c.writeSoon()
}

// writeSoon writes what is to be sent on a goroutine of its own.
func (c *ClientSession) writeSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing || c.inside {
		return
	}
	c.writing = true
	c.m.goes.Add(1)
	go func() {
		defer c.m.goes.Done()
		for {
			c.mu.Lock()
			if len(c.out) == 0 || c.inside {
				c.writing = false
				c.mu.Unlock()
				return
			}
			s := c.out[0]
			c.out = c.out[1:]
			c.mu.Unlock()
			if err := c.s.Send(c.m.ctx, s.TokenReader()); err != nil {
				c.st.Close(err)
				return
			}
		}
	}()
}

// Local implements [Host]: nothing is, everything is the server's.
func (c *ClientSession) Local(string) bool { return false }

// Account implements [Host].
func (c *ClientSession) Account(a Address) (exists, known bool) { return a == c.self.Bare(), true }

// LoadAccount implements [Host].
func (c *ClientSession) LoadAccount(_ context.Context, a Address) (bool, error) {
	return a == c.self.Bare(), nil
}

// Write implements [Conn], for what is put into the session itself.
func (c *ClientSession) Write(p []byte) error {
	d := xml.NewDecoder(&prefixed{rest: p})
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := t.(xml.StartElement); ok {
			s, err := FromTokens(start, d)
			if err != nil {
				return err
			}
			c.send(s)
		}
	}
}

// prefixed reads the bytes of elements.
type prefixed struct{ rest []byte }

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Pending implements [Conn].
func (c *ClientSession) Pending() int { return 0 }

// Close ends the mux and the session.
func (c *ClientSession) Close(err error) {
	c.st.Gone(err == nil)
	_ = c.s.Close() // it may be broken already
}

// Serve reads a server's stream from a client on a plain mellium session, for
// embedders that have negotiated one: every element goes to st.Receive, until
// the stream ends. st must have a bound session and write to the same connection,
// such as through [SessionConn]. It takes the place of [xmpp.Session.Serve], which
// would answer requests that are routed to somebody else.
func Serve(ctx context.Context, st *Stream, s *xmpp.Session) error {
	r := s.TokenReader()
	defer r.Close()
	for {
		t, err := r.Token()
		switch {
		case errors.Is(err, io.EOF):
			st.Gone(true)
			return nil
		case err != nil:
			st.Gone(false)
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			st.Gone(true)
			return nil
		case xml.StartElement:
			el, err := FromTokens(t, r)
			if err == nil {
				err = st.Receive(ctx, el)
			} else {
				st.Close(stream.NotWellFormed)
			}
			st.Flush()
			if err != nil {
				st.Gone(false)
				return err
			}
		}
	}
}

// SessionConn is a [Conn] that writes to a plain mellium session. Writing waits
// for the network on a goroutine of its own; a peer that does not read is given
// up when more than limit octets wait, 0 meaning 4 MiB.
func SessionConn(s *xmpp.Session, limit int) Conn {
	if limit <= 0 {
		limit = 4 << 20
	}
	return &sessionConn{s: s, limit: limit}
}

type sessionConn struct {
	s     *xmpp.Session
	limit int

	mu      sync.Mutex
	out     []byte
	writing bool
	closed  bool
	end     error
	err     error
}

// Write implements [Conn].
func (c *sessionConn) Write(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case c.err != nil:
		return c.err
	case len(c.out)+len(p) > c.limit:
		return ErrOverflow
	}
	c.out = append(c.out, p...)
	c.start()
	return nil
}

func (c *sessionConn) start() {
	if !c.writing {
		c.writing = true
		go c.drain()
	}
}

// drain writes until nothing is left; it lives no longer.
func (c *sessionConn) drain() {
	for {
		c.mu.Lock()
		p := c.out
		c.out = nil
		if len(p) == 0 {
			c.writing = false
			closed, end := c.closed, c.end
			c.mu.Unlock()
			if closed {
				c.finish(end)
			}
			return
		}
		c.mu.Unlock()
		if err := c.raw(p); err != nil {
			c.mu.Lock()
			c.err, c.out = err, nil
			c.mu.Unlock()
		}
	}
}

// raw writes bytes between two of mellium's own elements.
func (c *sessionConn) raw(p []byte) error {
	w := c.s.TokenWriter()
	defer w.Close()
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := c.s.Conn().Write(p)
	return err
}

// Pending implements [Conn].
func (c *sessionConn) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}

// Close implements [Conn].
func (c *sessionConn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed, c.end = true, err
	c.start()
}

// finish ends the session: with the stream error there is, or properly.
func (c *sessionConn) finish(err error) {
	var se stream.Error
	if errors.As(err, &se) {
		_ = c.raw(appendStreamError(nil, se)) // what follows closes it anyway
	}
	if err == nil || errors.As(err, &se) {
		_ = c.s.Close()
	}
	_ = c.s.Conn().Close()
}

func appendStreamError(b []byte, e stream.Error) []byte {
	b = append(b, "<stream:error><"...)
	b = append(b, e.Err...)
	return append(b, " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"...)
}

// Handle adapts an [IQFunc] to mellium's mux, for those who have one already and
// want a single handler of an extension in it: it answers requests with a Stanza
// made of the tokens, without turns and sessions.
func Handle(f func(ctx context.Context, s *Stanza) (xmlstream.Marshaler, error)) func(stanza.IQ, xmlstream.TokenReadEncoder, *xml.StartElement) error {
	return func(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		wrapped := iq.Wrap(xmlstream.MultiReader(xmlstream.Token(*start), xmlstream.Inner(t), xmlstream.Token(start.End())))
		tok, err := wrapped.Token()
		if err != nil {
			return err
		}
		head, ok := tok.(xml.StartElement)
		if !ok {
			return errElement
		}
		s, err := FromTokens(head, wrapped)
		if err != nil {
			return err
		}
		payload, err := f(context.Background(), s)
		var reply *Stanza
		if err == nil {
			reply, err = resultOf(s, payload)
		}
		if err != nil {
			reply = ErrorReply(s, err)
		}
		if reply == nil {
			return nil
		}
		reply.to = s.from
		_, err = xmlstream.Copy(t, reply.TokenReader())
		return err
	}
}
