package bookmarks

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// account is what is remembered of an account in use.
type account struct {
	fresh map[string]*fresh // items that were published and may not be durable
	most  int               // when they are looked through next
	due   bool              // a turn will tell of changes
}

// fresh is the payload of an item; nil when it is durable, since it can be read then.
type fresh struct{ payload atomic.Pointer[mux.Raw] }

// Fields of nodes.
var (
	// config is that of a node that has nothing yet (XEP-0402 §3.3).
	config = map[string][]string{"access_model": {"whitelist"}, "publish_model": {"publishers"}, "persist_items": {"1"},
		"max_items": {"max"}, "send_last_published_item": {"never"}}
	// ownOnly is what it must have before anything of an old list is published there
	// (XEP-0411 §5), and so that none of it pushes another out; the rest is as its clients
	// have it.
	ownOnly = map[string][]string{"access_model": {"whitelist"}, "publish_model": {"publishers"}, "persist_items": {"1"}, "max_items": {"max"}}
	// whitelist is what the old node has, and what is demanded of either.
	whitelist = map[string][]string{"access_model": {"whitelist"}}
)

// Changed notes that items of a node have changed, as whoever keeps them tells. It does
// not wait.
func (x *Extension) Changed(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw, _ []string, _ bool) {
	if node != NS {
		return
	}
	a := x.accounts.Of(e)
	if id != "" {
		a.note(e, id, payload)
	}
	x.changed(ctx, e)
}

// note remembers an item until it is durable.
func (a *account) note(e *mux.Event, id string, payload mux.Raw) {
	if len(a.fresh) >= a.most {
		for id, f := range a.fresh {
			if f.payload.Load() == nil {
				delete(a.fresh, id)
			}
		}
		a.most = 2*len(a.fresh) + 8
	}
	if a.fresh == nil {
		a.fresh = make(map[string]*fresh)
	}
	f := new(fresh)
	f.payload.Store(&payload)
	a.fresh[id] = f
	e.Work.After(func(err error) {
		if err == nil { // else the kernel forgets all of this
			f.payload.Store(nil)
		}
	})
}

// pending are the items that are not durable yet.
func (a *account) pending() map[string]mux.Raw {
	m := make(map[string]mux.Raw)
	for id, f := range a.fresh {
		if p := f.payload.Load(); p != nil {
			m[id] = *p
		}
	}
	return m
}

// changed has the new old list told to whoever wants it, once for all that happens in
// this turn. The list is put together in a turn that may wait.
func (x *Extension) changed(ctx context.Context, e *mux.Event) {
	a := x.accounts.Of(e)
	if a.due {
		return
	}
	if err := x.nodes.Ensure(ctx, e, NSLegacy, whitelist); err != nil {
		x.failed(ctx, e, "the old node cannot be made", err)
		return
	}
	if !x.nodes.Listens(e, NSLegacy) {
		return
	}
	a.due = true
	e.Mux().Go(e.Account, func(ctx context.Context, e *mux.Event) {
		x.accounts.Of(e).due = false
		e.Work.Write(func(context.Context, mux.Tx) error { return nil }) // what was written before is durable first
		if err := x.nodes.Tell(ctx, e, NSLegacy); err != nil && !errors.Is(err, errTooMany) {
			x.failed(ctx, e, "the old list cannot be told of", err)
		}
	})
}

// items are the bookmarks of the account, and when the last was published. Items that
// are none are left out.
func (x *Extension) items(ctx context.Context, e *mux.Event) (l []Bookmark, at time.Time, err error) {
	// What is moved when the nodes are read is among what is not durable.
	if _, err := x.nodes.Exists(ctx, e, NS); err != nil {
		return nil, at, err
	}
	// First: what is durable from here on is found in the store.
	fresh := x.accounts.Of(e).pending()
	err = x.nodes.EachItem(ctx, e, NS, x.opt.MaxBytes, func(id string, published time.Time, payload mux.Raw) {
		if published.After(at) {
			at = published
		}
		if payload == "" {
			payload = fresh[id]
		}
		if b, err := Parse(id, payload); err == nil {
			l = append(l, b)
		}
	})
	return l, at, err
}

// old is the rest of old lists that is in private XML: web pages and the like, and rooms
// that could not be moved.
func (x *Extension) old(ctx context.Context, e *mux.Event) (raw mux.Raw, l List, err error) {
	raw, err = x.private.Load(ctx, e, Name)
	if err != nil || raw == "" {
		return "", List{}, err
	}
	if l, err = ParseList(raw); err != nil { // there from before; whatever it is, it stays
		return raw, List{}, nil
	}
	return raw, l, nil
}

// list is the old list.
func (x *Extension) list(ctx context.Context, e *mux.Event) (l List, at time.Time, something bool, err error) {
	have, at, err := x.items(ctx, e)
	if err != nil {
		return List{}, at, false, err
	}
	raw, old, err := x.old(ctx, e)
	if err != nil {
		return List{}, at, false, err
	}
	l = List{Rooms: unique(have), Rest: old.Rest}
	l.Rooms = append(l.Rooms, missing(have, old.Rooms)...)
	return l, at, len(have) > 0 || raw != "", nil
}

