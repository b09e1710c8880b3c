// Package bookmarks keeps the chat rooms of a person the same on all devices, whatever
// they speak: XEP-0402: PEP Native Bookmarks, version 1.2.0, beside XEP-0048: Bookmarks,
// version 1.2, in a node and in private XML (XEP-0049), with XEP-0411: Bookmarks Conversion,
// version 1.1.0; and what is said in bookmarks by XEP-0492: Chat Notification Settings,
// version 0.2.0.
//
// On the server's side an [Extension] makes one of three: the items of the node
// urn:xmpp:bookmarks:1 are the only truth. The old list, in private XML and as the node
// storage:bookmarks, is made of them whenever it is read. Where it is written only what
// differs is published or retracted, and what the writer does not know of stays: that is
// also what others have changed since it has read private XML, of which nobody is told. Web
// pages, which only old lists have, are kept in private XML. Whoever is interested in
// either node is told of each change. What older software has left is moved once.
//
// It stands between the extensions that keep nodes and private XML, packages pep and
// private:
//
//	var marks *bookmarks.Extension
//	events := pep.New(store, &pep.Options{
//		Elsewhere: func(node string) *pep.Keeper { … }, // Node and SetNode, and Refuse for the version before
//		Loaded: func(ctx context.Context, e *mux.Event) error { return marks.Loaded(ctx, e) }, …})
//	personal := private.New(store, &private.Options{
//		Elsewhere: func(name xml.Name) *private.Keeper { … }, // Private and SetPrivate
//	})
//	marks = bookmarks.New(events, personal, nil)
//	events.OnChange(marks.Changed)
//	m, err := mux.New(host, nil, events, personal, marks, …)
//
// # Security
//
// Which rooms somebody is in is nobody else's affair. Before anything of an old list is
// published the node is made a whitelist; where others have a part in it nothing is
// converted at all (XEP-0411 §5), and an old list is kept as private XML.
package bookmarks

import (
	"context"
	"encoding/xml"
	"errors"
	"hash/maphash"
	"iter"
	"log/slog"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Features of an account: bookmarks are the same in private XML, and in the old node
// (XEP-0402 §5.3), and are converted (XEP-0411 §2).
const (
	FeatureCompat     = NS + "#compat"
	FeatureCompatPEP  = NS + "#compat-pep"
	FeatureConversion = "urn:xmpp:bookmarks-conversion:0"
)

// Current is the ID of the one item of the old node.
const Current = "current"

// Nodes is what is needed of whoever keeps nodes, for the account of the turn: such as
// package pep's Extension, where the methods are described.
type Nodes interface {
	// EachItem reads items in the order of publication, of at most that many octets, 0
	// for any number; the payload is empty for those that Changed has been told of and
	// that are not durable yet.
	EachItem(ctx context.Context, e *mux.Event, node string, most int64, yield func(id string, at time.Time, payload mux.Raw)) error
	// Exists reports whether there is a node.
	Exists(ctx context.Context, e *mux.Event, node string) (bool, error)
	// PublishItem publishes if the node is as options say; counted says that it is part
	// of a request that was counted.
	PublishItem(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw, options map[string][]string, counted bool) error
	// Fits is nil if all of these can be published so, counted, and nothing is pushed out,
	// else the error that would come at some point. It changes nothing.
	Fits(ctx context.Context, e *mux.Event, node string, items iter.Seq2[string, mux.Raw], options map[string][]string) error
	// Retract takes an item back and tells of it.
	Retract(ctx context.Context, e *mux.Event, node, id string) error
	// Ensure makes a node or changes it so that it has these fields.
	Ensure(ctx context.Context, e *mux.Event, node string, fields map[string][]string) error
	// Alone reports whether nobody else can have a part in a node.
	Alone(ctx context.Context, e *mux.Event, node string) (bool, error)
	// Remove removes items without telling.
	Remove(ctx context.Context, e *mux.Event, node string, ids []string) error
	// Listens reports, without waiting, whether the account itself wants a node.
	Listens(e *mux.Event, node string) bool
	// Hears reports, without waiting, whether a session wants a node.
	Hears(s *mux.Session, node string) bool
	// Tell sends what [Extension.Node] gives to who wants it.
	Tell(ctx context.Context, e *mux.Event, node string) error
}

// Private is what is needed of whoever keeps private XML: such as package private's
// Extension. Both see what is in the store, not what [Extension.Private] gives.
type Private interface {
	Load(ctx context.Context, e *mux.Event, name xml.Name) (mux.Raw, error)
	Put(ctx context.Context, e *mux.Event, element mux.Child) error
}

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaxBytes bounds the bookmarks of which an old list is made, in octets of items; 0
	// or less for 512 KiB. With more, old lists can be neither read nor written, and nobody
	// is told of them: the answer is resource-constraint.
	MaxBytes int64
	// MaxRooms bounds the rooms of an old list that is written; 0 or less for 2000. More
	// are refused, likewise.
	MaxRooms int
	// Logger is for what cannot be moved (Warn) or read (Error); nil discards.
	Logger *slog.Logger
}

var _ mux.Extension = (*Extension)(nil)

// Extension makes bookmarks of all kinds the same. Make one with New; it belongs to one
// mux. Its methods are called in the account's turn.
type Extension struct {
	nodes    Nodes
	private  Private
	opt      Options
	accounts mux.AccountKey[account]
	sessions mux.Key[base]
	seed     maphash.Seed
}

// New returns the extension. o may be nil and is copied.
func New(nodes Nodes, private Private, o *Options) *Extension {
	x := &Extension{nodes: nodes, private: private, seed: maphash.MakeSeed()}
	if o != nil {
		x.opt = *o
	}
	if x.opt.MaxBytes <= 0 {
		x.opt.MaxBytes = 512 << 10
	}
	if x.opt.MaxRooms <= 0 {
		x.opt.MaxRooms = 2000
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "bookmarks" }

var (
	errNothing = errors.New("no nodes or no private XML")
	errBadList = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest, Text: map[string]string{"en": "That is no list of bookmarks"}}
	errTooMany = stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}
	errOld     = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAllowed,
		Text: map[string]string{"en": "Bookmarks are at " + NS + " now"}}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.nodes == nil || x.private == nil {
		return errNothing
	}
	x.accounts = mux.AccountSlot[account](r)
	x.sessions = mux.Slot[base](r)
	for _, s := range []mux.Scope{mux.AtSelf, mux.AtAccount} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			if q.Node == "" && !q.Items {
				q.Feature(FeatureCompat, FeatureCompatPEP, FeatureConversion)
			}
			return nil
		})
	}
	return nil
}

// Refuse is what is said to who publishes to the node of the version before.
func (*Extension) Refuse(context.Context, *mux.Event, mux.Raw) error { return errOld }

func (x *Extension) failed(ctx context.Context, e *mux.Event, what string, err error) {
	level := slog.LevelError
	var refused stanza.Error
	if errors.As(err, &refused) {
		level = slog.LevelWarn
	}
	x.opt.Logger.LogAttrs(ctx, level, what, slog.String("account", e.Account.String()), slog.Any("err", err))
}
