package bookmarks

import (
	"context"
	"encoding/xml"
	"errors"
	"slices"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Own is what is needed of a client of personal eventing, such as package pep's Client,
// where the methods are described.
type Own interface {
	KeepsPrivate(ctx context.Context) (bool, error)
	EachOwn(ctx context.Context, node, id string, yield func(id string, payload mux.Raw) bool) error
	PutOwn(ctx context.Context, node, id string, payload mux.Raw) error
	DropOwn(ctx context.Context, node, id string) error
	WatchOwn(node string, payload xml.Name, handle func(ctx context.Context, what, id string, payload mux.Raw)) (stop func(), err error)
}

// ClientOptions refine a Client. The zero value of each field is its default.
type ClientOptions struct {
	// GetPrivate and SetPrivate read and write private XML, as the functions Get and Set of
	// package private do with a session. They are used only where the server cannot keep
	// bookmarks as items that nobody else sees; with nil the error is [ErrUnsupported] there.
	GetPrivate func(ctx context.Context, name xml.Name, v any) error
	SetPrivate func(ctx context.Context, element xmlstream.Marshaler) error
}

// Errors of a Client beside those of [Own] and private XML.
var (
	// ErrUnsupported: the server has no place for bookmarks that is private.
	ErrUnsupported = errors.New("bookmarks: the server cannot keep them private")
	// ErrNotFound: there is no bookmark of the room.
	ErrNotFound = errors.New("bookmarks: no such bookmark")
	// ErrAddress: a room's address is malformed.
	ErrAddress = errors.New("bookmarks: malformed address")
)

// Client is the client's side: it reads and writes the bookmarks of the own account, and
// tells what others of its devices have changed. Make one with [NewClient]. All methods may
// be called concurrently, and wait for the server.
type Client struct {
	own  Own
	opt  ClientOptions
	busy chan struct{} // who has put something in may read and write again
}

// NewClient returns a client. o may be nil and is copied.
func NewClient(own Own, o *ClientOptions) *Client {
	c := &Client{own: own, busy: make(chan struct{}, 1)}
	if o != nil {
		c.opt = *o
	}
	return c
}

// List is all bookmarks. Items that are none are left out.
func (c *Client) List(ctx context.Context) ([]Bookmark, error) {
	l, err := c.read(ctx)
	return l.Rooms, err
}

// read is List with the rest of an old list.
func (c *Client) read(ctx context.Context) (List, error) {
	items, err := c.items(ctx)
	if err != nil {
		return List{}, err
	}
	if !items {
		return c.old(ctx)
	}
	var l List
	err = c.own.EachOwn(ctx, NS, "", func(id string, payload mux.Raw) bool {
		if b, err := Parse(id, payload); err == nil {
			l.Rooms = append(l.Rooms, b)
		}
		return true
	})
	return l, err
}

// items reports whether the server keeps them; else private XML does (XEP-0402 §5.3).
func (c *Client) items(ctx context.Context) (bool, error) {
	items, err := c.own.KeepsPrivate(ctx)
	if err == nil && !items && (c.opt.GetPrivate == nil || c.opt.SetPrivate == nil) {
		err = ErrUnsupported
	}
	return items, err
}

func (c *Client) old(ctx context.Context) (List, error) {
	var got collected
	if err := c.opt.GetPrivate(ctx, Name, &got); err != nil {
		return List{}, err
	}
	return ParseList(got.raw)
}

// collected is an element written out.
type collected struct{ raw mux.Raw }

// nowhere is a namespace that nothing is in, so that every other one is declared.
const nowhere = "urn:propolis:nowhere"

// UnmarshalXML implements [xml.Unmarshaler].
func (x *collected) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	raw, err := xmlwrite.AppendTokens(nil, xmlstream.Wrap(xmlstream.Inner(d), start), nowhere)
	x.raw = mux.Raw(raw)
	return err
}

// Get is the bookmark of a room. Without one the error is [ErrNotFound].
func (c *Client) Get(ctx context.Context, room string) (Bookmark, error) {
	items, err := c.items(ctx)
	if err != nil {
		return Bookmark{}, err
	}
	a, err := mux.ParseAddress(room)
	if err != nil {
		return Bookmark{}, ErrAddress
	}
	if items { // mostly it is written like this
		b, err := c.item(ctx, a.String())
		if err == nil || !errors.Is(err, ErrNotFound) {
			return b, err
		}
	}
	l, err := c.read(ctx)
	if err != nil {
		return Bookmark{}, err
	}
	if i := find(l.Rooms, a); i >= 0 {
		return l.Rooms[i], nil
	}
	return Bookmark{}, ErrNotFound
}

