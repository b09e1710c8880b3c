package pep

import (
	"context"
	"encoding/xml"
	"log/slog"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Options refine an Extension. The zero value of each field is its default. The
// functions about the account of the turn may wait where Waits said so, and may not
// keep e.
type Options struct {
	// Subscription reports whether a contact, bare or full, receives the presence of the
	// turn's account (from), and the account the contact's (to). nil: there are no
	// contacts.
	Subscription func(ctx context.Context, e *mux.Event, contact mux.Address) (from, to bool)
	// Contacts calls yield for every contact with a subscription until it returns
	// false. nil: there are none.
	Contacts func(ctx context.Context, e *mux.Event, yield func(contact mux.Address, from, to bool) bool) error
	// Groups are those of a contact in the roster of the turn's account; nil for none.
	Groups func(ctx context.Context, e *mux.Event, contact mux.Address) []string
	// Blocked reports whether the turn's account has blocked a contact; an error counts
	// as if it has. nil: nobody is blocked.
	Blocked func(ctx context.Context, e *mux.Event, contact mux.Address) (bool, error)
	// Blockers returns those of the owners, accounts of ours, that have blocked a
	// contact. It is asked once when a session wants last items of its contacts,
	// outside of turns, and may wait. nil: nobody has.
	Blockers func(ctx context.Context, contact mux.Address, owners []mux.Address) ([]mux.Address, error)
	// Changed is told, in the account's turn, of each change of items: what was
	// published (nil for nothing) and which items are gone, or that all are. It must not
	// wait. nil for nobody.
	Changed func(ctx context.Context, e *mux.Event, node string, published *Item, gone []string, all bool)
	// Force says which fields, by their names without pubsub#, a node has whatever
	// anybody says, beside those that private nodes have anyway; nil, as a result too,
	// for none. Nodes that are there are changed when they are used (XEP-0060 leaves it to services).
	Force func(node string) map[string][]string
	// Elsewhere says who keeps the items of a node instead of the store; nil, as a result
	// too, stands for the store. It must not wait, and answer alike always.
	Elsewhere func(node string) *Keeper
	// Loaded is called when the nodes of the turn's account have been read, before anything
	// else is done with them, such as to bring what older software has left into the form of
	// today. It may wait; an error, which must come before anything is written, is answered
	// and has it called again. nil for nobody.
	Loaded func(ctx context.Context, e *mux.Event) error
	// Waits reports whether any of the functions about the account would have to wait for a
	// store, as [mux.BlocksIf] asks it; nil means never.
	Waits func(e *mux.Event) bool

	// MaxNodes and MaxSubscriptions bound the nodes of an account, and the
	// subscriptions of others and affiliations there; 0 or less for 1000 each.
	MaxNodes, MaxSubscriptions int
	// MaxItems and MaxNodeBytes bound what a node keeps, and are what max means; 0 or
	// less for 10000 and 16 MiB. The oldest leave.
	MaxItems     int
	MaxNodeBytes int64
	// MaxBytes bounds what an account keeps; 0 or less for 64 MiB. What exceeds it is
	// refused with resource-constraint.
	MaxBytes int64
	// MaxPayload bounds one item; 0 or less for 248 KiB. Streams must accept
	// stanzas that are 8 KiB larger.
	MaxPayload int
	// PerMinute bounds how often an account's nodes are published to, on average; 0 for
	// 600, negative for no limit.
	PerMinute int
	// MaxListed bounds the items that are listed in memory, without what they say, over all
	// accounts in use; 0 or less for 500000, some 100 MiB. Beyond it the lists go that were
	// not used for the longest time, of ten minutes at least, and are read again when needed.
	MaxListed int
	// MaxResources bounds the resources of others that an account knows to be
	// interested; 0 or less for 10000.
	MaxResources int
	// Strangers sends events of open nodes also to those that have no subscription and
	// have sent presence with capabilities that ask for it.
	Strangers bool
	// Logger is for failures of the store (Error); nil discards.
	Logger *slog.Logger
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ Interest      = (*Extension)(nil)
)

// Extension is the service. Make one with New; it belongs to one mux.
type Extension struct {
	store    Store
	opt      Options
	limits   limits
	accounts mux.AccountKey[account]
	index    index
	pending  pending
	hooks    []ChangeFunc
	listed   listed
	waiting  waiting
	asked    mux.Key[asked]
}

// New returns the extension. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	x := &Extension{store: store}
	if o != nil {
		x.opt = *o
	}
	x.opt.functions()
	x.opt.bounds()
	x.limits = limits{x.opt.MaxItems, x.opt.MaxPayload}
	return x
}

