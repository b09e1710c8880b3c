// Package vcard keeps the visiting cards of accounts, XEP-0054: vcard-temp,
// version 1.3.0: the server's side, and functions for clients.
//
// A client gets the card of its own account, or item-not-found, and replaces it
// as a whole; a card without content removes it. The server answers for all its
// accounts, so that their clients are never asked. Requests to a full address are
// for the client there (RFC 6121 §8.5.3).
//
// Other forms of the same data, such as the avatar of XEP-0084 (XEP-0398), are not part
// of it: Options.Keep, Options.Show and Options.Changed are where they join, with
// [Extension.Card] and [Extension.Put].
//
//	m, err := mux.New(host, nil, vcard.New(new(vcard.Memory), nil), …)
//
// # Security
//
// Cards can be read by everybody (XEP-0054 §5). Who asks for one that is not there
// gets the same answer whether or not there is such an account (§3.3), and how many
// cards somebody may ask for is bounded, so that nobody collects them all.
package vcard

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of cards, and the feature.
const NS = "vcard-temp"

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaxBytes bounds a card, in octets of XML; 0 or less for 256 KiB (core-im
	// LIM-21). What is longer is refused with not-acceptable.
	MaxBytes int
	// Rate bounds how many cards of others one account, or one remote address, may
	// ask for in a minute, and Burst how many at once; 0 for 60 and 300, less for no
	// bound. All addresses of a remote domain together get ten times that. What is
	// more is refused with resource-constraint.
	Rate, Burst int
	// Keep may change a new card of e's account before it is kept, empty for one that is
	// removed; an error refuses it, as a [stanza.Error] with that. It is called in the
	// account's turn, may write to the Work and send, and may wait where Waits says so.
	// nil keeps cards as they are.
	Keep func(ctx context.Context, e *mux.Event, card mux.Raw) (mux.Raw, error)
	// Show may have another card shown to whoever asks, the sender of e.Stanza, than the one
	// that is kept: it may return a function that gives the one that is shown in place of
	// card, each of them empty for none. Show is called in the account's turn, for accounts
	// that exist, and may wait where Waits says so; the function is called outside of turns
	// when what was written before is durable, and may wait. nil, also as a result, shows
	// the card as it is kept.
	Show func(ctx context.Context, e *mux.Event) func(ctx context.Context, card mux.Raw) (mux.Raw, error)
	// Waits reports whether Keep or Show would have to wait, as [mux.BlocksIf] asks it;
	// nil means never.
	Waits func(e *mux.Event) bool
	// Changed is told of each new card as it is kept, empty if it was removed, in the turn
	// of its account; it may write to the Work and send, but not wait. nil for nobody.
	Changed func(ctx context.Context, e *mux.Event, card mux.Raw)
	// Logger is for failures of the store (Error); nil discards.
	Logger *slog.Logger
}

var _ mux.Extension = (*Extension)(nil)

// Extension keeps and shows cards. Make one with New; it belongs to one mux.
type Extension struct {
	store   Store
	opt     Options
	limiter *limiter
	desks   mux.AccountKey[desk]
}

// New returns the extension. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	x := &Extension{store: store}
	if o != nil {
		x.opt = *o
	}
	if x.opt.MaxBytes <= 0 {
		x.opt.MaxBytes = 256 << 10
	}
	if x.opt.Rate == 0 {
		x.opt.Rate = 60
	}
	if x.opt.Burst == 0 {
		x.opt.Burst = 300
	}
	if x.opt.Keep == nil {
		x.opt.Keep = func(_ context.Context, _ *mux.Event, card mux.Raw) (mux.Raw, error) { return card, nil }
	}
	if x.opt.Show == nil {
		x.opt.Show = func(context.Context, *mux.Event) func(context.Context, mux.Raw) (mux.Raw, error) { return nil }
	}
	if x.opt.Waits == nil {
		x.opt.Waits = func(*mux.Event) bool { return false }
	}
	if x.opt.Changed == nil {
		x.opt.Changed = func(context.Context, *mux.Event, mux.Raw) {}
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	x.limiter = newLimiter(x.opt.Rate, x.opt.Burst)
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "vcard" }

