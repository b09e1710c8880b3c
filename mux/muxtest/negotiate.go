package muxtest

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// negotiate hands an element of a stream that has no session to the feature that
// owns it. It knows no more of negotiation than extensions' tests need.
func (c *Client) negotiate(el *mux.Stanza) error {
	if step := c.going; step != nil {
		c.going = nil
		return c.step(el, step)
	}
	name := el.Name()
	if el.Kind() == mux.IQ && len(el.Children()) == 1 {
		name = el.Children()[0].Name
	}
	for _, f := range c.h.Mux().Features() {
		st := c.Stream.State()
		if !slices.Contains(f.Owns, name) || st&f.Needs != f.Needs || st&f.Forbids != 0 {
			continue
		}
		return c.step(el, f.Step)
	}
	return c.refused(el, stream.NotAuthorized)
}

func (c *Client) step(el *mux.Stanza, step func(context.Context, *mux.Stream, *mux.Stanza) (mux.Outcome, error)) error {
	out, err := step(context.Background(), c.Stream, el)
	if err != nil {
		return c.refused(el, err)
	}
	return c.outcome(el, out)
}

// instead carries out what is to happen after a refusal.
func (c *Client) instead(el *mux.Stanza, o mux.Outcome, why error) error {
	return c.step(el, func(ctx context.Context, _ *mux.Stream, _ *mux.Stanza) (mux.Outcome, error) {
		return o.Instead(ctx, why)
	})
}

func (c *Client) refused(el *mux.Stanza, err error) error {
	var se stanza.Error
	if errors.As(err, &se) && el.Kind() == mux.IQ {
		return c.write(el, "error", se)
	}
	var st stream.Error
	if !errors.As(err, &st) {
		c.t.Errorf("%s: feature: %v", c.name, err)
		st = stream.InternalServerError
	}
	c.Stream.Close(st)
	return st
}

func (c *Client) outcome(el *mux.Stanza, o mux.Outcome) error {
	if o.Sets&mux.Authenticated != 0 {
		c.Stream.SetAccount(o.Account)
	}
	c.Stream.SetState(o.Sets)
	switch {
	case o.Become != nil:
		return c.become(el, o)
	case o.Bind != nil:
		return c.bindInStep(el, o)
	}
	c.going = o.Next
	if o.Reply != nil || el.Kind() == mux.IQ {
		if err := c.write(el, "result", o.Reply); err != nil {
			return err
		}
	}
	if o.Then != nil {
		o.Then()
	}
	return nil
}

// become hands the stream to a session that exists.
func (c *Client) become(el *mux.Stanza, o mux.Outcome) error {
	s, err := c.Stream.Resume(context.Background(), o.Become)
	switch {
	case err == nil:
		c.Session = s
		if o.Then != nil {
			o.Then()
		}
		return nil
	case o.Instead != nil:
		return c.instead(el, o, err)
	case o.Become.Refused == nil:
		return c.refused(el, stream.UndefinedCondition)
	}
	return c.write(nil, "", o.Become.Refused(err))
}

// bindInStep binds as Bind 2 does; stream features are not sent here.
func (c *Client) bindInStep(el *mux.Stanza, o mux.Outcome) error {
	opt := *o.Bind
	kept := opt.Kept
	opt.Kept = func(ctx context.Context, e *mux.Event) {
		if kept != nil {
			kept(ctx, e)
		}
		o.Bind.InlineReply = opt.InlineReply
		if o.Bound == nil {
			return
		}
		child, err := mux.NewChild(o.Bound(ctx, e))
		if err != nil {
			c.t.Errorf("%s: bad element: %v", c.name, err)
			return
		}
		reply, err := child.Element()
		if err != nil {
			c.t.Errorf("%s: bad element: %v", c.name, err)
			return
		}
		e.Deliver(mux.Item{Stanza: reply, Flags: mux.Service}, e.Session)
	}
	s, err := c.Stream.Bind(context.Background(), &opt)
	if err != nil {
		if o.Instead != nil {
			return c.instead(el, o, err)
		}
		return c.refused(el, stream.InternalServerError)
	}
	c.Session = s
	if o.Then != nil {
		o.Then()
	}
	return nil
}

// write writes a payload: as it is, or as that of the answer to a request.
func (c *Client) write(req *mux.Stanza, typ string, p xmlstream.Marshaler) error {
	raw := ""
	if p != nil {
		child, err := mux.NewChild(p)
		if err != nil {
			c.t.Errorf("%s: bad payload: %v", c.name, err)
			return err
		}
		raw = child.Raw()
	}
	if req != nil && req.Kind() == mux.IQ {
		var id []byte
		id = fmt.Appendf(id, "<iq type='%s' id='", typ)
		w := new(escaped)
		if err := xml.EscapeText(w, []byte(req.ID())); err != nil {
			return err
		}
		raw = string(id) + string(*w) + "'>" + raw + "</iq>"
	}
	return c.conn.Write([]byte(raw))
}

type escaped []byte

func (e *escaped) Write(p []byte) (int, error) {
	*e = append(*e, p...)
	return len(p), nil
}
