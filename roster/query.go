package roster

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// get answers with the roster, or with what has changed of the one that the
// client has (RFC 6121 §2.1.3, §2.6).
func (x *Extension) get(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	c, err := x.load(ctx, e)
	if err != nil {
		return nil, err
	}
	if s := e.Session; s != nil && !x.interested.Of(s).Swap(true) {
		e.Work.Save(s)
	}
	text, versioned := knownVersion(e.Stanza.Children()[0])
	if versioned {
		if known, ok := parseVersion(text, c.epoch); ok && known <= c.ver && c.ver-known <= maxRemoved {
			x.catchUp(e, c, known)
			return nil, nil
		}
		text = version(c.epoch, c.ver)
	}
	b := appendQuery(make([]byte, 0, 64+128*c.listed), text)
	for i := range c.items {
		if c.items[i].Listed {
			b = appendItem(b, &c.items[i])
		}
	}
	return mux.RawChild(queryName, string(append(b, queryEnd...))), nil
}

// catchUp pushes what has changed since a version to the session that asked, in
// order, after the answer and before anything else changes (core-im RV-1). It is
// complete for up to maxRemoved versions: each removal is one, so as many
// tombstones as that are there.
func (x *Extension) catchUp(e *mux.Event, c *contacts, known uint64) {
	if e.Session == nil || known == c.ver {
		return
	}
	changed := c.changes(known)
	epoch := c.epoch
	e.Then(func(_ context.Context, e *mux.Event) {
		for i := range changed {
			e.Deliver(mux.Item{Stanza: pushOf(&changed[i], epoch), Flags: mux.Service}, e.Session)
		}
	})
}

// changes are the items changed since a version, removed ones not Listed, in the
// order of their changes.
func (c *contacts) changes(since uint64) (changed []Item) {
	for _, i := range c.items {
		if i.Ver > since {
			changed = append(changed, i)
		}
	}
	for _, t := range c.removed {
		if t.Ver > since {
			changed = append(changed, Item{JID: t.JID, Ver: t.Ver})
		}
	}
	slices.SortFunc(changed, func(a, b Item) int { return cmp.Compare(a.Ver, b.Ver) })
	return changed
}

// set adds, updates or removes a contact (RFC 6121 §2.3 to §2.5). The push goes
// before the answer: a client that has the answer knows the roster as it is now.
func (x *Extension) set(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	c, err := x.load(ctx, e)
	if err != nil {
		return nil, err
	}
	q, err := parseSet(e.Stanza.Children()[0].TokenReader(), &x.opt)
	if err != nil {
		return nil, err
	}
	was, _ := c.find(q.jid)
	switch {
	case q.jid == e.Account:
		return nil, errNotAllowed
	case q.remove && !was.Listed:
		return nil, errNotFound
	case q.remove:
		gone := Item{JID: q.jid}
		x.save(e, c, &gone)
		x.push(e, &gone, c.epoch)
		x.leave(ctx, e, &was)
		return nil, nil
	}
	now := was
	now.Name, now.Groups, now.Listed = q.name, q.groups, true
	if x.full(c, &now) {
		return nil, errNotAcceptable
	}
	if !x.save(e, c, &now) {
		// Every set is pushed (RFC 6121 §2.1.6), and each push has a version of its
		// own.
		c.ver++
		now.Ver = c.ver
		c.put(now)
		e.Work.Write(x.store.Put(e.Account, now))
	}
	x.push(e, &now, c.epoch)
	return nil, nil
}

// leave ends the subscriptions with a contact that was removed (RFC 6121 §2.5.2).
func (x *Extension) leave(ctx context.Context, e *mux.Event, was *Item) {
	s := was.state()
	x.changed(ctx, e, was.JID, s, stateN)
	if s.to() || s&asked != 0 {
		x.send(ctx, e, was.JID, unsubscribe)
	}
	if s.from() || s&asking != 0 {
		x.send(ctx, e, was.JID, unsubscribed)
	}
}

// push tells all interested sessions of an item (RFC 6121 §2.1.6), those without
// presence and those whose peer is away included.
func (x *Extension) push(e *mux.Event, i *Item, epoch string) {
	to := x.interestedSessions(e)
	if len(to) == 0 {
		return
	}
	e.Deliver(mux.Item{Stanza: pushOf(i, epoch), Flags: mux.Service}, to...)
}

func (x *Extension) interestedSessions(e *mux.Event) (list []*mux.Session) {
	for _, s := range e.Sessions() {
		if x.interested.Of(s).Load() {
			list = append(list, s)
		}
	}
	return list
}

// pushOf is a push, for any number of sessions. It has no from, and what clients
// answer is nobody's (core-im RO-9).
func pushOf(i *Item, epoch string) *mux.Stanza {
	b := appendQuery(make([]byte, 0, 192), version(epoch, i.Ver))
	b = append(appendItem(b, i), queryEnd...)
	return mux.Make(mux.Head{Kind: mux.IQ, Type: "set", ID: rand.Text()}, mux.RawChild(queryName, string(b)))
}