// item reads one item by its ID.
func (c *Client) item(ctx context.Context, id string) (b Bookmark, err error) {
	found := ErrNotFound
	err = c.own.EachOwn(ctx, NS, id, func(got string, payload mux.Raw) bool {
		if got == id {
			b, found = Parse(got, payload)
		}
		return found != nil
	})
	if err == nil {
		err = found
	}
	return b, err
}

// find is the place of the last bookmark of a room, -1 without one.
func find(l []Bookmark, room mux.Address) int {
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].Address() == room {
			return i
		}
	}
	return -1
}

// Put writes a bookmark: what there is of the room is read first, and what is unknown of
// it, or has come to it by other clients, stays. Extensions take the place of those with
// their names; for taking one away there is [Client.Update].
func (c *Client) Put(ctx context.Context, b Bookmark) error {
	return c.Update(ctx, b.Room, func(now *Bookmark, exists bool) error {
		if exists {
			*now, _ = now.with(&b)
		} else {
			*now = b
		}
		return nil
	})
}

// Update reads the bookmark of a room, or makes one, has it changed, and writes it. change is
// told whether there was one; its error ends the update. Calls run one after another; what
// other devices write between reading and writing is overwritten, since servers have no way
// to compare and set.
func (c *Client) Update(ctx context.Context, room string, change func(b *Bookmark, exists bool) error) error {
	return c.alone(ctx, func(items bool) error {
		if !items {
			return c.updateOld(ctx, room, change)
		}
		b, err := c.Get(ctx, room)
		if exists := err == nil; exists || errors.Is(err, ErrNotFound) {
			if err := prepare(&b, room, exists, change); err != nil {
				return err
			}
			return c.own.PutOwn(ctx, NS, b.Room, b.Payload())
		}
		return err
	})
}

// prepare has a bookmark changed, which keeps the name it has been stored under.
func prepare(b *Bookmark, room string, exists bool, change func(b *Bookmark, exists bool) error) error {
	if !exists {
		a, err := mux.ParseAddress(room)
		if err != nil {
			return ErrAddress
		}
		*b = Bookmark{Room: a.String()}
	}
	id := b.Room
	if err := change(b, exists); err != nil {
		return err
	}
	b.Room = id
	return nil
}

func (c *Client) updateOld(ctx context.Context, room string, change func(b *Bookmark, exists bool) error) error {
	a, err := mux.ParseAddress(room)
	if err != nil {
		return ErrAddress
	}
	l, err := c.old(ctx)
	if err != nil {
		return err
	}
	i := find(l.Rooms, a)
	exists := i >= 0
	if !exists {
		i, l.Rooms = len(l.Rooms), append(l.Rooms, Bookmark{})
	}
	if err := prepare(&l.Rooms[i], room, exists, change); err != nil {
		return err
	}
	return c.opt.SetPrivate(ctx, l.Compose())
}

// Remove takes the bookmark of a room away, and has other devices told. One that is not
// there is no error.
func (c *Client) Remove(ctx context.Context, room string) error {
	a, err := mux.ParseAddress(room)
	if err != nil {
		return ErrAddress
	}
	return c.alone(ctx, func(items bool) error {
		l, err := c.read(ctx)
		if err != nil {
			return err
		}
		if items {
			for i := range l.Rooms {
				if l.Rooms[i].Address() == a {
					err = errors.Join(err, c.own.DropOwn(ctx, NS, l.Rooms[i].Room))
				}
			}
			return err
		}
		n := len(l.Rooms)
		if l.Rooms = slices.DeleteFunc(l.Rooms, func(b Bookmark) bool { return b.Address() == a }); len(l.Rooms) == n {
			return nil
		}
		return c.opt.SetPrivate(ctx, l.Compose())
	})
}

// alone runs f when no other call reads and writes again.
func (c *Client) alone(ctx context.Context, f func(items bool) error) error {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.busy }()
	items, err := c.items(ctx)
	if err != nil {
		return err
	}
	return f(items)
}
