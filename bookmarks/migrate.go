package bookmarks

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Loaded moves what older software has left into items, once: of the version before, of
// the old node and of private XML. It is called when the nodes of the account have been
// read, before anybody sees anything of them (XEP-0411 §4). Rooms that are there already stay
// as they are. What cannot be moved stays where it is.
func (x *Extension) Loaded(ctx context.Context, e *mux.Event) error {
	was, old, err := x.old(ctx, e)
	if err != nil {
		return err
	}
	left, nodes, err := x.left(ctx, e)
	if err != nil {
		return err
	}
	if len(nodes) == 0 && len(old.Rooms) == 0 {
		some, err := x.nodes.Exists(ctx, e, NS)
		if err == nil && (some || was != "") {
			x.refused(ctx, e, x.nodes.Ensure(ctx, e, NSLegacy, whitelist))
		}
		return err
	}
	have, _, err := x.items(ctx, e)
	if err != nil {
		x.refused(ctx, e, err)
		return nil
	}
	rooms := missing(have, append(left.Rooms, missing(left.Rooms, old.Rooms)...))
	rest, known := old.Rest, said(old.Rest)
	for _, c := range left.Rest {
		if text := canonical(c); !known[text] {
			known[text] = true
			rest = append(rest, c)
		}
	}
	x.refused(ctx, e, x.move(ctx, e, len(have) > 0, was, &List{rooms, rest}, nodes))
	return nil
}

// move publishes rooms, keeps the rest, and removes what was at old nodes. If that may not
// be published all of it is kept as private XML, where it was or should have been.
func (x *Extension) move(ctx context.Context, e *mux.Event, something bool, was mux.Raw, l *List, nodes map[string][]string) error {
	alone, err := x.alone(ctx, e, something)
	if err != nil {
		return err
	}
	rest := &List{Rest: l.Rest}
	if !alone {
		rest = l
	} else {
		for i := range l.Rooms {
			l.Rooms[i].Room = l.Rooms[i].key()
			if err := x.publish(ctx, e, &l.Rooms[i]); err != nil {
				return err
			}
		}
	}
	if err := x.keep(ctx, e, was, rest); err != nil {
		return err
	}
	for node, ids := range nodes {
		if err := x.nodes.Remove(ctx, e, node, ids); err != nil {
			return err
		}
	}
	return nil
}

// left is what is at old nodes, with the IDs of its items there. What is not understood
// is not among it.
func (x *Extension) left(ctx context.Context, e *mux.Event) (l List, nodes map[string][]string, err error) {
	nodes = make(map[string][]string)
	err = x.nodes.EachItem(ctx, e, NSOld, 0, func(id string, _ time.Time, payload mux.Raw) {
		b, err := parse(id, payload, NSOld)
		if err != nil || b.Address().IsZero() {
			return
		}
		l.Rooms = append(l.Rooms, b)
		nodes[NSOld] = append(nodes[NSOld], id)
	})
	if err != nil {
		return List{}, nil, err
	}
	l.Rooms = unique(l.Rooms)
	err = x.nodes.EachItem(ctx, e, NSLegacy, 0, func(id string, _ time.Time, payload mux.Raw) {
		o, err := ParseList(payload)
		if err != nil {
			return
		}
		nodes[NSLegacy] = append(nodes[NSLegacy], id)
		l.Rooms = append(l.Rooms, missing(l.Rooms, o.Rooms)...)
		l.Rest = append(l.Rest, o.Rest...)
	})
	return l, nodes, err
}

// refused notes that something cannot be moved, which is tried again when the account is
// used again; nobody need be kept from the rest for that.
func (x *Extension) refused(ctx context.Context, e *mux.Event, err error) {
	if err != nil {
		x.failed(ctx, e, "old bookmarks cannot be moved", err)
	}
}
