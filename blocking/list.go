package blocking

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/mux"
)

// list is the blocklist of an account in use. It is touched in the account's turns
// only.
type list struct {
	loaded bool
	items  map[string]mux.Address // by their text; nil if there are none
	bytes  int                    // of all texts
	places int                    // items with a resource and without a localpart
}

func (l *list) add(a mux.Address) {
	text := a.String()
	if _, ok := l.items[text]; ok {
		return
	}
	if l.items == nil {
		l.items = make(map[string]mux.Address)
	}
	l.items[text] = a
	l.bytes += len(text)
	if isPlace(a) {
		l.places++
	}
}

func (l *list) remove(a mux.Address) {
	text := a.String()
	if _, ok := l.items[text]; !ok {
		return
	}
	delete(l.items, text)
	l.bytes -= len(text)
	if isPlace(a) {
		l.places--
	}
}

// isPlace reports whether an item is of the form domain/resource.
func isPlace(a mux.Address) bool { return a.Local() == "" && !a.IsBare() }

func (l *list) has(a mux.Address) bool {
	_, ok := l.items[a.String()]
	return ok
}

func (l *list) clone() list {
	c := *l
	c.items = maps.Clone(l.items)
	return c
}

// sorted are the items in the order of their texts.
func (l *list) sorted() []mux.Address {
	return slices.SortedFunc(maps.Values(l.items), func(a, b mux.Address) int { return strings.Compare(a.String(), b.String()) })
}

// matches reports whether an address is blocked: by an item that is the address
// itself, or one that covers it (XEP-0191 §5). It allocates nothing unless the
// resource is long.
func (l *list) matches(a mux.Address) bool {
	return len(l.items) > 0 && !a.IsZero() && (l.has(a) || l.covered(a))
}

// covered reports whether an item that is less specific than an address blocks it:
// its bare form, its domain with its resource, or its domain, in this order.
func (l *list) covered(a mux.Address) bool {
	if len(l.items) == 0 {
		return false
	}
	domain, resource := a.Domain(), a.Resource()
	if resource != "" {
		if l.has(a.Bare()) {
			return true
		}
		if a.Local() != "" && l.places > 0 {
			var b [256]byte
			text := append(append(append(b[:0], domain...), '/'), resource...)
			if _, ok := l.items[string(text)]; ok {
				return true
			}
		}
	}
	if a.Local() == "" && resource == "" {
		return false // is a domain
	}
	_, ok := l.items[domain]
	return ok
}

// exempt reports whether an address is never blocked for an account: its own, also
// with a resource, its server's, or none at all (XEP-0191 §4, core-im BL-3).
func exempt(account, a mux.Address) bool {
	return a.IsZero() || a.Domain() == account.Domain() && (a.Local() == "" || a.Local() == account.Local())
}

// Cached reports whether the list of e's account is there already, so that Blocked
// does not wait. It may be asked by [mux.BlocksIf].
func (x *Extension) Cached(e *mux.Event) bool {
	l := x.lists.Peek(e)
	return l != nil && l.loaded
}

// Blocked reports whether the account of the turn has blocked a contact, given by a
// bare or full address; its own addresses and its server's never are. Unless Cached
// it waits for the store, whose error it returns; the answer is true then.
func (x *Extension) Blocked(ctx context.Context, e *mux.Event, contact mux.Address) (bool, error) {
	if exempt(e.Account, contact) {
		return false, nil
	}
	l, err := x.load(ctx, e)
	if err != nil {
		return true, err
	}
	return l.matches(contact), nil
}

// load is the list of the turn's account, read from the store if it is not there.
func (x *Extension) load(ctx context.Context, e *mux.Event) (*list, error) {
	l := x.lists.Of(e)
	if l.loaded {
		return l, nil
	}
	items, err := x.store.Load(ctx, e.Account)
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "blocklist cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
		return nil, err
	}
	*l = list{loaded: true}
	for _, a := range items {
		l.add(a)
	}
	return l, nil
}

// stateLost has the list read again before it is needed (core-im GS-2b).
func (x *Extension) stateLost(_ context.Context, e *mux.Event, _ mux.StateLost) error {
	if len(e.Sessions()) > 0 {
		e.Mux().Go(e.Account, func(ctx context.Context, e *mux.Event) {
			_, _ = x.load(ctx, e) // logged; who needs the list tries again
		})
	}
	return nil
}

// accountRemoved removes the list of an account.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	e.Work.Write(x.store.RemoveAccount(e.Account))
	*x.lists.Of(e) = list{loaded: true}
	return nil
}
