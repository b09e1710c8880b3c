package blocking

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"log/slog"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// get answers with the list; from then on the session gets pushes (XEP-0191 §3.2,
// §3.3).
func (x *Extension) get(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	l, err := x.load(ctx, e)
	if err != nil {
		return nil, errInternal
	}
	if s := e.Session; s != nil && !x.interested.Of(s).Swap(true) {
		e.Work.Save(s)
	}
	return element(listName, l.sorted()), nil
}

// block adds to the list (XEP-0191 §3.3), all or nothing.
func (x *Extension) block(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	items, _, err := readSet(e.Stanza.Children()[0].TokenReader())
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0:
		return nil, errBadRequest
	}
	l, err := x.load(ctx, e)
	if err != nil {
		return nil, errInternal
	}
	next := l.clone()
	var added []mux.Address
	for _, a := range items {
		if !l.has(a) {
			added = append(added, a)
			next.add(a)
		}
	}
	switch {
	case len(added) == 0: // a list that grew under other limits stays
	case len(next.items) > x.opt.MaxItems, next.bytes > x.opt.MaxBytes:
		return nil, errFull
	default:
		// Before the list changes: last words must still leave (§3.3).
		for _, a := range added {
			if !next.covered(a) {
				x.changed(ctx, e, a, true)
			}
		}
		*l = next
		e.Work.Write(x.store.Add(e.Account, added))
	}
	x.push(e, blockName, items)
	return nil, nil
}

// unblock takes from the list, or empties it (XEP-0191 §3.4, §3.5).
func (x *Extension) unblock(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	items, other, err := readSet(e.Stanza.Children()[0].TokenReader())
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0 && other:
		return nil, errBadRequest // not a reason to unblock all
	}
	l, err := x.load(ctx, e)
	if err != nil {
		return nil, errInternal
	}
	was := *l
	gone := items
	if len(items) == 0 {
		gone = l.sorted()
		*l = list{loaded: true}
	} else {
		*l = l.clone()
	}
	var removed []mux.Address
	for _, a := range gone {
		if was.has(a) {
			removed = append(removed, a)
			l.remove(a)
		}
	}
	if len(removed) > 0 {
		e.Work.Write(x.store.Remove(e.Account, removed))
	}
	for _, a := range removed {
		if !was.covered(a) {
			x.changed(ctx, e, a, false)
		}
	}
	x.push(e, unblockName, items)
	return nil, nil
}

// changed tells whoever wants to know that an address is blocked now, or no longer.
func (x *Extension) changed(ctx context.Context, e *mux.Event, a mux.Address, blocked bool) {
	if a.Bare() == e.Account {
		return // without effect
	}
	if err := mux.Emit(ctx, e, mux.BlockChanged{Contact: a, Blocked: blocked}); err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "after a change of the blocklist", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
}

// push tells all sessions that have asked for the list of a set, behind its answer
// (XEP-0191 §3.3), those whose peer is away included. What clients answer is nobody's.
func (x *Extension) push(e *mux.Event, name xml.Name, items []mux.Address) {
	e.Then(func(_ context.Context, e *mux.Event) {
		var to []*mux.Session
		for _, s := range e.Sessions() {
			if x.interested.Of(s).Load() {
				to = append(to, s)
			}
		}
		if len(to) == 0 {
			return
		}
		s := mux.Make(mux.Head{Kind: mux.IQ, Type: "set", ID: rand.Text()}, element(name, items))
		e.Deliver(mux.Item{Stanza: s, Flags: mux.Service}, to...)
	})
}
