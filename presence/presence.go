// Package presence tells contacts who is available, RFC 6121 §4, on the server's
// side.
//
// It broadcasts what a session says of itself to the contacts that are subscribed
// and to the account's other sessions, echoes it to the session (§4.2, §4.4,
// §4.5), probes contacts and answers their probes (§4.3), keeps account of
// directed presence so that everybody who saw a session come sees it go, also
// after a restart (§4.6), and delivers subscription requests that wait (§3.1.3).
// Subscriptions themselves are package roster's, or whoever else implements
// [Subscriptions]:
//
//	contacts := roster.New(new(roster.Memory), nil)
//	m, err := mux.New(host, nil, contacts, presence.New(contacts, nil), …)
//
// A contact that is an account of ours is told nothing while none of its sessions
// is available, and asked nothing: that nobody answers says the same (§4.3.2
// allows it). So presence costs what those who are there cost.
//
// # For other extensions
//
// Broadcasts carry [mux.Service] and have their recipient in Item.To, so that one
// stanza serves all; guards at FromAccount that refuse one with [mux.Done] keep
// it from that contact. What changes when a subscription does is sent on
// [mux.SubscriptionChanged], what changes when a contact is blocked on
// [mux.BlockChanged].
//
// # Security
//
// Presence goes to subscribers only, and to whom the client itself addresses it.
// A probe of anybody else is answered with unsubscribed, which repairs rosters
// that disagree, and so is one of an account that does not exist.
package presence

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// Subscriptions is what the extension asks about the account of the turn at hand.
// Methods that return an error may wait for a store unless Cached.
type Subscriptions interface {
	// Cached reports whether no method has to wait; it must not wait itself, and
	// is asked by [mux.BlocksIf].
	Cached(e *mux.Event) bool
	// Load makes Cached true.
	Load(ctx context.Context, e *mux.Event) error
	// Subscription reports whether a contact, bare or full, receives the account's
	// presence (from) and the account the contact's (to). It is called after Load.
	Subscription(ctx context.Context, e *mux.Event, contact mux.Address) (from, to bool)
	// Contacts calls yield for every contact with a subscription, until it returns
	// false.
	Contacts(ctx context.Context, e *mux.Event, yield func(contact mux.Address, from, to bool) bool) error
	// Requests are the subscription requests that wait for an answer.
	Requests(ctx context.Context, e *mux.Event) ([]*mux.Stanza, error)
}

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaxDirected bounds the addresses to which one session has sent presence of
	// its own accord; 0 or less for 1000. One more takes the place of the oldest
	// that is no chat room, which is sent unavailable; without one it is refused
	// with resource-constraint (core-im LIM-22).
	MaxDirected int
	// Strangers says whether sessions get the requests of those that do not receive
	// their presence; the default is AllowStrangers. Refusing them breaks what
	// clients do before they share presence, such as calls.
	Strangers Strangers
	// ProbesPerSecond is how many probes a second go to one remote domain after a
	// restart, for the sessions that were restored; 0 for 50, negative for no probes at
	// all (core-im GS-2a).
	ProbesPerSecond int
	// Current is the last presence p of a session of e's account as it is told from now
	// on, for extensions that add to presence what may have changed since; it may be p
	// itself. It is called in the account's turn and must not wait. nil for p.
	Current func(e *mux.Event, s *mux.Session, p *mux.Stanza) *mux.Stanza
	// Logger is for failures (Error); nil discards.
	Logger *slog.Logger
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
	_ mux.Stopper   = (*Extension)(nil)
)

// Extension distributes presence. Make one with New; it belongs to one mux.
type Extension struct {
	subs  Subscriptions
	opt   Options
	state mux.Key[state]
	again again
}

// New returns the extension. o may be nil and is copied.
func New(subs Subscriptions, o *Options) *Extension {
	x := &Extension{subs: subs}
	if o != nil {
		x.opt = *o
	}
	if x.opt.MaxDirected <= 0 {
		x.opt.MaxDirected = 1000
	}
	if x.opt.ProbesPerSecond == 0 {
		x.opt.ProbesPerSecond = 50
	}
	if x.opt.Current == nil {
		x.opt.Current = func(_ *mux.Event, _ *mux.Session, p *mux.Stanza) *mux.Stanza { return p }
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "presence" }

var errNoSubscriptions = errors.New("no subscriptions")

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.subs == nil {
		return errNoSubscriptions
	}
	x.state = mux.PersistentSlot(r, "presence", mux.Codec[state]{Encode: encodeState, Decode: decodeState})
	r.Guard(mux.FromPeer, mux.Presence, x.limit)
	r.Observe(mux.FromPeer, mux.Presence, x.fromPeer, mux.BlocksIf(func(e *mux.Event) bool {
		t := e.Stanza.Type()
		return (t == "" || t == "unavailable") && !x.subs.Cached(e)
	}))
	r.Modify(mux.ToAccount, mux.Presence, x.probed, mux.Unknown(), mux.BlocksIf(func(e *mux.Event) bool {
		return e.Stanza.Type() == "probe" && !x.subs.Cached(e)
	}))
	if x.opt.Strangers != AllowStrangers {
		r.Guard(mux.ToAccount, mux.IQ, x.strangers, mux.BlocksIf(func(e *mux.Event) bool {
			return !x.subs.Cached(e) && x.strangerTo(e) != nil
		}))
	}
	r.Lifecycle(mux.Lifecycle{Closed: x.closed})
	mux.On(r, x.subscriptionChanged)
	mux.On(r, x.blockChanged)
	return nil
}

// state is what is remembered of a session. It is changed in turns and saved
// outside of them.
type state struct {
	mu        sync.Mutex // guards what follows
	available bool       // contacts were told so
	directed  []directed // oldest first
}

// directed is an address that a session has sent presence to (RFC 6121 §4.6).
type directed struct {
	to   mux.Address
	room bool // by joining it (XEP-0045)
}

// setAvailable notes what contacts are told, and returns what they were told
// before.
func (st *state) setAvailable(now bool) (was bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	was, st.available = st.available, now
	return was
}

func (st *state) isAvailable() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.available
}

// logError reports what a client cannot be told.
func (x *Extension) logError(ctx context.Context, e *mux.Event, what string, err error) {
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, what, slog.String("account", e.Account.String()), slog.Any("err", err))
}
