package roster

import (
	"context"
	"log/slog"

	"github.com/propolis-im/propolis/mux"
)

// Cached reports whether the roster of e's account is there already, so that no
// method has to wait for the store. It may be asked by [mux.BlocksIf].
func (x *Extension) Cached(e *mux.Event) bool {
	c := x.contacts.Peek(e)
	return c != nil && c.loaded
}

// Load reads the roster of the turn's account if it is not cached; then it waits
// for the store, whose error it returns.
func (x *Extension) Load(ctx context.Context, e *mux.Event) error {
	_, err := x.load(ctx, e)
	return err
}

// Subscription reports whether a contact, given by a bare or full address,
// receives the presence of the turn's account (from), and the account the
// contact's (to). Without a cached roster it waits for the store; if that fails
// both are false.
func (x *Extension) Subscription(ctx context.Context, e *mux.Event, contact mux.Address) (from, to bool) {
	c, err := x.load(ctx, e)
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "roster cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
		return false, false
	}
	i, _ := c.find(contact.Bare())
	s := i.state()
	return s.from(), s.to()
}

// Groups are those of a contact of the turn's account, given by its bare address, in
// the order the client gave; nil for none. The slice must not be changed. Waiting
// is that of [Extension.Subscription].
func (x *Extension) Groups(ctx context.Context, e *mux.Event, contact mux.Address) []string {
	c, err := x.load(ctx, e)
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "roster cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
		return nil
	}
	i, _ := c.find(contact)
	return i.Groups
}

// Listed reports whether a contact, given by a bare or full address, is in the roster
// of the turn's account, with or without a subscription; one that only waits for an
// answer is not. Without a cached roster it waits for the store; if that fails the
// answer is false.
func (x *Extension) Listed(ctx context.Context, e *mux.Event, contact mux.Address) bool {
	c, err := x.load(ctx, e)
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "roster cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
		return false
	}
	i, _ := c.find(contact.Bare())
	return i.Listed
}

// MaySee reports whether from, a bare or full address, receives the presence of
// the turn's account, or is of it: the usual condition for telling somebody
// about an account. It never waits: without a cached roster the answer is false.
func (x *Extension) MaySee(ctx context.Context, e *mux.Event, account, from mux.Address) bool {
	if from.Bare() == account {
		return true
	}
	if account != e.Account || !x.Cached(e) {
		return false
	}
	ok, _ := x.Subscription(ctx, e, from)
	return ok
}

// Contacts calls yield for every contact of the turn's account with a
// subscription in either direction, in the order of their addresses, until it
// returns false. yield must not change the roster. Waiting and errors are those of
// Load.
func (x *Extension) Contacts(ctx context.Context, e *mux.Event, yield func(contact mux.Address, from, to bool) bool) error {
	c, err := x.load(ctx, e)
	if err != nil {
		return err
	}
	for i := range c.items {
		if s := c.items[i].state(); s.from() || s.to() {
			if !yield(c.items[i].JID, s.from(), s.to()) {
				break
			}
		}
	}
	return nil
}

// Requests are the subscription requests that the turn's account has not
// answered, as they came. Waiting and errors are those of Load.
func (x *Extension) Requests(ctx context.Context, e *mux.Event) ([]*mux.Stanza, error) {
	c, err := x.load(ctx, e)
	if err != nil || c.requests == 0 {
		return nil, err
	}
	var list []*mux.Stanza
	for i := range c.items {
		if c.items[i].state()&asking == 0 {
			continue
		}
		s, err := mux.Parse([]byte(c.items[i].In))
		if err != nil {
			x.opt.Logger.LogAttrs(ctx, slog.LevelError, "kept request cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
			continue
		}
		list = append(list, s)
	}
	return list, nil
}
