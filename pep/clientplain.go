package pep

import (
	"context"
	"encoding/xml"
	"errors"
	"hash/maphash"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// What a client does for helpers of other packages, which name what they need as an
// interface: there are no types of this one in it. First with private nodes of the own
// account.

// KeepsPrivate reports whether the server keeps what is private, see [ErrNotPrivate].
func (c *Client) KeepsPrivate(ctx context.Context) (bool, error) {
	s, err := c.Discover(ctx)
	return s.PEP && s.PublishOptions, err
}

// Announces reports whether a feature is announced, see [Client.Discover].
func (c *Client) Announces(ctx context.Context, feature string) (bool, error) {
	s, err := c.Discover(ctx)
	return s.Has(feature), err
}

// EachOwn calls yield for each item of an own node, or for the one with an ID that is not
// empty, until it returns false. What is not there is no error.
func (c *Client) EachOwn(ctx context.Context, node, id string, yield func(id string, payload mux.Raw) bool) error {
	q := Query{Missing: true}
	if id != "" {
		q.IDs = []string{id}
	}
	for p, err := range c.Items(ctx, jid.JID{}, node, q) {
		if err != nil {
			return err
		}
		if !yield(p.ID, p.Payload) {
			return nil
		}
	}
	return nil
}

// PutOwn publishes at an own node that nobody else may read and that keeps all of its
// items; one that is there and differs is changed, see [RepairNode].
func (c *Client) PutOwn(ctx context.Context, node, id string, payload mux.Raw) error {
	o := Private()
	o.Repair = RepairNode
	_, err := c.Publish(ctx, node, id, payload, o)
	return err
}

// DropOwn takes an item of an own node back, and has others told. One that is not there
// is no error.
func (c *Client) DropOwn(ctx context.Context, node, id string) error {
	err := c.Retract(ctx, node, id)
	var refused *Error
	if errors.As(err, &refused) && refused.Stanza.Condition == stanza.ItemNotFound {
		return nil
	}
	return err
}

// WatchOwn is [Client.Watch] for an own node that [Client.Begin] reads. What has happened is
// named as [EventKind] names it, or fetched for an item that was published earlier. An item
// that comes without its payload is read.
func (c *Client) WatchOwn(node string, payload xml.Name, handle func(ctx context.Context, what, id string, payload mux.Raw)) (stop func(), err error) {
	return c.Watch(Watch{Node: node, From: FromOwn, Payload: payload, Fetch: true, Handle: func(ctx context.Context, e Event) {
		what := e.Kind.String()
		if e.Kind == ItemPublished {
			if e.Fetched {
				what = "fetched"
			}
			p, err := c.Fetch(ctx, e)
			if err != nil {
				c.intake.wrong()
				return
			}
			e.Item = p
		}
		handle(ctx, what, e.Item.ID, e.Item.Payload)
	}})
}

// And with nodes that others may read, which have one value.

// PutAs publishes at an own node that has the access model, or comes to be with it, such as
// [AccessOpen]; empty for whatever it has. [ErrPreconditionNotMet] says that it has another.
func (c *Client) PutAs(ctx context.Context, node, id string, payload xmlstream.Marshaler, access string) error {
	var o *NodeOptions
	if access != "" {
		o = &NodeOptions{Access: access}
	}
	_, err := c.Publish(ctx, node, id, payload, o)
	return err
}

// ItemOf is the payload of an item of an account, of the newest if id is empty; empty if
// there is none.
func (c *Client) ItemOf(ctx context.Context, of jid.JID, node, id string) (mux.Raw, error) {
	q := Query{Newest: 1}
	if id != "" {
		q = Query{IDs: []string{id}}
	}
	p, err := c.one(ctx, of, node, q)
	if errors.Is(err, ErrNoItem) || isRefused(err, stanza.Error{Condition: stanza.ItemNotFound}) {
		return "", nil
	}
	return p.Payload, err
}

// WatchContacts is [Client.Watch] for a node of contacts and of the own account: handle is
// told what is there when that is another payload than before, empty if there is none any
// more, see [Client.Current]. What cannot be read is left out.
func (c *Client) WatchContacts(node string, payload xml.Name, handle func(ctx context.Context, of jid.JID, payload mux.Raw)) (stop func(), err error) {
	last := lastTold{m: make(map[mux.Address]uint64)}
	return c.Watch(Watch{Node: node, From: FromContacts, Payload: payload, Handle: func(ctx context.Context, e Event) {
		switch e.Kind {
		case ItemPublished, ItemRetracted, NodePurged, NodeDeleted, Missed:
		default:
			return
		}
		p, err := c.Current(ctx, e)
		if err == nil && p.Payload != "" && p.Name() != payload {
			err = ErrPayload
		}
		switch {
		case err != nil:
			c.intake.wrong()
		case last.news(mux.AddressOf(e.From), p.Payload):
			handle(ctx, e.From, p.Payload)
		}
	}})
}

// lastTold knows what was told of accounts.
type lastTold struct {
	mu sync.Mutex // guards m
	m  map[mux.Address]uint64
}

func (l *lastTold) news(of mux.Address, payload mux.Raw) bool {
	h := maphash.String(seed, string(payload))
	l.mu.Lock()
	defer l.mu.Unlock()
	was, had := l.m[of]
	l.m[of] = h
	return !had || was != h
}
