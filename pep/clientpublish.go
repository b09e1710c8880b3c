package pep

import (
	"context"
	"errors"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
)

// Publish publishes an item to a node of the own account and returns its ID, which the
// server makes up if none is given. The payload is one element; nil for none, where a node
// has none. The options are conditions, nil for none: [ErrPreconditionNotMet] says that
// the node is configured in another way, unless they say that it is to be repaired.
//
// Options that make a node private are sent only to a server that minds them; else the
// error is [ErrNotPrivate].
//
// After an error that does not say that it was refused the item may be there. With an ID
// it can be published again without harm, which replaces it; without one there would be two.
func (c *Client) Publish(ctx context.Context, node, id string, payload xmlstream.Marshaler, o *NodeOptions) (string, error) {
	b := element(append(wrapper(NS), element(nil, "publish", "node", node)...), "item", "id", id)
	b, err := appendPayload(b, payload)
	if err != nil {
		return "", err
	}
	b = append(b, "</item></publish>"...)
	if o == nil {
		return c.publish(ctx, id, b)
	}
	fields := o.fields()
	if fields.private() {
		s, err := c.Discover(ctx)
		if err != nil {
			return "", err
		}
		if !s.PublishOptions {
			return "", ErrNotPrivate // XEP-0223 §7
		}
	}
	b = append(fields.appendForm(append(b, "<publish-options>"...), "publish-options"), "</publish-options>"...)
	made, err := c.publish(ctx, id, b)
	if o.Repair == NoRepair || !errors.Is(err, ErrPreconditionNotMet) {
		return made, err
	}
	if repairErr := c.repair(ctx, node, fields, o.Repair == RepairOpening); repairErr != nil {
		return "", errors.Join(err, repairErr)
	}
	return c.publish(ctx, id, b) // once: somebody else may be at it
}

// publish sends a publication and returns the ID of the item.
func (c *Client) publish(ctx context.Context, id string, b []byte) (string, error) {
	a, err := c.set(ctx, jid.JID{}, append(b[:len(b):len(b)], "</pubsub>"...))
	if err != nil {
		return "", err
	}
	if a.Pubsub != nil && a.Pubsub.Publish != nil {
		if l := a.Pubsub.Publish.List; len(l) > 0 && l[0].ID != "" {
			return l[0].ID, nil
		}
	}
	return id, nil // it is said only where the server has made it (XEP-0060 §7.1.2)
}

// errOpens: a repair would show more than it may.
var errOpens = errors.New("pep: the node would be more open")

// repair gives a node those fields that differ (XEP-0060 §8.2).
func (c *Client) repair(ctx context.Context, node string, want Fields, mayOpen bool) error {
	now, err := c.GetConfig(ctx, node)
	if err != nil {
		return err
	}
	d := want.differing(now)
	switch {
	case len(d) == 0:
		return nil // somebody else has repaired it
	case !mayOpen && d.opens(now):
		return errOpens
	}
	return c.configure(ctx, node, d)
}

// Retract takes an item back, and has those told who would get its events (XEP-0060
// §7.2).
func (c *Client) Retract(ctx context.Context, node, id string) error {
	return c.retract(ctx, node, id, "true")
}

// RetractSilently is Retract where only the node's configuration says whether others are
// told.
func (c *Client) RetractSilently(ctx context.Context, node, id string) error {
	return c.retract(ctx, node, id, "")
}

func (c *Client) retract(ctx context.Context, node, id, notify string) error {
	b := append(wrapper(NS), element(nil, "retract", "node", node, "notify", notify)...)
	b = append(element(b, "item", "id", id), "</item></retract></pubsub>"...)
	_, err := c.set(ctx, jid.JID{}, b)
	return err
}

// Purge removes all items of a node (XEP-0060 §8.5).
func (c *Client) Purge(ctx context.Context, node string) error {
	return c.manage(ctx, "purge", node)
}

// DeleteNode removes a node with all that is in it (XEP-0060 §8.4).
func (c *Client) DeleteNode(ctx context.Context, node string) error {
	return c.manage(ctx, "delete", node)
}

func (c *Client) manage(ctx context.Context, action, node string) error {
	b := append(wrapper(NSOwner), element(nil, action, "node", node)...)
	_, err := c.set(ctx, jid.JID{}, fmt.Appendf(b, "</%s></pubsub>", action))
	return err
}

// Create makes a node, with a configuration if o is not nil, and returns its name, which
// the server makes up if none is given (XEP-0060 §8.1). Publishing does without.
func (c *Client) Create(ctx context.Context, node string, o *NodeOptions) (string, error) {
	b := append(element(wrapper(NS), "create", "node", node), "</create>"...)
	if o != nil {
		b = append(o.fields().appendForm(append(b, "<configure>"...), "node_config"), "</configure>"...)
	}
	a, err := c.set(ctx, jid.JID{}, append(b, "</pubsub>"...))
	if err != nil {
		return "", err
	}
	if node == "" && a.Pubsub != nil && a.Pubsub.Create != nil {
		node = a.Pubsub.Create.Node
	}
	if node == "" {
		return "", ErrAnswer
	}
	return node, nil
}

// GetConfig reads the configuration of a node of the own account (XEP-0060 §8.2).
func (c *Client) GetConfig(ctx context.Context, node string) (Fields, error) {
	b := append(element(wrapper(NSOwner), "configure", "node", node), "</configure></pubsub>"...)
	a, err := c.get(ctx, jid.JID{}, b)
	if err != nil {
		return nil, err
	}
	if a.Owner == nil || a.Owner.Configure == nil || a.Owner.Configure.Form == nil {
		return nil, ErrAnswer
	}
	return a.Owner.Configure.Form.fields(), nil
}

// SetConfig changes what the options say and nothing else (XEP-0060 §8.2.4).
func (c *Client) SetConfig(ctx context.Context, node string, o *NodeOptions) error {
	return c.configure(ctx, node, o.fields())
}

func (c *Client) configure(ctx context.Context, node string, f Fields) error {
	b := f.appendForm(element(wrapper(NSOwner), "configure", "node", node), "node_config")
	_, err := c.set(ctx, jid.JID{}, append(b, "</configure></pubsub>"...))
	return err
}
