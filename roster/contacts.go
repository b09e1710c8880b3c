package roster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// maxRemoved is how many tombstones are kept, as [Roster] says.
const maxRemoved = 500

// contacts is the roster of an account in use. It is touched in the account's
// turns only.
type contacts struct {
	loaded  bool
	items   []Item // in the order of their addresses
	removed []Tombstone
	ver     uint64
	epoch   string
	listed  int // how many items clients see
	// Requests that wait for an answer.
	requests     int
	requestBytes int
}

func compareItem(i Item, a mux.Address) int { return strings.Compare(i.JID.String(), a.String()) }

// find is the item of a contact; without one an empty item, and ok is false.
func (c *contacts) find(contact mux.Address) (i Item, ok bool) {
	at, ok := slices.BinarySearchFunc(c.items, contact, compareItem)
	if !ok {
		return Item{JID: contact}, false
	}
	return c.items[at], true
}

func (c *contacts) count(i *Item, n int) {
	if i.Listed {
		c.listed += n
	}
	if i.In != "" {
		c.requests += n
		c.requestBytes += n * len(i.In)
	}
}

// put keeps an item in place of what was there.
func (c *contacts) put(i Item) {
	c.forget(i.JID)
	at, ok := slices.BinarySearchFunc(c.items, i.JID, compareItem)
	if ok {
		c.count(&c.items[at], -1)
		c.items[at] = i
	} else {
		c.items = slices.Insert(c.items, at, i)
	}
	c.count(&i, 1)
}

// drop removes an item, and with a version leaves a tombstone.
func (c *contacts) drop(contact mux.Address, ver uint64) {
	if at, ok := slices.BinarySearchFunc(c.items, contact, compareItem); ok {
		c.count(&c.items[at], -1)
		c.items = slices.Delete(c.items, at, at+1)
	}
	if ver == 0 {
		return
	}
	c.forget(contact)
	at, _ := slices.BinarySearchFunc(c.removed, ver, func(t Tombstone, v uint64) int { return cmp.Compare(t.Ver, v) })
	c.removed = slices.Insert(c.removed, at, Tombstone{contact, ver})
	c.removed = c.removed[max(0, len(c.removed)-maxRemoved):]
}

// forget drops a tombstone and returns its version, 0 if there was none.
func (c *contacts) forget(contact mux.Address) (ver uint64) {
	c.removed = slices.DeleteFunc(c.removed, func(t Tombstone) bool {
		if t.JID == contact {
			ver = t.Ver
		}
		return t.JID == contact
	})
	return ver
}

// tombstone is the version of a contact's removal, 0 if there is none.
func (c *contacts) tombstone(contact mux.Address) uint64 {
	for _, t := range c.removed {
		if t.JID == contact {
			return t.Ver
		}
	}
	return 0
}

// same reports whether clients see no difference.
func (i *Item) same(o *Item) bool {
	if !i.Listed || !o.Listed {
		return i.Listed == o.Listed
	}
	return i.Name == o.Name && i.Subscription == o.Subscription && i.Ask == o.Ask && i.Approved == o.Approved && slices.Equal(i.Groups, o.Groups)
}

// load is the roster of the turn's account, read from the store if it is not
// there; see the package comment on waiting.
func (x *Extension) load(ctx context.Context, e *mux.Event) (*contacts, error) {
	c := x.contacts.Of(e)
	if c.loaded {
		return c, nil
	}
	r, err := x.store.Load(ctx, e.Account)
	if err != nil {
		return nil, fmt.Errorf("roster: loading: %w", err)
	}
	*c = contacts{loaded: true, items: r.Items, removed: r.Removed, ver: r.Ver, epoch: r.Epoch}
	slices.SortFunc(c.items, func(a, b Item) int { return compareItem(a, b.JID) })
	for i := range c.items {
		c.count(&c.items[i], 1)
	}
	return c, nil
}

// save keeps an item, in memory and with the Work, and reports whether clients
// see a change; then it has a new version. An item that says nothing any more
// goes.
//
// What clients do not see keeps the version at which they saw it go, so that one
// with an older roster is still told (see changes): the tombstone is replaced by
// the item.
func (x *Extension) save(e *mux.Event, c *contacts, i *Item) (changed bool) {
	was, had := c.find(i.JID)
	if changed = !was.same(i); changed {
		c.ver++
		i.Ver = c.ver
	}
	switch {
	case i.Listed:
	case i.In == "":
		if had {
			c.drop(i.JID, i.Ver)
			e.Work.Write(x.store.Delete(e.Account, i.JID, i.Ver))
		}
		return changed
	case !had:
		i.Ver = c.tombstone(i.JID)
	}
	if had && !changed && was.In == i.In && was.Asked.Equal(i.Asked) {
		return false
	}
	c.put(*i)
	e.Work.Write(x.store.Put(e.Account, *i))
	return changed
}

// full reports whether an item may not be kept, since it would be one too many.
func (x *Extension) full(c *contacts, i *Item) bool {
	was, _ := c.find(i.JID)
	return i.Listed && !was.Listed && c.listed >= x.opt.MaxItems
}

// crowded reports whether a request may not be kept.
func (x *Extension) crowded(c *contacts, i *Item) bool {
	was, _ := c.find(i.JID)
	if i.In == "" || i.In == was.In {
		return false
	}
	return was.In == "" && c.requests >= x.opt.MaxRequests || c.requestBytes-len(was.In)+len(i.In) > x.opt.MaxRequestBytes
}

// stateLost has the roster read again before it is needed (core-im GS-2b).
func (x *Extension) stateLost(_ context.Context, e *mux.Event, _ mux.StateLost) error {
	if len(e.Sessions()) == 0 {
		return nil
	}
	e.Mux().Go(e.Account, func(ctx context.Context, e *mux.Event) {
		if err := x.Load(ctx, e); err != nil {
			x.opt.Logger.LogAttrs(ctx, slog.LevelError, "roster cannot be read again", slog.String("account", e.Account.String()), slog.Any("err", err))
		}
	})
	return nil
}
