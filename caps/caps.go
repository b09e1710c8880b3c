// Package caps knows what clients can do, by the hashes in their presence: XEP-0115:
// Entity Capabilities, version 1.6.0, and XEP-0390: Entity Capabilities 2.0, version
// 0.3.2.
//
// On the server's side it reads the hashes that own sessions and contacts announce, asks
// one of those with the same hash what it stands for, checks the answer, and remembers
// it, also across restarts if there is a [Store]. Who wants which events of personal
// eventing ("+notify", XEP-0060 §9.2) it tells [Options.Changed]; other extensions look up
// what a resource supports:
//
//	contacts := roster.New(…)
//	known := caps.New(db.Caps(), &caps.Options{
//		Subscription: contacts.Subscription,
//		Waits:        func(e *mux.Event) bool { return !contacts.Cached(e) },
//		Changed:      events.Wants, // of whoever sends events
//	})
//	m, err := mux.New(host, nil, contacts, presence.New(contacts, nil), known, …)
//
// The server's own hash is package disco's. Stripping hashes from presence (XEP-0115 §8.4,
// XEP-0390 §6.3), answering for clients (XEP-0390 §6.4) and hashes before presence
// (XEP-0390 §5.7) are not part of it, nor are presence without a hash attribute (XEP-0115
// §13) and hash functions that the standard library lacks: who uses those is asked itself.
//
// For clients there are pure functions: [Hash115], [Hash390], [Verify], [Announced],
// [ReadInfo], and [Announcer] for their own capabilities; [Client] announces them and
// answers in a session of mellium by itself.
//
// # Security
//
// An answer counts for everybody with the same hash only if it matches, follows the rules
// of XEP-0115 §5.4, and what is taken from it is what the hash alone determines. With
// XEP-0115, where different answers can be hashed alike, that is the parts of the hashed
// text: a form's values and an identity as a whole appear to be features then, which no
// other entity can make worse. Any other answer counts for who gave it. Who answers with
// something else, or not at all, delays the others by one timeout each time the number of
// those that are asked together doubles. What is remembered, what waits, and how much
// other domains can make the server ask, is bounded. Rooms' occupants (XEP-0045) are not
// asked.
package caps

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Subscription reports whether a contact receives the presence of the account of the
	// turn (from) and the account the contact's (to). It is called in that turn, may wait
	// where Waits said so, and may not keep e. With nil everybody counts as a stranger,
	// and strangers are asked.
	Subscription func(ctx context.Context, e *mux.Event, contact mux.Address) (from, to bool)
	// Waits reports whether Subscription would have to wait for a store, as
	// [mux.BlocksIf] asks it; nil means never.
	Waits func(e *mux.Event) bool
	// Strangers has the hashes of those read too that have no subscription in either
	// direction and send their presence to an account. They can make the server send
	// queries then, within bounds.
	Strangers bool
	// Changed is told which nodes a resource wants to be notified of, when that is others
	// than before: none when it has left, or nothing is known of it any more. e is a turn
	// of the account that the presence was for; for a session of our own of its own
	// account. It must not wait or change notify, which is the same slice for all with
	// one hash. nil for nothing.
	Changed func(ctx context.Context, e *mux.Event, who mux.Address, notify []string)
	// Restored is Changed for a session that was restored after a restart, before
	// anything is accepted: it had been told before. It is called outside of turns. nil
	// for nothing.
	Restored func(who mux.Address, notify []string)
	// MaxEntries bounds the hashes that are remembered, in number; 0 or less for 50000.
	// Those used longest ago are forgotten. Resources of one other domain can keep half
	// of them in use; that holds for MaxBytes too.
	MaxEntries int
	// MaxBytes bounds what is remembered of all hashes and resources together, in octets;
	// 0 or less for 64 MiB. What would exceed it counts as unknown.
	MaxBytes int
	// MaxResources bounds the resources of others that are known for one account; 0 or
	// less for 1000. Of more, those heard of longest ago are forgotten.
	MaxResources int
	// MaxAllResources bounds them for all accounts together; 0 or less for 200000.
	MaxAllResources int
	// MaxPending bounds the queries to one other domain that are not answered yet; 0 or
	// less for 20. More wait.
	MaxPending int
	// NewHashes bounds how many unknown hashes in a minute are looked at: of one other
	// domain, if one with a subscription announces it; a tenth of it for one account of
	// ours, and a sixtieth for strangers of one domain. 0 for 300, negative for no bound.
	NewHashes int
	// Retry is how long a resource that did not give the right answer is not asked for it
	// again; 0 or less for 10 minutes.
	Retry time.Duration
	// Logger is for failures of the store (Error) and answers that do not match (Debug);
	// nil discards.
	Logger *slog.Logger
}

