package pep

import (
	"context"
	"encoding/xml"
	"iter"
	"slices"
	"strconv"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Published is an item as a client gets it.
type Published struct {
	ID string
	// Publisher is who has published it, if the node tells.
	Publisher jid.JID
	// Payload is one element that declares its namespaces; empty if there is none, or
	// an event leaves it out.
	Payload mux.Raw
}

// Name is that of the payload's element, zero if there is none.
func (p *Published) Name() xml.Name {
	r := p.Payload.TokenReader()
	t, err := r.Token()
	if start, ok := t.(xml.StartElement); ok && err == nil {
		return start.Name
	}
	return xml.Name{}
}

// Decode decodes the payload into v, as encoding/xml does. Without one the error is
// [ErrNoItem].
func (p *Published) Decode(v any) error {
	if p.Payload == "" {
		return ErrNoItem
	}
	return xml.NewTokenDecoder(p.Payload.TokenReader()).Decode(v)
}

// Query says which items of a node are wanted: the zero value all.
type Query struct {
	// IDs are those that are wanted.
	IDs []string
	// Newest is how many of the newest are wanted, 0 for all.
	Newest int
	// Backward goes from the newest to the oldest, page by page.
	Backward bool
	// Page is how many to ask for at a time; 0 for 50, negative for all at once.
	Page int
	// Missing says that a node that does not exist counts as an empty one.
	Missing bool
}

// Items reads items of a node of an account, the zero JID being the own one, in the order
// of their publication (XEP-0060 §6.5). Nothing is asked for that is not wanted yet where
// the server can answer in pages (XEP-0059); the session goes on being read meanwhile. An
// error ends it: [ErrAnswer] if pages never end, see ClientOptions.MaxPages. An item that is
// published again meanwhile may come twice.
func (c *Client) Items(ctx context.Context, of jid.JID, node string, q Query) iter.Seq2[Published, error] {
	return func(yield func(Published, error) bool) {
		paged, err := c.paged(ctx, of, &q)
		if err != nil {
			yield(Published{}, err)
			return
		}
		places := places{left: c.opt.MaxPages}
		for from := ""; ; {
			page, err := c.page(ctx, of, node, &q, paged, from)
			if err != nil {
				if se := (stanza.Error{Condition: stanza.ItemNotFound}); !q.Missing || from != "" || !isRefused(err, se) {
					yield(Published{}, err)
				}
				return
			}
			if q.Backward {
				slices.Reverse(page.list)
			}
			for _, p := range page.list {
				if !yield(p, nil) {
					return
				}
			}
			if page.next == "" {
				return
			}
			if !places.next(page.next) {
				yield(Published{}, ErrAnswer) // it would go on for ever
				return
			}
			from = page.next
		}
	}
}

// paged reports whether pages are to be asked for. Others' servers are not asked before:
// one that does not know pages leaves the wish out.
func (c *Client) paged(ctx context.Context, of jid.JID, q *Query) (bool, error) {
	if len(q.IDs) > 0 || q.Newest > 0 || q.Page < 0 {
		return false, nil
	}
	if !c.isOwn(of) {
		return true, nil
	}
	s, err := c.Discover(ctx)
	return s.RSM, err
}

// places are where pages begin. A server must come to an end, whatever it says.
type places struct {
	mark        string // one that was before
	steps, upTo int    // since the mark, and until the next
	left        int
}

// next reports whether it goes on: not at a place that was before, which is found after
// at most three times around, and not above the bound.
func (p *places) next(at string) bool {
	if p.left--; p.left <= 0 || p.mark == at {
		return false
	}
	if p.steps++; p.steps > p.upTo {
		p.mark, p.steps, p.upTo = at, 0, 2*p.upTo+1
	}
	return true
}

// pageOf is a page, with where the next begins.
type pageOf struct {
	list []Published
	next string
}

func (c *Client) page(ctx context.Context, of jid.JID, node string, q *Query, paged bool, from string) (p pageOf, err error) {
	newest := ""
	if q.Newest > 0 && len(q.IDs) == 0 {
		newest = strconv.Itoa(q.Newest)
	}
	b := element(wrapper(NS), "items", "node", node, "max_items", newest)
	for _, id := range q.IDs {
		b = append(element(b, "item", "id", id), "</item>"...)
	}
	b = append(b, "</items>"...)
	size := 50
	if q.Page > 0 {
		size = q.Page
	}
	if paged {
		b = appendSet(b, size, from, q.Backward)
	}
	if c.isOwn(of) {
		of = jid.JID{}
	}
	a, err := c.get(ctx, of, append(b, "</pubsub>"...))
	if err != nil {
		return p, err
	}
	switch {
	case a.Pubsub == nil, a.Pubsub.Items != nil && a.Pubsub.Items.Node != node:
		return p, ErrAnswer
	case a.Pubsub.Items == nil:
		return p, nil
	}
	for i := range a.Pubsub.Items.List {
		item := a.Pubsub.Items.List[i].read()
		if len(q.IDs) == 0 || slices.Contains(q.IDs, item.ID) {
			p.list = append(p.list, item)
		}
	}
	if paged {
		p.next = a.Pubsub.Set.next(len(a.Pubsub.Items.List), q.Backward)
	}
	return p, nil
}

// appendSet asks for a page (XEP-0059 §2).
func appendSet(b []byte, size int, from string, backward bool) []byte {
	b = append(b, "<set xmlns='"+nsRSM+"'><max>"...)
	b = append(strconv.AppendInt(b, int64(size), 10), "</max>"...)
	switch {
	case backward:
		b = append(appendText(append(b, "<before>"...), from), "</before>"...)
	case from != "":
		b = append(appendText(append(b, "<after>"...), from), "</after>"...)
	}
	return append(b, "</set>"...)
}

// next is where the next page begins, empty if there is none: without a set the server
// has given all.
func (x *setXML) next(n int, backward bool) string {
	switch {
	case x == nil || n == 0 || x.First == nil || x.Last == nil:
		return ""
	case x.First.Index != nil && x.Count != nil:
		if !backward && *x.First.Index+n >= *x.Count || backward && *x.First.Index <= 0 {
			return ""
		}
	}
	if backward {
		return x.First.Text
	}
	return *x.Last
}

// Item reads one item. Without it the error is [ErrNoItem].
func (c *Client) Item(ctx context.Context, of jid.JID, node, id string) (Published, error) {
	return c.one(ctx, of, node, Query{IDs: []string{id}})
}

// Newest reads the item that was published last. Without any the error is [ErrNoItem].
func (c *Client) Newest(ctx context.Context, of jid.JID, node string) (Published, error) {
	return c.one(ctx, of, node, Query{Newest: 1})
}

func (c *Client) one(ctx context.Context, of jid.JID, node string, q Query) (Published, error) {
	last, err := Published{}, error(ErrNoItem)
	for p, e := range c.Items(ctx, of, node, q) {
		if e != nil {
			return Published{}, e
		}
		last, err = p, nil // a server that does not count gives all, the newest last
	}
	return last, err
}
