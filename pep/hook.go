package pep

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// ChangeFunc is told of a change of the items of a node of e's account, in its turn,
// when events have been sent and before anything is written: what was published, with
// its id and payload, which items are gone by that or were taken back, or that all are.
// The id is empty if nothing was published. It may write to the Work, send and publish,
// which is told in its turn before it goes on, but not wait, nor keep e or gone.
type ChangeFunc = func(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw, gone []string, all bool)

// OnChange has f told of each change of items, after Options.Changed and in the order
// of the calls of OnChange, all of which come before the mux is made.
func (x *Extension) OnChange(f ChangeFunc) { x.hooks = append(x.hooks, f) }

// changes tells whoever wants to know.
func (x *Extension) changes(ctx context.Context, e *mux.Event, node string, published *Item, gone []string, all bool) {
	x.opt.Changed(ctx, e, node, published, gone, all)
	var id string
	var payload mux.Raw
	if published != nil {
		id, payload = published.ID, mux.Raw(published.Payload)
	}
	for _, f := range x.hooks {
		f(ctx, e, node, id, payload, gone, all)
	}
}