func (o *Options) defaults() {
	for _, d := range []struct {
		v    *int
		with int
	}{
		{&o.MaxEntries, 50_000}, {&o.MaxBytes, 64 << 20}, {&o.MaxResources, 1000},
		{&o.MaxAllResources, 200_000}, {&o.MaxPending, 20},
	} {
		if *d.v <= 0 {
			*d.v = d.with
		}
	}
	if o.NewHashes == 0 {
		o.NewHashes = 300
	}
	if o.Retry <= 0 {
		o.Retry = 10 * time.Minute
	}
	if o.Waits == nil || o.Subscription == nil {
		o.Waits = func(*mux.Event) bool { return false }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Subscription == nil {
		o.Strangers = true
		o.Subscription = func(context.Context, *mux.Event, mux.Address) (bool, bool) { return false, false }
	}
	if o.Changed == nil {
		o.Changed = func(context.Context, *mux.Event, mux.Address, []string) {}
	}
	if o.Restored == nil {
		o.Restored = func(mux.Address, []string) {}
	}
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
)

// Extension knows what resources can do. Make one with New; it belongs to one mux.
type Extension struct {
	store Store    // may be nil
	mux   *mux.Mux // set at the start
	opt   Options
	seed  maphash.Seed
	own   mux.Key[resource]

	mu       sync.Mutex // guards what follows, and resources but for what they say
	cache    cache
	failures failures
	limits   limits
	flights  map[key]*flight
	pending  map[string]int       // queries without an answer, by other domain
	parked   map[string][]*flight // what waits for that
	peers    map[mux.Address]map[mux.Address]*resource
	nPeers   int
	clock    uint64          // counts presence of others
	marks    map[uint64]Hash // by fingerprint, what was chosen of announcements
}

// New returns the extension. The store may be nil: then everybody is asked again after a
// restart. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	x := &Extension{
		store: store, seed: maphash.MakeSeed(),
		flights: make(map[key]*flight), pending: make(map[string]int), parked: make(map[string][]*flight),
		peers: make(map[mux.Address]map[mux.Address]*resource), marks: make(map[uint64]Hash),
	}
	if o != nil {
		x.opt = *o
	}
	x.opt.defaults()
	x.cache.maxCount, x.cache.maxBytes = x.opt.MaxEntries, x.opt.MaxBytes
	x.failures.cache = &x.cache
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "caps" }

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	x.own = mux.PersistentSlot(r, "caps", mux.Codec[resource]{Encode: x.encode, Decode: decode})
	r.Observe(mux.FromPeer, mux.Presence, x.said)
	// A modifier, since it is asked also where nobody gets the presence (pep CAPS-1), and
	// only after all guards have let it pass.
	r.Modify(mux.ToAccount, mux.Presence, x.heard, mux.BlocksIf(func(e *mux.Event) bool {
		return x.isNew(e) && x.opt.Waits(e)
	}))
	r.Lifecycle(mux.Lifecycle{Attached: x.attached, Closed: x.closed})
	mux.On(r, func(ctx context.Context, e *mux.Event, c mux.SubscriptionChanged) error {
		if c.ToWas && !c.To {
			x.forget(ctx, e, c.Contact, false)
		}
		return nil
	})
	mux.On(r, func(ctx context.Context, e *mux.Event, c mux.BlockChanged) error {
		if c.Blocked {
			x.forget(ctx, e, c.Contact, true)
		}
		return nil
	})
	mux.On(r, x.accountRemoved)
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS) // XEP-0390 §5.1
		return nil
	})
	return nil
}

// Start implements [mux.Starter]: what is kept is read, and restored sessions are looked
// up in it. The error is that of the store.
func (x *Extension) Start(ctx context.Context, m *mux.Mux) error {
	x.mux = m
	if x.store != nil {
		list, err := x.store.Load(ctx, x.opt.MaxEntries)
		if err != nil {
			return errors.Join(errors.New("caps: cannot be read"), err)
		}
		x.mu.Lock()
		for _, s := range list {
			c := newCapabilities(s.key(), s.Features)
			c.seen = s.Seen
			x.cache.add(c)
		}
		x.mu.Unlock()
	}
	for s := range m.AllSessions() {
		x.restored(s)
	}
	return nil
}

// OfSession is what is known of a session of our own, nil for nothing. It may be called
// anywhere.
func (x *Extension) OfSession(s *mux.Session) *Capabilities {
	r := x.own.Of(s)
	x.mu.Lock()
	defer x.mu.Unlock()
	return r.caps
}

// Of is what is known of somebody else's resource by the presence that an account gets
// from it, nil for nothing: of those elsewhere, and of strangers here. It may be called
// anywhere.
func (x *Extension) Of(account, full mux.Address) *Capabilities {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.peers[account][full]; r != nil {
		return r.caps
	}
	return nil
}

// Each calls yield for those resources of others of which [Extension.Of] knows something,
// in no order, until it returns false. It may be called anywhere.
func (x *Extension) Each(account mux.Address, yield func(full mux.Address, c *Capabilities) bool) {
	type one struct {
		full mux.Address
		caps *Capabilities
	}
	var list []one
	x.mu.Lock()
	for full, r := range x.peers[account] {
		if r.caps != nil {
			list = append(list, one{full, r.caps})
		}
	}
	x.mu.Unlock()
	for _, o := range list {
		if !yield(o.full, o.caps) {
			return
		}
	}
}

// Stats say how much is known.
type Stats struct {
	Hashes    int // remembered
	Bytes     int // of what is remembered of hashes and resources
	Resources int // of others
	Asking    int // hashes that are being asked for
}

// Stats may be called anywhere.
func (x *Extension) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return Stats{Hashes: len(x.cache.m), Bytes: x.cache.bytes, Resources: x.nPeers, Asking: len(x.flights)}
}
