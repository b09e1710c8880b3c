package pep

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Senders says whose events a watcher accepts. What comes from a resource is nobody's:
// people in a chat room have such addresses (pep C-10).
type Senders uint8

// Whose events.
const (
	// FromOwn is the own account, and nobody else. It is for all that is private: whoever
	// accepts such an event from others lets them forge it (XEP-0223 §6).
	FromOwn Senders = iota
	// FromContacts are the own account, and those in the roster whose presence it gets.
	FromContacts
	// FromSubscribed are those, and those at whose nodes this client has subscribed with
	// [Client.Subscribe].
	FromSubscribed
)

// Watch says what to do with the events of a node.
type Watch struct {
	// Node alone decides, whatever is in an event.
	Node string
	// From says whose events are accepted; others are dropped and counted.
	From Senders
	// Payload is the element that items have, the zero value for any; MaxPayload is how
	// large it may be, in octets, 0 or less for 256 KiB.
	Payload    xml.Name
	MaxPayload int
	// Silent leaves NODE+notify out of the capabilities: events are not asked for, but
	// may come by a subscription.
	Silent bool
	// Fetch has [Client.Begin] read the own node, as is due for those whose last items
	// are not sent.
	Fetch bool
	// Handle is called for each event, of one node of one account in order and one at a
	// time, not where the session is being read: it may wait, and call the Client, but
	// for Begin and Close. ctx ends with [Client.Close]. A panic ends the program, as
	// everywhere.
	Handle func(ctx context.Context, e Event)
	// Wrong is called in place of Handle for an item whose payload is not as it should
	// be, with an error that is [ErrPayload]; nil drops those.
	Wrong func(ctx context.Context, e Event, err error)
}

var errNoHandler = errors.New("pep: a watch needs a node and a handler")

// Watch has the events of a node handled, until stop is called; with it the node is among
// [Client.Features]. A node may be watched more than once.
func (c *Client) Watch(w Watch) (stop func(), err error) {
	if w.Node == "" || w.Handle == nil {
		return nil, errNoHandler
	}
	if w.MaxPayload <= 0 {
		w.MaxPayload = 256 << 10
	}
	return c.intake.watch(&watcher{Watch: w}), nil
}

// Begin reads the own nodes that are watched with Fetch and has their items handled, with
// [NodeRead] at the end of each, or [NodeUnread]. It is to be called in each new session, once
// presence was sent, and not after one was resumed (pep C-15). It goes on when a node cannot
// be read, and joins the errors; it may be called again then. Handlers must not call it: it
// waits for them where there is no room.
func (c *Client) Begin(ctx context.Context) error {
	var errs []error
	for _, w := range c.intake.toFetch() {
		if err := c.fetch(ctx, w); err != nil {
			errs = append(errs, fmt.Errorf("pep: reading %s: %w", w.Node, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Client) fetch(ctx context.Context, w *watcher) (err error) {
	own := mux.AddressOf(c.own())
	e := Event{From: own.JID(), Own: true, Node: w.Node, Fetched: true}
	r, end := c.intake.reading(w)
	defer end()
	defer func() {
		if err != nil {
			e.Item, e.Kind = Published{}, NodeUnread
			c.intake.unread(w, own, e)
		}
	}()
	for p, err := range c.Items(ctx, jid.JID{}, w.Node, Query{Missing: true}) {
		if err != nil {
			return err
		}
		e.Item = p
		if err := c.intake.fetched(ctx, r, own, e); err != nil {
			return err
		}
	}
	e.Item, e.Kind = Published{}, NodeRead
	return c.intake.fetched(ctx, r, own, e)
}

// Features are what the client's answers to disco#info must have for events to come:
// NODE+notify for each watched node, in order (XEP-0060 §9.2; XEP-0163 §4.1). They are what
// anybody who asks is to be told, also the own account and contacts by their bare addresses.
// [Client.Handle] and [Client.Register] see to that; capabilities are for whoever sends
// presence, see ClientOptions.Changed.
func (c *Client) Features() []string { return c.intake.features() }

// ForFeatures lets mellium's mux announce the features.
func (c *Client) ForFeatures(node string, f func(info.Feature) error) error {
	if node != "" && !strings.Contains(node, "#") { // NODE#VER asks for the same (XEP-0115 §6.2)
		return nil
	}
	for _, v := range c.Features() {
		if err := f(info.Feature{Var: v}); err != nil {
			return err
		}
	}
	return nil
}

// Stats counts what came and was not handled.
type Stats struct {
	// Malformed events cannot be read. Resource are those that came from a full
	// address, Foreign from somebody whose events are not accepted, Unwatched of nodes
	// that nobody watches; Wrong had other payloads, and for Overflow there was no room.
	Malformed, Resource, Foreign, Unwatched, Wrong, Overflow uint64
}

// Stats are the counters.
func (c *Client) Stats() Stats { return c.intake.counted() }

var _ mux.Extension = (*Client)(nil)

// Name implements [mux.Extension].
func (*Client) Name() string { return "pep" }

// Register implements [mux.Extension]: events are kept away from the extensions behind it.
func (c *Client) Register(r *mux.Registry) error {
	r.Guard(mux.FromPeer, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		// ClientSession has set the sender where there was none.
		if c.intake.take(e.Stanza, e.Stanza.From()) {
			return mux.Done, nil
		}
		return mux.Pass, nil
	})
	for _, s := range []mux.Scope{mux.AtSelf, mux.AtHost} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			q.Feature(c.Features()...)
			return nil
		})
	}
	return nil
}

// Handle registers the client in mellium's mux: for events and for the features.
func (c *Client) Handle() xmppmux.Option {
	return func(m *xmppmux.ServeMux) {
		for _, t := range []stanza.MessageType{stanza.NormalMessage, stanza.HeadlineMessage, stanza.ChatMessage, stanza.GroupChatMessage} {
			xmppmux.MessageFunc(t, eventName, c.HandleMessage)(m) // it would announce the features each time
		}
		xmppmux.Feature(c)(m)
	}
}

// HandleMessage lets mellium's mux give it events. What cannot be read is counted and
// dropped.
func (c *Client) HandleMessage(_ stanza.Message, t xmlstream.TokenReadEncoder) error {
	tok, err := t.Token()
	if err != nil {
		return err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return ErrAnswer
	}
	if !c.intake.first(start.Attr) {
		return nil
	}
	s, err := mux.FromTokens(start, t)
	if err != nil {
		c.intake.malformed()
		return nil
	}
	from := s.From()
	// A session of mellium empties the attribute if it is the own bare address.
	named := slices.ContainsFunc(start.Attr, func(a xml.Attr) bool {
		return a.Name.Space == "" && a.Name.Local == "from" && a.Value != ""
	})
	if from.IsZero() && !named {
		from = mux.AddressOf(c.own())
	}
	c.intake.take(s, from)
	return nil
}
