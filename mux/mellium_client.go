package mux

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"
)

// ClientSession runs extensions in a client, a bot or a gateway on an
// [*xmpp.Session]: it is its handler and the host of a mux with the one account
// that the session is logged in as.
//
//	c, err := mux.NewClientSession(ctx, session, nil, exts...)
//	…
//	defer c.Close(nil)
//	err = session.Serve(c)
//
// Stanzas that no extension answers are answered by mellium's rules, if need be
// with service-unavailable. What is sent while a handler runs may be sent by any
// goroutine and is written without waiting for the handler. A request, though,
// keeps the session from reading on until it is answered, so a handler that calls
// [Event.Later] must not wait for anything else the server says. More than
// Options.MaxQueue octets that wait to be written end the session.
type ClientSession struct {
	m     *Mux
	st    *Stream
	s     *xmpp.Session
	self  Address
	conn  *sessionConn
	ended chan struct{} // closed by Close

	mu     sync.Mutex
	inside bool     // HandleXMPP runs, and tells the stream of its end
	req    *request // what it handles, if that is a request
	closed bool
	end    error                // what Close was called with
	late   map[request]struct{} // mellium has answered them
}

var (
	_ xmpp.Handler = (*ClientSession)(nil)
	_ Host         = (*ClientSession)(nil)
	_ Conn         = (*ClientSession)(nil)
)

// request is one that HandleXMPP must answer through mellium's encoder.
type request struct {
	id   string
	from Address
	*answer
}

// answer is what HandleXMPP is to write.
type answer struct {
	done   chan struct{} // closed when there is one
	xml    []byte
	behind []byte // was sent after it
}

// NewClientSession makes the mux for a session that is ready to be served. The
// mux ends with Close, also when the session has ended. If an extension does not
// start the session is closed.
func NewClientSession(ctx context.Context, s *xmpp.Session, o *Options, exts ...Extension) (*ClientSession, error) {
	c := &ClientSession{s: s, self: AddressOf(s.LocalAddr()), ended: make(chan struct{}), late: make(map[request]struct{})}
	if c.self.IsBare() {
		return nil, ErrNoSession
	}
	m, err := New(c, o, exts...)
	if err != nil {
		return nil, err
	}
	m.upstream = true
	c.m, c.conn = m, newSessionConn(s, m.opt.MaxQueue)
	c.conn.linger = true
	c.st = m.NewStream(c, Upstream)
	c.conn.low = c.st.Drained
	if err = m.Start(ctx); err == nil {
		_, err = c.st.Attach(ctx, c.self)
	}
	if err != nil {
		return nil, errors.Join(err, m.Shutdown(ctx))
	}
	return c, nil
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
	var req *request
	if s.kind == IQ && (s.typ == "get" || s.typ == "set") {
		req = &request{s.id, s.from, &answer{done: make(chan struct{})}}
	}
	if !c.enter(req) {
		if req == nil {
			return nil // until the server has closed its stream
		}
		c.conn.wait()
		return io.EOF
	}
	err = c.st.Receive(context.Background(), s)
	c.st.Flush()
	if req != nil && err == nil {
		err = c.answer(t, req)
	}
	goesOn, end := c.leave(req)
	ended := errors.Is(err, ErrClosed)
	switch {
	case goesOn && ended:
		return io.EOF
	case goesOn:
		return err
	}
	c.st.Gone(proper(end))
	c.conn.Close(end)
	switch {
	case err == nil:
		return nil // mellium has an answer to write
	case ended || errors.As(err, new(stream.Error)):
		c.conn.wait() // else mellium would write an end of its own
	}
	if ended || errors.Is(err, xmpp.ErrOutputStreamClosed) {
		return io.EOF
	}
	return err
}

// enter begins the handling of an element, unless the session has ended.
func (c *ClientSession) enter(req *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inside, c.req = !c.closed, req
	return c.inside
}

// leave ends it, and reports whether the session goes on or what it ended with.
func (c *ClientSession) leave(req *request) (goesOn bool, end error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req != nil && len(req.behind) > 0 {
		_ = c.conn.Write(req.behind) // it has ended, or what comes next tells
	}
	c.inside, c.req = false, nil
	return !c.closed, c.end
}

// answer waits for the answer to a request and writes it, behind what was sent
// before it. Within twice the time that it may take the mux has answered, unless a
// handler waits for long.
func (c *ClientSession) answer(t xmlstream.TokenWriter, req *request) error {
	late := time.NewTimer(2 * c.m.opt.ReplyTimeout)
	defer late.Stop()
	select {
	case <-req.done:
	case <-c.ended:
		select {
		case <-req.done:
		default:
			return ErrClosed
		}
	case <-late.C:
		if c.giveUp(req) {
			return nil
		}
	}
	c.conn.wait()
	return encode(t, xml.NewDecoder(bytes.NewReader(req.xml)))
}

// maxLate bounds the requests whose answer is still awaited though mellium has
// answered them.
const maxLate = 1000

// giveUp leaves a request to mellium, unless it has just been answered.
func (c *ClientSession) giveUp(req *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req.xml != nil {
		return false
	}
	if len(c.late) < maxLate {
		c.late[request{id: req.id, from: req.from}] = struct{}{}
	}
	c.req = nil
	return true
}

// Close ends the mux and the session: properly (nil), with a stream error, or at
// once. What was sent before is written first, except if at once. It does not wait
// for that, and may be called anywhere; [xmpp.Session.Serve] returns when the server
// has closed its stream too, within 5 s.
func (c *ClientSession) Close(err error) {
	if errors.Is(err, stream.SystemShutdown) {
		err = nil // of the mux, not of a server
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed, c.end = true, err
	close(c.ended)
	inside := c.inside
	c.mu.Unlock()
	c.st.Close(err)
	if inside && proper(err) {
		c.conn.hurry() // HandleXMPP closes it, behind what the handler sends
	} else {
		c.conn.Close(err)
	}
	go func() {
		if !inside {
			c.st.Gone(proper(err))
		}
		ctx, cancel := context.WithTimeout(context.Background(), c.m.opt.ReplyTimeout)
		defer cancel()
		_ = c.m.Shutdown(ctx) // or somebody else does
	}()
}
