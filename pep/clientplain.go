package pep

import (
	"context"
	"encoding/xml"
	"errors"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// What a client does with private nodes of the own account, for helpers of other packages,
// which name what they need as an interface: there are no types of this one in it.

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
