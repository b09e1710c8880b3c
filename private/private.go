// Package private keeps XML of clients' own for them, XEP-0049: Private XML
// Storage, version 1.2: the server's side, and functions for clients.
//
// An account has one element for each name and namespace. Who asks for one that
// is not there gets an empty element of that name. Elements may also be kept
// elsewhere (Options.Elsewhere), such as bookmarks by the package that publishes
// them.
//
//	m, err := mux.New(host, nil, private.New(new(private.Memory), nil), …)
//
// # Security
//
// Nobody but the account itself can read or write; all others are answered with
// forbidden, whether or not there is such an account (§3). What an account may
// keep is bounded.
package private

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of the request, and the feature.
const NS = "jabber:iq:private"

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaxBytes bounds what one account may keep, in octets of XML and of its names;
	// 0 or less for 256 KiB (core-im LIM-21). What would exceed it is refused with
	// not-acceptable.
	MaxBytes int
	// MaxElements bounds how many elements that may be; 0 or less for 1000.
	MaxElements int
	// Elsewhere says who keeps the elements of a name instead of the store; nil, as
	// a result too, stands for the store. It must not wait, and answer alike always.
	Elsewhere func(name xml.Name) *Keeper
	// Logger is for failures of the store (Error); nil discards.
	Logger *slog.Logger
}

// Keeper keeps the elements of a name in another place. Its functions are called
// in the account's turn and may wait for a store. Errors are answered as those of
// a [mux.Handler].
type Keeper struct {
	// Get returns the element, empty if there is none.
	Get func(ctx context.Context, e *mux.Event) (mux.Raw, error)
	// Set replaces it.
	Set func(ctx context.Context, e *mux.Event, element mux.Child) error
}

var _ mux.Extension = (*Extension)(nil)

// Extension answers clients. Make one with New; it belongs to one mux.
type Extension struct {
	store   Store
	opt     Options
	shelves mux.AccountKey[shelf]
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
	if x.opt.MaxElements <= 0 {
		x.opt.MaxElements = 1000
	}
	if x.opt.Elsewhere == nil {
		x.opt.Elsewhere = func(xml.Name) *Keeper { return nil }
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "private" }

var (
	errNoStore       = errors.New("no store")
	errForbidden     = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errBadRequest    = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errNotAcceptable = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	errInternal      = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.shelves = mux.AccountSlot[shelf](r)
	query := xml.Name{Space: NS, Local: "query"}
	r.IQ(mux.AtSelf, stanza.GetIQ, query, x.get, mux.Blocks())
	r.IQ(mux.AtSelf, stanza.SetIQ, query, x.set, mux.Blocks())
	for _, s := range []mux.Scope{mux.AtHost, mux.AtAccount} {
		r.IQ(s, stanza.GetIQ, query, forbidden)
		r.IQ(s, stanza.SetIQ, query, forbidden)
	}
	mux.On(r, x.accountRemoved)
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS)
		return nil
	})
	return nil
}

// forbidden is the answer to whoever asks for another's data (XEP-0049 §3).
func forbidden(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
	return nil, errForbidden
}

// get answers with one element (XEP-0049 §3).
func (x *Extension) get(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	asked, err := elements(e.Stanza)
	if err != nil {
		return nil, err
	}
	if len(asked) != 1 {
		return nil, errBadRequest // one name at a time
	}
	name := asked[0].Name
	var raw mux.Raw
	if k := x.opt.Elsewhere(name); k != nil {
		raw, err = k.Get(ctx, e)
	} else {
		raw, err = x.load(ctx, e, name)
	}
	if err != nil {
		return nil, err
	}
	if raw == "" {
		raw = empty(name)
	}
	return mux.Raw("<query xmlns='" + NS + "'>" + string(raw) + "</query>"), nil
}

// set replaces elements.
func (x *Extension) set(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	given, err := elements(e.Stanza)
	if err != nil {
		return nil, err
	}
	var ours []mux.Child
	for _, c := range given {
		if k := x.opt.Elsewhere(c.Name); k == nil {
			ours = append(ours, c)
		}
	}
	s, err := x.shelf(ctx, e)
	if err != nil {
		return nil, err
	}
	if !s.fits(ours, x.opt.MaxBytes, x.opt.MaxElements) {
		return nil, errNotAcceptable
	}
	for _, c := range given {
		if k := x.opt.Elsewhere(c.Name); k != nil {
			if err := k.Set(ctx, e, c); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range ours {
		s.put(e, c)
		e.Work.Write(x.store.Set(e.Account, c.Name, c.Raw()))
	}
	return nil, nil
}

// Load reads an element of the turn's account from the store, whoever keeps those of
// its name; empty if there is none. It is for a [Keeper] that leaves a part there. It
// may wait for the store.
func (x *Extension) Load(ctx context.Context, e *mux.Event, name xml.Name) (mux.Raw, error) {
	return x.load(ctx, e, name)
}

// Put replaces an element in the store, likewise. It is refused as if the client had
// set it. It may wait for the store.
func (x *Extension) Put(ctx context.Context, e *mux.Event, element mux.Child) error {
	s, err := x.shelf(ctx, e)
	if err != nil {
		return err
	}
	if !s.fits([]mux.Child{element}, x.opt.MaxBytes, x.opt.MaxElements) {
		return errNotAcceptable
	}
	s.put(e, element)
	e.Work.Write(x.store.Set(e.Account, element.Name, element.Raw()))
	return nil
}

// load reads an element, empty if there is none.
func (x *Extension) load(ctx context.Context, e *mux.Event, name xml.Name) (mux.Raw, error) {
	s, err := x.shelf(ctx, e)
	if err != nil {
		return "", err
	}
	if _, ok := s.sizes[name]; !ok {
		return "", nil
	}
	if f := s.fresh[name]; f != nil {
		if raw := f.raw.Load(); raw != nil {
			return mux.Raw(*raw), nil
		}
	}
	raw, err := x.store.Load(ctx, e.Account, name)
	if err != nil {
		return "", x.failed(ctx, e, err)
	}
	return mux.Raw(raw), nil
}

// shelf is what is known of the account of the turn.
func (x *Extension) shelf(ctx context.Context, e *mux.Event) (*shelf, error) {
	s := x.shelves.Of(e)
	if s.sizes == nil {
		sizes, err := x.store.Sizes(ctx, e.Account)
		if err != nil {
			return nil, x.failed(ctx, e, err)
		}
		s.sizes = make(map[xml.Name]int, len(sizes))
		for name, n := range sizes {
			s.note(name, n)
		}
	}
	return s, nil
}

func (x *Extension) failed(ctx context.Context, e *mux.Event, err error) error {
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, "private data cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
	return errInternal
}

// accountRemoved removes what is kept of an account.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	e.Work.Write(x.store.RemoveAccount(e.Account))
	*x.shelves.Of(e) = shelf{sizes: make(map[xml.Name]int)}
	return nil
}
