package caps

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"slices"

	"mellium.im/xmlstream"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
	"github.com/propolis-im/propolis/mux"
)

// Sender sends stanzas, as a session of mellium does.
type Sender interface {
	Send(ctx context.Context, r xml.TokenReader) error
}

// ClientOptions refine a [Client].
type ClientOptions struct {
	// Node names the software, a URI (XEP-0115 §4).
	Node string
	// Info is what is always so. The features of this package need not be in it. What it
	// refers to must not be changed afterwards.
	Info Info
	// Features are more of them, as they are now, such as those of package pep's Client;
	// nil for none. It must not wait.
	Features func() []string
}

// Client announces what a program can do, all by itself: every available presence that is
// sent through it has the hashes of that, what others ask about them is answered, and
// [Client.Update] sends the last presence again. Make one with [NewClient]. It may be used
// by several goroutines.
type Client struct {
	opt      ClientOptions
	announce Announcer
	turn     chan struct{} // held by who sends; guards what follows
	s        Sender
	last     []xml.Token // the last presence to all, nil if it was not available
	said     mux.Raw     // what that announced
}

// NewClient returns a client for a session. It must be in mellium's mux, see
// [Client.Handle].
func NewClient(s Sender, o ClientOptions) *Client {
	return &Client{opt: o, announce: Announcer{Node: o.Node}, turn: make(chan struct{}, 1), s: s}
}

// Use goes on with another session, to which no presence was sent yet. It waits for what
// is being sent in the one before.
func (c *Client) Use(s Sender) {
	c.turn <- struct{}{}
	c.s, c.last, c.said = s, nil, ""
	<-c.turn
}

// Send sends the first element of r as the session would. An available presence, to all or
// to somebody, gets the hashes in place of any that are in it (XEP-0115 §6.1, XEP-0390
// §6.1). An error may also say that the program's info cannot be announced.
func (c *Client) Send(ctx context.Context, r xml.TokenReader) error {
	el, err := element(r)
	if err != nil {
		return err
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	return c.send(ctx, el)
}

// Update sends the last presence to all again if it announced something else than what is
// so now, and none if that was not available. It is for whoever knows that features
// may have changed, such as package pep's ClientOptions.Changed. Those who were sent
// presence of their own get the news with the next of it.
func (c *Client) Update(ctx context.Context) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	if c.last == nil {
		return nil
	}
	now, err := c.set()
	if err != nil || now == c.said {
		return err
	}
	return c.send(ctx, c.last)
}

func (c *Client) lock(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) unlock() { <-c.turn }

// info is what is so now.
func (c *Client) info() *Info {
	i := c.opt.Info
	i.Features = append(slices.Clone(i.Features), NSInfo, NS115, NS)
	if c.opt.Features != nil {
		i.Features = append(i.Features, c.opt.Features()...)
	}
	slices.Sort(i.Features)
	i.Features = slices.Compact(i.Features) // twice would be malformed (XEP-0115 §5.4)
	return &i
}

// set makes that what is announced.
func (c *Client) set() (mux.Raw, error) {
	if _, err := c.announce.Set(c.info()); err != nil {
		return "", err
	}
	return c.announce.Presence(), nil
}

// send sends an element, in the turn of its sender.
func (c *Client) send(ctx context.Context, el []xml.Token) error {
	ctx, done := asking.Context(ctx)
	defer done()
	start := el[0].(xml.StartElement)
	if start.Name.Local != "presence" {
		return c.s.Send(ctx, reader(el))
	}
	typ, to := attr(start, "type"), attr(start, "to")
	switch {
	case typ == "unavailable" && to == "":
		c.last = nil
		return c.s.Send(ctx, reader(el))
	case typ != "":
		return c.s.Send(ctx, reader(el))
	}
	said, err := c.set()
	if err != nil {
		return err
	}
	with, err := announcing(el, said)
	if err != nil {
		return err
	}
	if err := c.s.Send(ctx, reader(with)); err != nil {
		return err
	}
	if to == "" {
		c.last, c.said = el, said
	}
	return nil
}

// Handle registers the client in mellium's mux, which must not have another who answers
// disco#info.
func (c *Client) Handle() xmppmux.Option {
	return xmppmux.IQFunc(stanza.GetIQ, infoName, mux.Handle(func(_ context.Context, s *mux.Stanza) (xmlstream.Marshaler, error) {
		q, _ := s.Child(infoName)
		node := q.Attr("node")
		if node == "" {
			return mux.Raw(AppendInfo(nil, "", c.info())), nil
		}
		if answer, ok := c.announce.Answer(node); ok {
			return answer, nil
		}
		return nil, stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound} // XEP-0030 §7
	}))
}

func attr(start xml.StartElement, local string) string {
	for _, a := range start.Attr {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}

var errNoElement = errors.New("caps: no element to be sent")

// element reads the first element.
func element(r xml.TokenReader) (el []xml.Token, err error) {
	for depth := 0; ; {
		tok, err := r.Token()
		switch t := tok.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		default:
			if len(el) == 0 && t != nil {
				return nil, errNoElement
			}
		}
		if tok != nil {
			el = append(el, xml.CopyToken(tok))
		}
		switch {
		case len(el) > 0 && depth <= 0:
			if _, ok := el[0].(xml.StartElement); !ok {
				return nil, errNoElement
			}
			return el, nil
		case err == io.EOF:
			return nil, errNoElement
		case err != nil:
			return nil, err
		}
	}
}

func reader(el []xml.Token) xml.TokenReader {
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		if len(el) == 0 {
			return nil, io.EOF
		}
		tok := xml.CopyToken(el[0])
		el = el[1:]
		return tok, nil
	})
}

// announcing is a presence with these announcements in place of any that it has.
func announcing(el []xml.Token, said mux.Raw) ([]xml.Token, error) {
	out := make([]xml.Token, 0, len(el)+16)
	depth, skip := 0, false
	for _, tok := range el[:len(el)-1] {
		switch t := tok.(type) {
		case xml.StartElement:
			if depth++; depth == 2 {
				skip = t.Name == xml.Name{Space: NS115, Local: "c"} || t.Name == xml.Name{Space: NS, Local: "c"}
			}
			if !skip {
				out = append(out, tok)
			}
		case xml.EndElement:
			if !skip {
				out = append(out, tok)
			}
			if depth--; depth == 1 {
				skip = false
			}
		default:
			if !skip {
				out = append(out, tok)
			}
		}
	}
	for r := said.TokenReader(); ; {
		tok, err := r.Token()
		if tok != nil {
			out = append(out, xml.CopyToken(tok))
		}
		if err == io.EOF {
			return append(out, el[len(el)-1]), nil
		}
		if err != nil {
			return nil, err
		}
	}
}
