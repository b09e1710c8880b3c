// Package vcard4 makes vCard4 and vcard-temp two views of one card, XEP-0292: vCard4 Over
// XMPP, version 0.12.0, on the server's side.
//
// vCard4 is an item of a node of personal eventing (§3.1), vcard-temp (XEP-0054) is kept by
// package vcard, which the Extension joins:
//
//	views := vcard4.New(&vcard4.Options{Nodes: events, …})
//	events.OnChange(views.Changed)
//	cards := vcard.New(…, &vcard.Options{Keep: views.Keep, Show: views.Show, Waits: views.Waits})
//
// A card that is set by vcard-temp is published as vCard4, too, with what was published
// there and has no counterpart. As long as that is what is published, the card is shown as
// it was set. When something else is published it is shown by vcard-temp, with what was set
// there and has no counterpart. If what is published is taken back, that is true for the
// card as well. Who may not read the node sees of the card what has no counterpart.
//
// The mapping is that of §11, without images, which are package avatar's affair, and
// without what is not a text: AGENT, CLASS, GEO, KEY, LABEL, LOGO, MAILER, PRODID, REV,
// SORT-STRING, SOUND and UID stay in the card.
package vcard4

import (
	"context"
	"errors"
	"log/slog"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of vCard4, and the feature (XEP-0292 §6); Node is where it is.
const (
	NS   = "urn:ietf:params:xml:ns:vcard-4.0"
	Node = "urn:xmpp:vcard4"

	nsTemp = "vcard-temp"
)

// Nodes are the nodes of accounts, as an Extension reads them. Methods may wait unless
// Ready says otherwise.
type Nodes interface {
	// Ready reports whether nothing of a node has to be waited for but what its items say.
	// It is asked by [mux.BlocksIf].
	Ready(e *mux.Event, node string) bool
	// Readable reports whether somebody may read a node of e's account.
	Readable(ctx context.Context, e *mux.Event, node string, who mux.Address) bool
	// Last is the newest item of a node of e's account; id is empty if there is none. It may
	// wait.
	Last(ctx context.Context, e *mux.Event, node string) (id, payload string, err error)
	// Find looks for an item, the newest if id is empty. read is nil if there is none, and
	// may wait; it is called outside of turns when what was written before is durable.
	Find(ctx context.Context, e *mux.Event, node, id string) (read func(context.Context) (payload string, err error), err error)
}

// Options say what an Extension works on. All functions must be set; they are about e's
// account and called in its turn.
type Options struct {
	Nodes Nodes
	// Publish publishes an item of Node, Retract takes one back. They may wait where Waits
	// says so. An error refuses the card that is set.
	Publish func(ctx context.Context, e *mux.Event, id string, payload mux.Raw) error
	Retract func(ctx context.Context, e *mux.Event, id string) error
	// Card is the card as it is kept, and may wait; Put replaces it.
	Card func(ctx context.Context, e *mux.Event) (mux.Raw, error)
	Put  func(e *mux.Event, card mux.Raw)
	// Logger is for failures (Error); nil discards.
	Logger *slog.Logger
}

var _ mux.Extension = (*Extension)(nil)

// Extension keeps the views the same. Make one with New; it belongs to one mux.
type Extension struct {
	opt      Options
	accounts mux.AccountKey[account]
}

// account is what is remembered of an account in use.
type account struct{ taken bool } // something was taken back, and may be in the card still

// New returns the extension. o is copied.
func New(o *Options) *Extension {
	x := &Extension{}
	if o != nil {
		x.opt = *o
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "vcard4" }

var (
	errOptions  = errors.New("something to work on is missing")
	errInternal = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	o := &x.opt
	if o.Nodes == nil || o.Publish == nil || o.Retract == nil || o.Card == nil || o.Put == nil {
		return errOptions
	}
	x.accounts = mux.AccountSlot[account](r)
	for _, s := range []mux.Scope{mux.AtSelf, mux.AtAccount} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			q.Feature(NS)
			return nil
		})
	}
	return nil
}

