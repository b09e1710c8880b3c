package smacks

import (
	"context"
	"encoding/xml"
	"errors"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/asking"
	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Send sends a stanza in the session there is, or keeps it for the next connection. Unlike
// Send of the mellium session it waits no longer than ctx lasts if MaxQueue stanzas are
// unacknowledged, may be called by handlers, and may fail for the lack of a connection, by
// [ClientOptions.FailDetached]. The answer to a request that is sent so is given to the
// session's handler; see UnmarshalIQ.
func (c *Client) Send(ctx context.Context, r xml.TokenReader) error {
	return c.send(ctx, r, nil)
}

// SendAcked is Send and waits until the server has acknowledged the stanza. That may be
// in the next session, if it is sent again there, and ErrDropped says that it is not. It is
// nil if the server has no stream management. When ctx ends the stanza is still on its way.
// When the client is closed or detached, or Run ends, nobody will know, and it returns
// ErrDetached; the stanza is in Pending, and may be sent again.
func (c *Client) SendAcked(ctx context.Context, r xml.TokenReader) error {
	done := make(chan error, 1)
	if err := c.send(ctx, r, done); err != nil {
		return err
	}
	defer c.awaiting()()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaiting notes that somebody waits for an acknowledgement until the function is called
// that it returns. It may be a handler, for which reading must not wait.
func (c *Client) awaiting() (done func()) {
	add := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.awaits += n
		c.change.Broadcast()
	}
	add(1)
	return func() { add(-1) }
}

// UnmarshalIQ sends a request, as Send does, and waits for its answer, over resumptions as
// well. It is otherwise UnmarshalIQ of the mellium session: v is what the payload is
// decoded to, or nil, and errors are a stanza.Error of the other side, or [ErrSessionLost].
func (c *Client) UnmarshalIQ(ctx context.Context, iq xml.TokenReader, v any) error {
	start, err := stanzaStart(iq)
	if err != nil {
		return err
	}
	id := attribute(start.Attr, "id")
	c.mu.Lock()
	k, s := c.cur, c.session
	if err := c.waitForRoom(ctx); err != nil {
		c.mu.Unlock()
		return err
	}
	k.rooms[id] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(k.rooms, id)
		delete(k.pending, id) // nobody waits any more
		c.change.Broadcast()
	}()
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.served, cancel)()
	reading, done := asking.Context(reading)
	defer done()
	err = s.UnmarshalIQ(reading, xmlstream.Wrap(xmlstream.Inner(iq), start), v)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return ErrSessionLost
	}
	return err
}

var errNotStanza = errors.New("smacks: not a stanza")

// stanzaStart is the start of a stanza, with an id (smacks SM-82).
func stanzaStart(r xml.TokenReader) (xml.StartElement, error) {
	tok, err := r.Token()
	start, ok := tok.(xml.StartElement)
	switch {
	case !ok && err != nil:
		return start, err
	case !ok:
		return start, errNotStanza
	case attribute(start.Attr, "id") != "":
		return start, nil
	}
	attrs := make([]xml.Attr, 0, len(start.Attr)+1)
	for _, a := range start.Attr {
		if a.Name != (xml.Name{Local: "id"}) {
			attrs = append(attrs, a)
		}
	}
	start.Attr = append(attrs, xml.Attr{Name: xml.Name{Local: "id"}, Value: stanzaID()})
	return start, nil
}

func attribute(attrs []xml.Attr, local string) string {
	for _, a := range attrs {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}

// send sends a stanza, and has done be told what becomes of it, if not nil.
func (c *Client) send(ctx context.Context, r xml.TokenReader, done chan<- error) error {
	start, err := stanzaStart(r)
	if err != nil {
		return err
	}
	raw, err := xmlwrite.AppendTokens(nil, xmlstream.Wrap(xmlstream.Inner(r), start), mux.NSClient)
	if err != nil {
		return err
	}
	// What can be read again is sent; nothing else gets a number (smacks SM-32).
	el, err := mux.Parse(raw)
	if err != nil {
		return err
	}
	if el.Kind() == mux.Nonza {
		return errNotStanza
	}
	c.mu.Lock()
	if err := c.waitForRoom(ctx); err != nil {
		c.mu.Unlock()
		return err
	}
	c.cur.sends(el, raw, done)
	c.mu.Unlock()
	c.consult()
	return nil
}

// waitForRoom waits until one more stanza may be sent in the session there is; the lock is
// held.
func (c *Client) waitForRoom(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.change.Broadcast()
	})
	defer stop()
	for k := c.cur; ; k.wait() {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case k == nil || c.cur == k && k.ended():
			return ErrNoSession
		case c.cur != k:
			return ErrSessionLost
		case c.opt.FailDetached && c.link == nil:
			return ErrNoConnection
		case k.room(""):
			return nil
		}
	}
}

// sends sends a stanza; the lock is held.
func (k *clientConn) sends(el *mux.Stanza, raw []byte, done chan<- error) {
	if _, kept := k.rooms[el.ID()]; kept {
		delete(k.rooms, el.ID())
		k.c.change.Broadcast() // who waits asks for what is sent now
	}
	if el.Kind() == mux.IQ && (el.Type() == "get" || el.Type() == "set") {
		k.pending[el.ID()] = el.To().String()
	}
	k.c.submit(Pending{ID: el.ID(), Kind: el.Name().Local, Type: el.Type(), Raw: raw, Since: time.Now(), done: done})
}

// submit sends a stanza, now or when there is a connection; the lock is held.
func (c *Client) submit(p Pending) {
	open := c.link != nil && !c.cur.leaving // nothing comes behind the end of our stream
	if !c.on {
		if open {
			c.link.write(p.Raw)
		}
		p.resolve(nil) // nobody will say
		return
	}
	if open {
		p.Attempts++
		c.link.write(p.Raw)
	}
	c.state.Unacked = append(c.state.Unacked, p)
	if c.since++; c.since == 1 {
		c.first = p.Since
	}
}
