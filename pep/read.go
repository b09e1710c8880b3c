package pep

import (
	"context"
	"errors"

	"github.com/propolis-im/propolis/mux"
)

// errUnwritten: an item is in no store yet.
var errUnwritten = errors.New("pep: not written yet")

// Readable reports whether somebody may read a node of e's account, for server code
// that shows what is in it in other ways. It is false for nodes that are not there. It
// may wait unless Cached says otherwise.
func (x *Extension) Readable(ctx context.Context, e *mux.Event, node string, who mux.Address) bool {
	a, err := x.load(ctx, e)
	if err != nil || a.nodes[node] == nil || x.blocked(ctx, e, who) {
		return false
	}
	return x.access(ctx, e, a.nodes[node], who) == nil
}

// Last is the newest item of a node of e's account; id is empty if there is none. It may
// wait for the store. An error says that it cannot be told: that the store cannot be
// read, or that the item is being written, and will be there when e's Work is durable.
func (x *Extension) Last(ctx context.Context, e *mux.Event, node string) (id, payload string, err error) {
	a, err := x.load(ctx, e)
	if err != nil {
		return "", "", err
	}
	n := a.nodes[node]
	if n == nil {
		return "", "", nil
	}
	i, err := x.newest(ctx, e, n)
	switch {
	case err != nil:
		return "", "", err
	case i != nil:
		return i.ID, i.Payload, nil
	case n.items != nil && len(n.visible(now())) > 0:
		return "", "", errUnwritten
	}
	return "", "", nil
}

// Find looks for an item of a node of e's account, the newest if id is empty, and may
// wait for the store for that unless the node is [Extension.Ready]; read is nil if it is
// not there. read gives the payload, waits for the store, and may be
// called anywhere when what the turn has written is durable. Before that, what was
// published just now may be an error, as in [Extension.Last].
func (x *Extension) Find(ctx context.Context, e *mux.Event, node, id string) (read func(context.Context) (payload string, err error), err error) {
	a, err := x.load(ctx, e)
	if err != nil {
		return nil, err
	}
	n := a.nodes[node]
	if n == nil || !n.Config.keeps() {
		return nil, nil
	}
	index, err := x.items(ctx, e, n)
	if err != nil {
		return nil, err
	}
	entry := index.byID[id]
	if id == "" && len(index.list) > 0 {
		entry = index.list[len(index.list)-1]
	}
	if entry == nil || n.Config.expired(entry.At, now()) {
		return nil, nil
	}
	account, id, seq := e.Account, entry.ID, entry.Seq
	return func(ctx context.Context) (string, error) {
		l, err := x.store.Items(ctx, account, node, []string{id})
		switch {
		case err != nil:
			return "", err
		case len(l) == 0 || l[0].Seq < seq:
			return "", errUnwritten
		}
		return l[0].Payload, nil
	}, nil
}