// missing are those of l whose rooms are not in have.
func missing(have, l []Bookmark) []Bookmark {
	there := make(map[string]bool, len(have))
	for i := range have {
		there[have[i].key()] = true
	}
	return slices.DeleteFunc(slices.Clone(l), func(b Bookmark) bool { return there[b.key()] })
}

// Private is the old list for a client that asks for private XML; empty if there is
// nothing in it.
func (x *Extension) Private(ctx context.Context, e *mux.Event) (mux.Raw, error) {
	l, _, something, err := x.list(ctx, e)
	if err != nil {
		return "", err
	}
	if x.saw(e, &l); !something {
		return "", nil
	}
	return l.Compose(), nil
}

// SetPrivate takes an old list that a client has written as private XML.
func (x *Extension) SetPrivate(ctx context.Context, e *mux.Event, list mux.Child) error {
	return x.set(ctx, e, mux.Raw(list.Raw()), x.baseOf(e))
}

// Node is the old list for a client that reads the old node.
func (x *Extension) Node(ctx context.Context, e *mux.Event) (payload mux.Raw, at time.Time, err error) {
	l, at, _, err := x.list(ctx, e)
	if err != nil {
		return "", at, err
	}
	return l.Compose(), at, nil
}

// SetNode takes an old list that a client has published at the old node.
func (x *Extension) SetNode(ctx context.Context, e *mux.Event, list mux.Raw) error {
	return x.set(ctx, e, list, nil)
}

// set takes an old list (XEP-0402 §5.3.2) of which its writer has seen what base says, nil
// for all.
func (x *Extension) set(ctx context.Context, e *mux.Event, raw mux.Raw, base *base) error {
	l, err := ParseList(raw)
	if err != nil {
		return errBadList
	}
	if len(l.Rooms) > x.opt.MaxRooms {
		return errTooMany
	}
	have, _, err := x.items(ctx, e)
	if err != nil {
		return err
	}
	was, old, err := x.old(ctx, e)
	if err != nil {
		return err
	}
	alone, err := x.alone(ctx, e, len(have) > 0)
	if err != nil {
		return err
	}
	if !alone { // XEP-0411 §5: or not doing the conversion
		return x.keep(ctx, e, was, &l)
	}
	asWritten := l
	x.rebase(base, slices.Concat(have, missing(have, old.Rooms)), &l)
	c := Diff(have, old.Rest, &l)
	if err := x.nodes.Fits(ctx, e, NS, payloads(c.Put), whitelist); err != nil {
		return err // before anything is done: all of a list or nothing
	}
	if err := x.keep(ctx, e, was, &List{Rest: c.Rest}); err != nil {
		return err
	}
	for i := range c.Put {
		if err := x.publish(ctx, e, &c.Put[i]); err != nil {
			// Before anything is taken back. Rooms that could not be moved stay where they are.
			if was != "" {
				x.refused(ctx, e, x.private.Put(ctx, e, mux.RawChild(Name, string(was))))
			}
			return err
		}
	}
	for _, id := range c.Remove {
		if err := x.nodes.Retract(ctx, e, NS, id); err != nil {
			return err
		}
	}
	if base != nil {
		x.saw(e, &asWritten)
	}
	return nil
}

// alone makes the node the account's alone, or reports that it cannot.
func (x *Extension) alone(ctx context.Context, e *mux.Event, something bool) (bool, error) {
	fields := config
	if something {
		fields = ownOnly
	}
	if err := x.nodes.Ensure(ctx, e, NS, fields); err != nil {
		x.failed(ctx, e, "bookmarks cannot be made private and are not converted", err)
		return false, nil
	}
	return x.nodes.Alone(ctx, e, NS)
}

func (x *Extension) publish(ctx context.Context, e *mux.Event, b *Bookmark) error {
	return x.nodes.PublishItem(ctx, e, NS, b.Room, b.Payload(), whitelist, true)
}

// payloads are bookmarks as items.
func payloads(l []Bookmark) iter.Seq2[string, mux.Raw] {
	return func(yield func(string, mux.Raw) bool) {
		for i := range l {
			if !yield(l[i].Room, l[i].Payload()) {
				return
			}
		}
	}
}

// keep keeps the rest of an old list if it is another one than was.
func (x *Extension) keep(ctx context.Context, e *mux.Event, was mux.Raw, l *List) error {
	now := l.Compose()
	if was == "" {
		if len(l.Rooms)+len(l.Rest) == 0 {
			return nil
		}
	} else if canonical(mux.RawChild(Name, string(was))) == canonical(mux.RawChild(Name, string(now))) {
		return nil
	}
	if err := x.private.Put(ctx, e, mux.RawChild(Name, string(now))); err != nil {
		return err
	}
	x.changed(ctx, e)
	return nil
}