func (o *Options) functions() {
	if o.Subscription == nil {
		o.Subscription = func(context.Context, *mux.Event, mux.Address) (bool, bool) { return false, false }
	}
	if o.Contacts == nil {
		o.Contacts = func(context.Context, *mux.Event, func(mux.Address, bool, bool) bool) error { return nil }
	}
	if o.Groups == nil {
		o.Groups = func(context.Context, *mux.Event, mux.Address) []string { return nil }
	}
	if o.Blocked == nil {
		o.Blocked = func(context.Context, *mux.Event, mux.Address) (bool, error) { return false, nil }
	}
	if o.Blockers == nil {
		o.Blockers = func(context.Context, mux.Address, []mux.Address) ([]mux.Address, error) { return nil, nil }
	}
	if o.Changed == nil {
		o.Changed = func(context.Context, *mux.Event, string, *Item, []string, bool) {}
	}
	if o.Force == nil {
		o.Force = func(string) map[string][]string { return nil }
	}
	if o.Elsewhere == nil {
		o.Elsewhere = func(string) *Keeper { return nil }
	}
	if o.Loaded == nil {
		o.Loaded = func(context.Context, *mux.Event) error { return nil }
	}
	if o.Waits == nil {
		o.Waits = func(*mux.Event) bool { return false }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func (o *Options) bounds() {
	for _, b := range []struct {
		v         *int
		otherwise int
	}{{&o.MaxNodes, 1000}, {&o.MaxSubscriptions, 1000}, {&o.MaxItems, 10_000}, {&o.MaxPayload, 248 << 10}, {&o.MaxResources, 10_000}, {&o.MaxListed, 500_000}} {
		if *b.v <= 0 {
			*b.v = b.otherwise
		}
	}
	if o.MaxNodeBytes <= 0 {
		o.MaxNodeBytes = 16 << 20
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 64 << 20
	}
	if o.PerMinute == 0 {
		o.PerMinute = 600
	}
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "pep" }

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.accounts = mux.AccountSlot[account](r)
	waits := mux.BlocksIf(x.Waits)
	for _, s := range []mux.Scope{mux.AtSelf, mux.AtAccount} {
		for _, ns := range []string{NS, NSOwner} {
			r.IQ(s, stanza.GetIQ, xml.Name{Space: ns, Local: "pubsub"}, x.get, waits)
			r.IQ(s, stanza.SetIQ, xml.Name{Space: ns, Local: "pubsub"}, x.set, waits)
		}
		r.Disco(s, x.disco)
	}
	r.Disco(mux.AtHost, discoHost)
	r.Guard(mux.ToAccount, mux.Message, x.message, mux.BlocksIf(func(e *mux.Event) bool {
		return (bounced(e) || authorizes(e)) && !x.Cached(e)
	}))
	r.Guard(mux.ToAccount, mux.Presence, x.presence)
	x.asked = mux.PersistentSlot(r, "pep", askedCodec)
	r.Observe(mux.FromPeer, mux.Presence, x.came)
	r.Lifecycle(mux.Lifecycle{Closed: func(_ context.Context, e *mux.Event) {
		if x.index.setLocal(e.Session.JID(), nil); len(e.Sessions()) == 0 {
			x.index.outOfUse(e.Account)
		}
	}})
	mux.On(r, x.subscriptionChanged)
	mux.On(r, x.blockChanged)
	mux.On(r, x.accountRemoved)
	return nil
}

// Waits reports whether a request about nodes, of service discovery too, has to wait for
// a store. It may be asked by [mux.BlocksIf].
func (x *Extension) Waits(e *mux.Event) bool {
	if !x.Cached(e) {
		return true
	}
	name := named(e.Stanza)
	return x.opt.Elsewhere(name) != nil || !x.Ready(e, name)
}

// Ready reports whether nothing of a node of e's account has to be waited for, so that
// server code may publish there in a turn that does not wait. It may be asked by
// [mux.BlocksIf].
func (x *Extension) Ready(e *mux.Event, node string) bool {
	if !x.Cached(e) {
		return false
	}
	n := x.accounts.Peek(e).nodes[node]
	return n == nil || n.items != nil || !n.Config.keeps()
}

// Cached reports whether the nodes of e's account are there already, as is what is
// asked about its contacts, so that nothing has to wait. It may be asked by
// [mux.BlocksIf].
func (x *Extension) Cached(e *mux.Event) bool {
	a := x.accounts.Peek(e)
	return a != nil && a.loaded && !x.opt.Waits(e)
}

// handler answers a request. who is who asks, a the nodes of the account.
type handler func(ctx context.Context, q *query) (xmlstream.Marshaler, error)

// query is a request in its turn.
type query struct {
	*request
	x     *Extension
	e     *mux.Event
	a     *account
	from  mux.Address
	owner bool
	inner bool // of server code: who keeps items elsewhere is not asked
	// counted says that it is part of a request whose rate was limited.
	counted bool
	made    string // the ID of what was published
	// defaults are fields of a node that comes to be.
	defaults map[string][]string
}

// gets and sets are what is implemented, by namespace and action.
var (
	gets = map[xml.Name]handler{
		{Space: NS, Local: "items"}:              items,
		{Space: NS, Local: "subscriptions"}:      subscriptions,
		{Space: NS, Local: "affiliations"}:       affiliations,
		{Space: NS, Local: "options"}:            getOptions,
		{Space: NSOwner, Local: "configure"}:     getConfig,
		{Space: NSOwner, Local: "default"}:       getDefault,
		{Space: NSOwner, Local: "subscriptions"}: ownerSubscriptions,
		{Space: NSOwner, Local: "affiliations"}:  ownerAffiliations,
	}
	sets = map[xml.Name]handler{
		{Space: NS, Local: "publish"}:            publish,
		{Space: NS, Local: "retract"}:            retract,
		{Space: NS, Local: "create"}:             create,
		{Space: NS, Local: "subscribe"}:          subscribe,
		{Space: NS, Local: "unsubscribe"}:        unsubscribe,
		{Space: NS, Local: "options"}:            setOptions,
		{Space: NSOwner, Local: "configure"}:     setConfig,
		{Space: NSOwner, Local: "delete"}:        deleteNode,
		{Space: NSOwner, Local: "purge"}:         purge,
		{Space: NSOwner, Local: "subscriptions"}: setSubscriptions,
		{Space: NSOwner, Local: "affiliations"}:  setAffiliations,
	}
)

func (x *Extension) get(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	return x.handle(ctx, e, gets)
}

func (x *Extension) set(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	return x.handle(ctx, e, sets)
}

// handle answers a request. Accounts that do not exist answer as those without nodes
// do (pep E-34a).
func (x *Extension) handle(ctx context.Context, e *mux.Event, handlers map[xml.Name]handler) (xmlstream.Marshaler, error) {
	from := e.Stanza.From()
	q := &query{x: x, e: e, from: from, owner: from.Bare() == e.Account, a: new(account)}
	if !e.Unknown && !q.owner {
		blocked, err := x.opt.Blocked(ctx, e, from)
		if err != nil {
			x.failed(ctx, e, "blocks cannot be read", err)
			return nil, errInternal
		}
		if blocked {
			return nil, errUnavailable // XEP-0191 §3.3
		}
	}
	var err error
	if q.request, err = parse(e.Stanza); err != nil {
		return nil, err
	}
	h := handlers[xml.Name{Space: e.Stanza.Children()[0].Name.Space, Local: q.action}]
	if h == nil {
		return nil, errNotImplemented
	}
	if !e.Unknown {
		if q.a, err = x.load(ctx, e); err != nil {
			return nil, err
		}
		if e.Stanza.Type() == "set" {
			x.pending.begin(e)
		}
	}
	return h(ctx, q)
}

// node is the node asked for. It refuses requests that name none, and says of one
// that is not there what missing is.
func (q *query) find(missing error) (*node, error) {
	if q.node == "" {
		return nil, errNodeRequired
	}
	n := q.a.nodes[q.node]
	if n == nil {
		if q.owner {
			return nil, errNotFound
		}
		return nil, missing
	}
	return n, nil
}

// owned is find for what the owner alone may do.
func (q *query) owned() (*node, error) {
	if q.node == "" {
		return nil, errNodeRequired
	}
	if !q.owner {
		return nil, errForbidden
	}
	return q.find(errForbidden)
}

func (x *Extension) failed(ctx context.Context, e *mux.Event, what string, err error) {
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, what, slog.String("account", e.Account.String()), slog.Any("err", err))
}

// now is when something happens, as stores keep it.
func now() time.Time { return time.Now().Truncate(time.Microsecond) }
