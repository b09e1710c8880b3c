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
	name := el.Name()
	if el.Kind() == mux.IQ && len(el.Children()) == 1 {
		name = el.Children()[0].Name
	}
	for _, f := range c.h.Mux().Features() {
		st := c.Stream.State()
		if !slices.Contains(f.Owns, name) || st&f.Needs != f.Needs || st&f.Forbids != 0 {
			continue
		}
		out, err := f.Step(context.Background(), c.Stream, el)
		if err != nil {
			return c.refused(el, err)
		}
		return c.outcome(el, out)
	}
	return c.refused(el, stream.NotAuthorized)
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
	if o.Reply != nil || el.Kind() == mux.IQ {
		if err := c.write(el, "result", o.Reply); err != nil {
			return err
		}
	}
	if o.Then != nil {
		o.Then()
	}
	if o.Become == nil {
		return nil
	}
	s, err := c.Stream.Resume(context.Background(), o.Become)
	if err != nil {
		if o.Become.Refused == nil {
			return c.refused(el, stream.UndefinedCondition)
		}
		return c.write(nil, "", o.Become.Refused(err))
	}
	c.Session = s
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
