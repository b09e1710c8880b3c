// Package avatar makes one of the two forms of avatars, XEP-0398: User Avatar to
// vCard-Based Avatars Conversion, version 1.0.0: those of personal eventing, XEP-0084
// version 1.1.4, and those of visiting cards, XEP-0153 version 1.1.1. It has the
// server's side, and functions for clients.
//
// On the server's side it keeps nothing itself. It joins package pep, or whoever else has
// nodes, package vcard and package presence, by functions of theirs and its own:
//
//	events := pep.New(…)
//	avatars := avatar.New(&avatar.Options{Nodes: events, Publish: …, Card: …, Resend: …})
//	events.OnChange(avatars.Changed)
//	cards := vcard.New(…, &vcard.Options{Keep: avatars.Keep, Show: avatars.Show, Waits: avatars.Waits})
//	present := presence.New(…, &presence.Options{Current: avatars.Current})
//
// # Which avatar is shown
//
// An account whose metadata node has an item has the avatar that this names, and no
// other: its card is shown with that as PHOTO to whoever may read both nodes, if the
// item names an image in the data node whose SHA-1 is its id, and without any PHOTO
// otherwise, whatever is kept in the card. As long as the metadata node has no item, the
// card is shown as it is kept. So cards of old stay what they are until their account
// uses either way to set an avatar.
//
// A card that is set with an image is published, data first and metadata then (XEP-0398
// §3.2), unless the account has just that avatar, and is kept without it. Nodes that
// come to be by that can be read by everybody, as cards can; others keep their access
// model. A card that is set without a PHOTO switches the avatar off, if the card has
// shown it before: who changes something else does not know of one that it could not. A
// PHOTO that is no image, such as an address elsewhere, is kept and publishes nothing.
//
// # Presence
//
// The hash of the avatar is added to the available presence of the account's clients as
// XEP-0398 §4 says. It is known from what is published, so that presence reads no store but
// for the first of an account. While it is not known, because the metadata names nothing
// that could be converted, presence is left as it is. When it changes, the last presence of
// each session is told again; a session that says itself that it shows none is left alone.
//
// # Security
//
// Images are not looked into; that what is shown in a card is what its hash says is all
// that is checked. Avatars that everybody may read are seen in chat rooms, too, where they
// can tell who somebody is (XEP-0398, Privacy Considerations).
package avatar

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Names of protocols; those of nodes are the namespaces of what is in them.
const (
	NSData       = "urn:xmpp:avatar:data"
	NSMetadata   = "urn:xmpp:avatar:metadata"
	NSConversion = "urn:xmpp:pep-vcard-conversion:0" // the feature
	NSUpdate     = "vcard-temp:x:update"

	nsVCard = "vcard-temp"
)

// Nodes are the nodes of accounts, as an Extension reads them. Methods may wait unless
// Ready says otherwise, but for functions that are returned.
type Nodes interface {
	// Ready reports whether nothing of a node has to be waited for but what its items say.
	// It is asked by [mux.BlocksIf].
	Ready(e *mux.Event, node string) bool
	// Readable reports whether somebody may read a node of e's account.
	Readable(ctx context.Context, e *mux.Event, node string, who mux.Address) bool
	// Last is the newest item of a node of e's account; id is empty if there is none. An
	// error may mean that it is being written by e's Work.
	Last(ctx context.Context, e *mux.Event, node string) (id, payload string, err error)
	// Find looks for an item. read is nil if it is not there, gives what it says, waits for
	// that, and may be called outside of turns when e's Work is durable.
	Find(ctx context.Context, e *mux.Event, node, id string) (read func(context.Context) (payload string, err error), err error)
}

// Options say what an Extension works on, and refine it.
type Options struct {
	// Nodes must be set.
	Nodes Nodes
	// Publish publishes for e's account; an id that is empty is made up. A node that comes
	// to be by that should be readable by everybody, see the package comment. It is
	// called by Keep and may wait where Waits says so. An error refuses the card that
	// is set. nil: cards are not converted to nodes.
	Publish func(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw) error
	// Card is the visiting card of e's account as it is kept, empty if there is none; it may
	// wait unless CardCached says otherwise. nil: there are no cards.
	Card       func(ctx context.Context, e *mux.Event) (mux.Raw, error)
	CardCached func(e *mux.Event) bool
	// Resend tells everybody who sees it the presence of a session of e's account again,
	// as Current has it. It is called in the account's turn, also when something is
	// published, and may not wait then for more than Nodes.Ready speaks of. nil: changes
	// are told with the next presence only.
	Resend func(ctx context.Context, e *mux.Event, s *mux.Session)
	// Every is how often at most a session's presence is told again; 0 or less for 10 s.
	Every time.Duration
	// Logger is for failures of stores (Error); nil discards.
	Logger *slog.Logger
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Stopper   = (*Extension)(nil)
)

// Extension converts avatars. Make one with New; it belongs to one mux.
type Extension struct {
	opt      Options
	accounts mux.AccountKey[account]
	sessions mux.Key[session]
	later    timers
}

// New returns the extension. o is copied.
func New(o *Options) *Extension {
	x := &Extension{}
	if o != nil {
		x.opt = *o
	}
	if x.opt.Card == nil {
		x.opt.Card = func(context.Context, *mux.Event) (mux.Raw, error) { return "", nil }
		x.opt.CardCached = nil
	}
	if x.opt.CardCached == nil {
		x.opt.CardCached = func(*mux.Event) bool { return true }
	}
	if x.opt.Resend == nil {
		x.opt.Resend = func(context.Context, *mux.Event, *mux.Session) {}
	}
	if x.opt.Every <= 0 {
		x.opt.Every = 10 * time.Second
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "avatar" }

var errNoNodes = errors.New("no nodes")

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.opt.Nodes == nil {
		return errNoNodes
	}
	x.accounts = mux.AccountSlot[account](r)
	x.sessions = mux.PersistentSlot(r, "avatar", mux.Codec[session]{Encode: encodeSession, Decode: decodeSession})
	r.Modify(mux.FromPeer, mux.Presence, x.presence, mux.BlocksIf(func(e *mux.Event) bool {
		return available(e) && !x.ready(e)
	}))
	r.Lifecycle(mux.Lifecycle{Closed: x.closed})
	for _, s := range []mux.Scope{mux.AtSelf, mux.AtAccount} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			q.Feature(NSConversion) // XEP-0398 §2
			return nil
		})
	}
	return nil
}

// failed logs what cannot be read.
func (x *Extension) failed(ctx context.Context, account mux.Address, err error) {
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, "avatar cannot be read", slog.String("account", account.String()), slog.Any("err", err))
}
