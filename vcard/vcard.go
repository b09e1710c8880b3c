// Package vcard keeps the visiting cards of accounts, XEP-0054: vcard-temp,
// version 1.3.0: the server's side, and functions for clients.
//
// A client gets the card of its own account, or item-not-found, and replaces it
// as a whole; a card without content removes it. The server answers for all its
// accounts, so that their clients are never asked. Requests to a full address are
// for the client there (RFC 6121 §8.5.3).
//
// Other forms of the same data, such as the avatar of XEP-0084 (XEP-0398) and the
// photo's hash in presence (XEP-0153), are not part of it: Options.Changed and
// Options.Presence are where they join, with [Extension.Card] and [Extension.Put].
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
	// Changed is told of each new card, empty if it was removed, in the turn of its
	// account; it may write to the Work and send, but not wait. nil for nobody.
	Changed func(ctx context.Context, e *mux.Event, card mux.Raw)
	// Presence may return another stanza in place of the available presence that a
	// client of ours sends (e.Stanza), nil to leave it. It is called in the turn of
	// the client's account, and may wait where PresenceWaits says so. nil leaves all.
	Presence func(ctx context.Context, e *mux.Event) *mux.Stanza
	// PresenceWaits reports whether Presence would have to wait for a store, as
	// [mux.BlocksIf] asks it; nil means never.
	PresenceWaits func(e *mux.Event) bool
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
	if x.opt.PresenceWaits == nil {
		x.opt.PresenceWaits = func(*mux.Event) bool { return false }
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
	errNotFound      = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
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
	waits := mux.BlocksIf(func(e *mux.Event) bool { return !x.Cached(e) })
	r.IQ(mux.AtSelf, stanza.GetIQ, Name, x.own, waits)
	r.IQ(mux.AtSelf, stanza.SetIQ, Name, x.set)
	r.IQ(mux.AtAccount, stanza.GetIQ, Name, x.others, waits)
	r.IQ(mux.AtAccount, stanza.SetIQ, Name, forbidden)
	r.IQ(mux.AtHost, stanza.SetIQ, Name, forbidden)
	if x.opt.Presence != nil {
		r.Modify(mux.FromPeer, mux.Presence, x.presence, mux.BlocksIf(func(e *mux.Event) bool {
			return available(e) && x.opt.PresenceWaits(e)
		}))
	}
	mux.On(r, x.accountRemoved)
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			q.Feature(NS)
			return nil
		})
	}
	return nil
}

// own answers with the card of the client's own account (XEP-0054 §3.1).
func (x *Extension) own(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	card, err := x.Card(ctx, e)
	switch {
	case err != nil:
		return nil, err
	case card == "":
		return nil, errNotFound
	}
	return card, nil
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
	x.Put(e, raw)
	if x.opt.Changed != nil {
		x.opt.Changed(ctx, e, raw)
	}
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
	card, err := x.Card(ctx, e)
	switch {
	case err != nil:
		return nil, err
	case card == "" || e.Unknown:
		return nil, errUnavailable
	}
	return card, nil
}

// presence lets presence say more.
func (x *Extension) presence(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	if available(e) {
		if s := x.opt.Presence(ctx, e); s != nil {
			e.Stanza = s
		}
	}
	return mux.Pass, nil
}

func available(e *mux.Event) bool { return e.Session != nil && e.Stanza.Type() == "" }

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
