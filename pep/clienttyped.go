package pep

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"iter"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// ErrChanged: an item is not what it was when it was read, see [Typed.PutIf].
var ErrChanged = errors.New("pep: the item has changed meanwhile")

// TypedOptions refine a Typed. The zero value of each field is its default.
type TypedOptions[T any] struct {
	// Node are the options of publications; nil for [Private].
	Node *NodeOptions
	// From says whose changes are told to watchers.
	From Senders
	// Fetch has [Client.Begin] read the node for watchers, for nodes whose last items are
	// not sent, which those of Private are not.
	Fetch bool
	// Encode makes the payload of a value, Decode reads one; nil for encoding/xml, whose
	// types say the name of the element.
	Encode func(v T) (xmlstream.Marshaler, error)
	Decode func(p Published) (T, error)
}

// Typed keeps values of one type as the items of a node. Make one with NewTyped.
type Typed[T any] struct {
	c       *Client
	node    string
	payload xml.Name
	opt     TypedOptions[T]
}

// Value is an item with what it says.
type Value[T any] struct {
	Published
	Value T
}

// Changed is an event with what its item says, the zero value where there is none.
type Changed[T any] struct {
	Event
	Value T
}

// NewTyped returns what keeps values in a node, as elements of a name. o may be nil and
// is copied.
func NewTyped[T any](c *Client, node string, payload xml.Name, o *TypedOptions[T]) *Typed[T] {
	s := &Typed[T]{c: c, node: node, payload: payload}
	if o != nil {
		s.opt = *o
	}
	if s.opt.Node == nil {
		s.opt.Node = Private()
	}
	if s.opt.Encode == nil {
		s.opt.Encode = marshal[T]
	}
	if s.opt.Decode == nil {
		s.opt.Decode = unmarshal[T]
	}
	return s
}

func marshal[T any](v T) (xmlstream.Marshaler, error) {
	raw, err := xml.Marshal(v)
	return mux.Raw(raw), err
}

func unmarshal[T any](p Published) (v T, err error) {
	err = p.Decode(&v)
	return v, err
}

// read is a value of an item. The error is [ErrPayload], with why.
func (s *Typed[T]) read(p Published) (Value[T], error) {
	v := Value[T]{Published: p}
	if p.Payload == "" || p.Name() != s.payload {
		return v, fmt.Errorf("%w: it is another", ErrPayload)
	}
	var err error
	if v.Value, err = s.opt.Decode(p); err != nil {
		return v, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	return v, nil
}

// Get reads a value of an account, the zero JID being the own one. Without it the error
// is [ErrNoItem], also if there is no such node; [ErrPayload] says that it is something
// else.
func (s *Typed[T]) Get(ctx context.Context, of jid.JID, id string) (Value[T], error) {
	return s.one(s.c.Item(ctx, of, s.node, id))
}

// Newest reads the value that was put last. Errors are those of Get.
func (s *Typed[T]) Newest(ctx context.Context, of jid.JID) (Value[T], error) {
	return s.one(s.c.Newest(ctx, of, s.node))
}

func (s *Typed[T]) one(p Published, err error) (Value[T], error) {
	if isRefused(err, stanza.Error{Condition: stanza.ItemNotFound}) {
		err = ErrNoItem
	}
	if err != nil {
		return Value[T]{}, err
	}
	return s.read(p)
}

// All reads all values of an account in the order of their publication; none if there is
// no such node. An item that is something else comes with [ErrPayload] and does not end it;
// other errors do.
func (s *Typed[T]) All(ctx context.Context, of jid.JID) iter.Seq2[Value[T], error] {
	return func(yield func(Value[T], error) bool) {
		for p, err := range s.c.Items(ctx, of, s.node, Query{Missing: true}) {
			v := Value[T]{}
			if err == nil {
				v, err = s.read(p)
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// Put publishes a value, see [Client.Publish].
func (s *Typed[T]) Put(ctx context.Context, id string, v T) (string, error) {
	payload, err := s.opt.Encode(v)
	if err != nil {
		return "", err
	}
	return s.c.Publish(ctx, s.node, id, payload, s.opt.Node)
}

// PutIf is Put if the item is still what it was when it was read; the zero Published
// stands for one that is not there. Else the error is [ErrChanged]. Services have no way to
// compare and set: this looks before it writes, so whoever writes in between is overwritten
// all the same.
func (s *Typed[T]) PutIf(ctx context.Context, id string, v T, was Published) error {
	now, err := s.one(s.c.Item(ctx, jid.JID{}, s.node, id))
	if err != nil && !errors.Is(err, ErrNoItem) && !errors.Is(err, ErrPayload) {
		return err
	}
	if now.Payload != was.Payload {
		return ErrChanged
	}
	_, err = s.Put(ctx, id, v)
	return err
}

// Update reads a value, has it changed, and publishes it. f is told whether there is one;
// its error ends the update. Nothing is written if the value could not be read, so that
// nothing is lost that others have written before; what they write meanwhile is, see PutIf.
func (s *Typed[T]) Update(ctx context.Context, id string, f func(v T, exists bool) (T, error)) error {
	now, err := s.Get(ctx, jid.JID{}, id)
	if err != nil && !errors.Is(err, ErrNoItem) {
		return err
	}
	v, err := f(now.Value, err == nil)
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, id, v)
	return err
}

// Delete retracts a value, of which others are told. One that is not there is no error.
func (s *Typed[T]) Delete(ctx context.Context, id string) error {
	err := s.c.Retract(ctx, s.node, id)
	if isRefused(err, stanza.Error{Condition: stanza.ItemNotFound}) {
		return nil
	}
	return err
}

// Watch has changes handled until stop is called, see [Watch]. Items that are something
// else are left out, and counted. One whose event has no payload is read.
func (s *Typed[T]) Watch(handle func(ctx context.Context, c Changed[T])) (stop func(), err error) {
	return s.c.Watch(Watch{Node: s.node, From: s.opt.From, Payload: s.payload, Fetch: s.opt.Fetch, Handle: func(ctx context.Context, e Event) {
		c := Changed[T]{Event: e}
		if e.Kind == ItemPublished {
			p, err := s.c.Fetch(ctx, e)
			if err == nil {
				var v Value[T]
				v, err = s.read(p)
				c.Item, c.Value = p, v.Value
			}
			if err != nil {
				s.c.intake.wrong()
				return
			}
		}
		handle(ctx, c)
	}})
}