// Waits reports whether Keep or Show, by what e.Stanza asks for, would have to wait for a
// store. It may be asked by [mux.BlocksIf].
func (x *Extension) Waits(e *mux.Event) bool {
	return e.Stanza.Type() == "set" || !x.opt.Nodes.Ready(e, Node)
}

func (x *Extension) failed(ctx context.Context, account mux.Address, err error) {
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, "vCard4 cannot be kept the same as vcard-temp", slog.String("account", account.String()), slog.Any("err", err))
}

// Keep is package vcard's Options.Keep: it publishes a card that is set.
func (x *Extension) Keep(ctx context.Context, e *mux.Event, card mux.Raw) (mux.Raw, error) {
	id, old, err := x.opt.Nodes.Last(ctx, e, Node)
	if err != nil {
		x.failed(ctx, e.Account, err)
		return "", errInternal
	}
	v4, _, err := FromTemp(card, usable(old))
	switch {
	case err != nil:
		return "", errInternal
	case v4 == usable(old):
		return card, nil
	case v4 == "":
		return card, x.opt.Retract(ctx, e, id)
	case id == "":
		id = "current"
	}
	return card, x.opt.Publish(ctx, e, id, v4)
}

// usable is what is published if it is a vCard4.
func usable(payload string) mux.Raw {
	if el, err := mux.Parse([]byte(payload)); err == nil && el.Name() == four("vcard") {
		return mux.Raw(payload)
	}
	return ""
}

// Show is package vcard's Options.Show: it gives what is published.
func (x *Extension) Show(ctx context.Context, e *mux.Event) func(ctx context.Context, card mux.Raw) (mux.Raw, error) {
	read, err := x.opt.Nodes.Find(ctx, e, Node, "")
	if err != nil {
		// Not the card instead: not everybody may see it, and its client would set it again.
		x.failed(ctx, e.Account, err)
		return func(context.Context, mux.Raw) (mux.Raw, error) { return "", err }
	}
	if read == nil {
		if a := x.accounts.Peek(e); a != nil && a.taken {
			return unmapped // what was published is taken out of the card soon
		}
		return nil
	}
	account, readable := e.Account, x.opt.Nodes.Readable(ctx, e, Node, e.Stanza.From())
	return func(ctx context.Context, card mux.Raw) (mux.Raw, error) {
		payload, err := read(ctx)
		if err != nil {
			x.failed(ctx, account, err)
			return "", err
		}
		v4 := usable(payload)
		switch {
		case !readable:
			return unmapped(ctx, card)
		case v4 == "":
			return card, nil
		}
		same, rest, err := FromTemp(card, v4)
		switch {
		case err != nil:
			return "", err
		case same == v4:
			return card, nil
		}
		return ToTemp(v4, rest)
	}
}

// unmapped is what of a card has no counterpart in vCard4.
func unmapped(_ context.Context, card mux.Raw) (mux.Raw, error) {
	_, rest, err := FromTemp(card, "")
	return rest, err
}

// Changed is told of a change of the items of a node of e's account, as package pep's
// ChangeFunc says.
func (x *Extension) Changed(_ context.Context, e *mux.Event, node, id string, _ mux.Raw, _ []string, _ bool) {
	if node != Node {
		return
	}
	x.accounts.Of(e).taken = id == ""
	if id != "" {
		return
	}
	// Something was taken back, if not all: the card has nothing of it any more. It may
	// have to be read for that, and set meanwhile.
	m, account := e.Mux(), e.Account
	e.Work.After(func(err error) {
		if err == nil {
			m.Go(account, x.takeBack)
		}
	})
}

// takeBack takes out of the card what was published and is no more.
func (x *Extension) takeBack(ctx context.Context, e *mux.Event) {
	x.accounts.Of(e).taken = false
	id, _, err := x.opt.Nodes.Last(ctx, e, Node)
	if err == nil && id != "" {
		return
	}
	var card, rest mux.Raw
	if err == nil {
		card, err = x.opt.Card(ctx, e)
	}
	if err == nil {
		_, rest, err = FromTemp(card, "")
	}
	if err != nil {
		x.failed(ctx, e.Account, err)
		return
	}
	if rest != card {
		x.opt.Put(e, rest)
	}
}
