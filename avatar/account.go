package avatar

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

// account is what is known of an account's avatar while that is in use. It is touched in
// the account's turns only.
type account struct {
	meta *meta // nil if it is not known
	// seen are images of the data node that were looked at, the latest last.
	seen []blob
	// card is what the card says as it is kept; nil if that is not known.
	card *photo
	// photo is what presence says, if ready.
	photo photo
	ready bool
}

// meta is what the metadata node says.
type meta struct {
	there bool   // anything
	off   bool   // that there is no avatar
	id    string // of the image in the data node, empty for none
	typ   string
}

// blob is an item of the data node.
type blob struct {
	id   string
	hash string // empty if it is none that could be shown
}

// maxSeen bounds the images that are remembered: the one in use and those that may be
// soon.
const maxSeen = 4

func (a *account) saw(id, hash string) {
	a.lost(id)
	if len(a.seen) >= maxSeen {
		a.seen = append(a.seen[:0], a.seen[1:]...)
	}
	a.seen = append(a.seen, blob{id, hash})
}

// lost forgets images that are gone.
func (a *account) lost(ids ...string) {
	kept := a.seen[:0]
	for _, i := range a.seen {
		gone := false
		for _, id := range ids {
			gone = gone || i.id == id
		}
		if !gone {
			kept = append(kept, i)
		}
	}
	clear(a.seen[len(kept):])
	a.seen = kept
}

// metaOf reads the payload of the metadata node's newest item.
func metaOf(id, payload string) *meta {
	if id == "" {
		return new(meta)
	}
	m := &meta{there: true}
	md, err := parseMetadata(payload)
	if err != nil {
		return m
	}
	m.off = md.Off()
	if i, ok := md.Stored(); ok {
		if m.typ = mediaType(i.Type, nil); m.typ != "" || i.Type == "" {
			m.id = i.ID
		}
	}
	return m
}

// Waits reports whether Keep or Show would have to wait for a store. It may be asked by
// [mux.BlocksIf].
func (x *Extension) Waits(e *mux.Event) bool {
	return !x.ready(e) || !x.opt.Nodes.Ready(e, NSData) || !x.opt.Nodes.Ready(e, NSMetadata)
}

// ready reports whether it is known what presence says.
func (x *Extension) ready(e *mux.Event) bool {
	a := x.accounts.Peek(e)
	return a != nil && a.ready
}

// metadata is what the metadata node says; it may wait.
func (x *Extension) metadata(ctx context.Context, e *mux.Event) (*meta, error) {
	a := x.accounts.Of(e)
	if a.meta == nil {
		id, payload, err := x.opt.Nodes.Last(ctx, e, NSMetadata)
		if err != nil {
			return nil, err
		}
		a.meta = metaOf(id, payload)
	}
	return a.meta, nil
}

// load finds out what presence says, unless it is known; it may wait.
func (x *Extension) load(ctx context.Context, e *mux.Event) error {
	a := x.accounts.Of(e)
	if a.ready {
		return nil
	}
	m, err := x.metadata(ctx, e)
	if err != nil {
		return err
	}
	switch {
	case m.id != "":
		err = x.look(ctx, e, a, m.id)
	case !m.there && a.card == nil:
		err = x.lookAtCard(ctx, e, a)
	}
	if err == nil {
		a.conclude()
	}
	return err
}

// look reads an item of the data node, unless it was seen.
func (x *Extension) look(ctx context.Context, e *mux.Event, a *account, id string) error {
	for _, i := range a.seen {
		if i.id == id {
			return nil
		}
	}
	read, err := x.opt.Nodes.Find(ctx, e, NSData, id)
	if err != nil {
		return err
	}
	if read == nil {
		a.saw(id, "")
		return nil
	}
	payload, err := read(ctx)
	if err == nil {
		a.sawItem(id, payload)
	}
	return err
}

func (a *account) sawItem(id, payload string) {
	_, hash, ok := matches(id, payload)
	if !ok {
		hash = ""
	}
	a.saw(id, hash)
}

func (x *Extension) lookAtCard(ctx context.Context, e *mux.Event, a *account) error {
	card, err := x.opt.Card(ctx, e)
	if err == nil {
		a.card = cardSays(card)
	}
	return err
}

// conclude decides what presence says, if that is known without waiting.
func (a *account) conclude() {
	a.ready = false
	if a.meta == nil {
		return
	}
	switch {
	case a.meta.off:
		a.photo, a.ready = photo{known: true}, true
	case a.meta.id != "":
		for _, i := range a.seen {
			if i.id == a.meta.id {
				a.photo, a.ready = photo{i.hash != "", i.hash}, true
			}
		}
	case a.meta.there:
		a.photo, a.ready = photo{}, true // something that cannot be converted
	case a.card != nil:
		a.photo, a.ready = *a.card, true
	}
}

// Changed is told of a change of the items of a node of e's account, as package pep's
// ChangeFunc says.
func (x *Extension) Changed(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw, gone []string, all bool) {
	if node != NSData && node != NSMetadata {
		return
	}
	a := x.accounts.Of(e)
	if node == NSData {
		a.dataChanged(id, string(payload), gone, all)
	} else {
		switch {
		case id != "":
			a.meta = metaOf(id, string(payload))
		case all:
			a.meta = new(meta)
		default:
			a.meta = nil // what is the newest now is read when it is needed
		}
	}
	x.update(ctx, e)
}

func (a *account) dataChanged(id, payload string, gone []string, all bool) {
	if all {
		a.seen = nil
	}
	a.lost(gone...)
	if a.meta != nil && a.meta.id != "" {
		for _, g := range gone {
			if g == a.meta.id {
				a.saw(g, "")
			}
		}
		if all {
			a.saw(a.meta.id, "")
		}
	}
	if id != "" {
		a.sawItem(id, payload)
	}
}

// update tells what has changed, now if it is known, or else when it was read.
func (x *Extension) update(ctx context.Context, e *mux.Event) {
	a := x.accounts.Of(e)
	a.conclude()
	if !a.ready && a.meta != nil && !a.meta.there && x.opt.CardCached(e) {
		if x.lookAtCard(ctx, e, a) == nil {
			a.conclude()
		}
	}
	switch {
	case a.ready:
		x.tellAll(ctx, e)
	case len(e.Sessions()) > 0:
		x.readLater(e)
	}
}

// readLater finds out what presence says when e's Work is durable, and tells it.
func (x *Extension) readLater(e *mux.Event) {
	m, account := e.Mux(), e.Account
	e.Work.After(func(err error) {
		if err != nil {
			return // the account's state is lost as well
		}
		m.Go(account, func(ctx context.Context, e *mux.Event) {
			if len(e.Sessions()) == 0 {
				return
			}
			if err := x.load(ctx, e); err != nil {
				x.failed(ctx, account, err)
				return
			}
			x.tellAll(ctx, e)
		})
	})
}