var (
	errNoStore       = errors.New("no store")
	errForbidden     = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errNotAcceptable = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	errUnavailable   = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}
	errTooMany       = stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}
	errInternal      = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}

	// Name is the name of a card.
	Name = xml.Name{Space: NS, Local: "vCard"}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.desks = mux.AccountSlot[desk](r)
	waits := mux.BlocksIf(func(e *mux.Event) bool { return !x.Cached(e) || x.opt.Waits(e) })
	r.IQ(mux.AtSelf, stanza.GetIQ, Name, x.own, waits)
	r.IQ(mux.AtSelf, stanza.SetIQ, Name, x.set, mux.BlocksIf(x.opt.Waits))
	r.IQ(mux.AtAccount, stanza.GetIQ, Name, x.others, waits)
	r.IQ(mux.AtAccount, stanza.SetIQ, Name, forbidden)
	r.IQ(mux.AtHost, stanza.SetIQ, Name, forbidden)
	mux.On(r, x.accountRemoved)
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			q.Feature(NS)
			return nil
		})
	}
	return nil
}

// own answers with the card of the client's own account (XEP-0054 §3.1): an empty one if
// there is none (pep PVC-2).
func (x *Extension) own(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	return x.show(ctx, e, func(card mux.Raw) (xmlstream.Marshaler, error) {
		if card == "" {
			return empty, nil
		}
		return card, nil
	})
}

// empty is a card that says nothing.
const empty = mux.Raw("<vCard xmlns='" + NS + "'/>")

// show answers with what is shown of the card of e's account.
func (x *Extension) show(ctx context.Context, e *mux.Event, answer func(mux.Raw) (xmlstream.Marshaler, error)) (xmlstream.Marshaler, error) {
	card, err := x.Card(ctx, e)
	if err != nil {
		return nil, err
	}
	if e.Unknown {
		return answer("")
	}
	shown := x.opt.Show(ctx, e)
	if shown == nil {
		return answer(card)
	}
	e.Work.Write(func(context.Context, mux.Tx) error { return nil }) // all before is written first
	e.Later().Run(func(ctx context.Context) (xmlstream.Marshaler, error) {
		card, err := shown(ctx, card)
		if err != nil {
			return nil, errInternal
		}
		return answer(card)
	})
	return nil, nil
}

// set replaces it (XEP-0054 §3.2).
func (x *Extension) set(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	card, err := mux.NewChild(e.Stanza.Children()[0]) // with all declarations
	if err != nil {
		return nil, errInternal
	}
	raw := mux.Raw(card.Raw())
	if len(raw) > x.opt.MaxBytes {
		return nil, errNotAcceptable
	}
	el, err := card.Element()
	if err != nil {
		return nil, errInternal
	}
	if len(el.Children()) == 0 {
		raw = ""
	}
	if raw, err = x.opt.Keep(ctx, e, raw); err != nil {
		return nil, err
	}
	x.Put(e, raw)
	x.opt.Changed(ctx, e, raw)
	return nil, nil
}

// forbidden is the answer to whoever wants to change another's card.
func forbidden(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return nil, errForbidden }

// others answers everybody else (XEP-0054 §3.3): alike for no card and no
// account, and with the same work.
func (x *Extension) others(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if !x.limiter.take(e.Stanza.From(), e.Mux().Ours(e.Stanza.From())) {
		return nil, errTooMany
	}
	return x.show(ctx, e, func(card mux.Raw) (xmlstream.Marshaler, error) {
		if card == "" {
			return nil, errUnavailable
		}
		return card, nil
	})
}

// Card is the card of the account of the turn, empty if it has none. It may wait
// for the store unless Cached says otherwise. An error is a [stanza.Error], and was
// logged.
func (x *Extension) Card(ctx context.Context, e *mux.Event) (mux.Raw, error) {
	d := x.desks.Of(e)
	if raw, ok := d.card(); ok {
		return raw, nil
	}
	raw, err := x.store.Load(ctx, e.Account)
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "vCard cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
		return "", errInternal
	}
	d.absent = raw == ""
	return mux.Raw(raw), nil
}

// Cached reports whether Card would not wait.
func (x *Extension) Cached(e *mux.Event) bool {
	d := x.desks.Peek(e)
	if d == nil {
		return false
	}
	_, ok := d.card()
	return ok
}

// Put replaces the card of the account of the turn, by none if it is empty.
// Changed is not told.
func (x *Extension) Put(e *mux.Event, card mux.Raw) {
	x.desks.Of(e).put(e, card)
	e.Work.Write(x.store.Set(e.Account, string(card)))
}

// accountRemoved removes what is kept of an account.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	e.Work.Write(x.store.RemoveAccount(e.Account))
	*x.desks.Of(e) = desk{absent: true}
	return nil
}
