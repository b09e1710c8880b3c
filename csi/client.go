package csi

import (
	"context"
	"encoding/xml"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/internal/asking"
)

// Supported reports whether a server has offered Client State Indication among the
// features of its stream (XEP-0352 §4.1). The argument is an [*xmpp.Session].
func Supported(features interface{ Feature(ns string) (any, bool) }) bool {
	_, ok := features.Feature(NS)
	return ok
}

// Active tells the server that the client is active, and Inactive that it is not. There
// is no answer, and after Active a burst of what was held is to be expected. If the
// server does not support it nothing is sent and told is false. The session must be
// bound. Errors are those of the connection. A [Client] does the same and remembers it.
func Active(ctx context.Context, s *xmpp.Session) (told bool, err error) { return tell(ctx, s, false) }

// Inactive is the opposite of [Active].
func Inactive(ctx context.Context, s *xmpp.Session) (told bool, err error) {
	return tell(ctx, s, true)
}

func tell(ctx context.Context, s *xmpp.Session, inactive bool) (told bool, err error) {
	if !Supported(s) {
		return false, nil
	}
	return true, send(ctx, s, inactive)
}

func send(ctx context.Context, s *xmpp.Session, inactive bool) error {
	ctx, done := asking.Context(ctx)
	defer done()
	return s.Send(ctx, Initial(inactive).TokenReader())
}

// Initial is the element that has a session begin inactive or active, inside Bind 2's
// bind (XEP-0386 §3.2), where the server offers that.
func Initial(inactive bool) xmlstream.Marshaler { return element(inactive) }

type element bool

// TokenReader implements [xmlstream.Marshaler].
func (inactive element) TokenReader() xml.TokenReader {
	name := activeName
	if inactive {
		name = inactiveName
	}
	return xmlstream.Wrap(nil, xml.StartElement{Name: name})
}

// Client remembers whether a client is active, over all the streams it has one after
// another, and tells the server: only when that changes, and at the beginning of a
// stream, which is always active at first (XEP-0352 §5.2). The zero value is an active
// client without a stream. Its methods may be called concurrently; they return when the
// element is written.
type Client struct {
	mu        sync.Mutex // also while it is told, so that the server hears it in order
	inactive  bool
	supported bool
	session   *xmpp.Session
	heard     bool // what the server of the session believes: inactive
}

// Started is to be called when a new session is bound. From then on the server is told
// of changes, and at once if the client is inactive, unless the session was bound so
// ([Initial]; see Bound).
func (c *Client) Started(ctx context.Context, s *xmpp.Session) (told bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.supported, c.heard = s, Supported(s), false
	return c.tell(ctx)
}

// Bound is Started for a session that was bound with [Initial] of what the client was.
func (c *Client) Bound(ctx context.Context, s *xmpp.Session, initial bool) (told bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.supported, c.heard = s, true, initial
	return c.tell(ctx)
}

// Resumed is Started for a session that goes on on another stream. That may come
// without features (XEP-0388 §2.6); then those of the stream before are believed.
func (c *Client) Resumed(ctx context.Context, s *xmpp.Session) (told bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.supported, c.heard = s, c.supported || Supported(s), false
	return c.tell(ctx)
}

// Lost is to be called when the stream is gone. What the client is meanwhile is told at
// the beginning of the next.
func (c *Client) Lost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = nil
}

// Active notes that the client is active. Told is false if there is no stream, if the
// server does not support it, and if it knows; none of these is an error. Errors are
// those of the connection: the next stream will be told.
func (c *Client) Active(ctx context.Context) (told bool, err error) { return c.set(ctx, false) }

// Inactive notes that the client is inactive, as Active does.
func (c *Client) Inactive(ctx context.Context) (told bool, err error) { return c.set(ctx, true) }

func (c *Client) set(ctx context.Context, inactive bool) (told bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inactive = inactive
	return c.tell(ctx)
}

// IsInactive reports what was noted last.
func (c *Client) IsInactive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inactive
}

// tell tells the server if it believes something else.
func (c *Client) tell(ctx context.Context) (told bool, err error) {
	if c.session == nil || !c.supported || c.heard == c.inactive {
		return false, nil
	}
	if err := send(ctx, c.session, c.inactive); err != nil {
		return false, err
	}
	c.heard = c.inactive
	return true, nil
}
