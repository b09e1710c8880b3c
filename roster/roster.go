// Package roster keeps the contact lists of accounts and the subscriptions to
// presence, RFC 6121 §2 and §3, on the server's side.
//
// It answers roster requests with versioning (§2.6), pushes changes to every
// interested session, carries out the whole subscription state machine of
// Appendix A, including requests that wait for an answer and approval in
// advance (§3.4), sends requests that were not answered again (§3.1.2), and takes
// leave of the contacts of an account that is removed.
// What an account sends to its contacts beside that, package presence does; it
// learns of changes through [mux.SubscriptionChanged] and asks the [Extension]
// through an interface of its own:
//
//	contacts := roster.New(new(roster.Memory), nil)
//	m, err := mux.New(host, nil, contacts, presence.New(contacts, nil), …)
//
// A client uses mellium.im/xmpp/roster.
//
// # Methods for other extensions
//
// [Extension.Cached], [Extension.Load], [Extension.Subscription],
// [Extension.Contacts] and [Extension.Requests] are for the account of the turn
// at hand. A roster is read from the store once while an account is in use. The
// first use may wait for the store, so handlers that need a roster register with
// mux.BlocksIf of the negation of Cached.
//
// # Security
//
// Only an account itself sees or changes its roster; others get the same refusal
// whether or not the account exists. Everything a client or contact can make
// grow is bounded, see [Options].
package roster

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"sync/atomic"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces.
const (
	NS            = "jabber:iq:roster"
	NSVersioning  = "urn:xmpp:features:rosterver"    // stream feature (RFC 6121 §2.6.1)
	NSPreApproval = "urn:xmpp:features:pre-approval" // stream feature (RFC 6121 §3.4.1)
)

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaxItems bounds the contacts of an account; 0 or less for 5000. One more is
	// refused with not-acceptable (core-im LIM-14).
	MaxItems int
	// MaxGroups bounds the groups of one contact; 0 or less for 20. More are
	// refused with not-acceptable (core-im LIM-14).
	MaxGroups int
	// MaxName bounds the name of a contact and of a group, in octets; 0 or less
	// for 1023. Longer ones are refused with not-acceptable (core-im LIM-14).
	MaxName int
	// MaxRequests bounds the subscription requests of contacts that an account has
	// not answered; 0 or less for 1000. One more is dropped (core-im LIM-15).
	MaxRequests int
	// MaxRequestBytes bounds the same in octets; 0 or less for 1 MiB.
	MaxRequestBytes int
	// Logger is for misbehaving peers (Warn) and failures of the store (Error);
	// nil discards.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	def := func(v *int, n int) {
		if *v <= 0 {
			*v = n
		}
	}
	def(&d.MaxItems, 5000)
	def(&d.MaxGroups, 20)
	def(&d.MaxName, 1023)
	def(&d.MaxRequests, 1000)
	def(&d.MaxRequestBytes, 1<<20)
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

var (
	_ mux.Extension = (*Extension)(nil)

	queryName  = xml.Name{Space: NS, Local: "query"}
	errNoStore = errors.New("no store")
)

// Extension keeps rosters. Make one with New; it belongs to one mux.
type Extension struct {
	store      Store
	opt        Options
	contacts   mux.AccountKey[contacts]
	interested mux.Key[interest]
	present    mux.Key[bool] // was told to be available; in turns only
}

// New returns the extension. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	return &Extension{store: store, opt: o.withDefaults()}
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "roster" }

// interest says whether a session has asked for the roster, so that it gets
// pushes (RFC 6121 §2.2). It is set in turns and saved outside of them.
type interest struct{ atomic.Bool }

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.contacts = mux.AccountSlot[contacts](r)
	x.interested = mux.PersistentSlot(r, "roster", mux.Codec[interest]{
		Encode: func(dst []byte, v *interest) []byte {
			if v.Load() {
				return append(dst, 1)
			}
			return append(dst, 0)
		},
		Decode: func(src []byte, v *interest) error {
			v.Store(len(src) > 0 && src[0] == 1)
			return nil
		},
	})
	x.present = mux.Slot[bool](r)
	absent := mux.BlocksIf(func(e *mux.Event) bool { return !x.Cached(e) })
	r.IQ(mux.AtSelf, stanza.GetIQ, queryName, x.get, absent)
	r.IQ(mux.AtSelf, stanza.SetIQ, queryName, x.set, absent)
	for _, t := range []stanza.IQType{stanza.GetIQ, stanza.SetIQ} {
		// RFC 6121 §2.3.3: never somebody else's.
		r.IQ(mux.AtAccount, t, queryName, func(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
			return nil, errForbidden
		})
	}
	moves := mux.BlocksIf(func(e *mux.Event) bool {
		_, ok := moveOf(e.Stanza.Type())
		return ok && !x.Cached(e)
	})
	r.Modify(mux.FromAccount, mux.Presence, x.outgoing, moves)
	r.Modify(mux.ToAccount, mux.Presence, x.incoming, moves)
	r.Observe(mux.FromPeer, mux.Presence, x.came, mux.BlocksIf(func(e *mux.Event) bool {
		return e.Stanza.Type() == "" && e.Stanza.To().IsZero() && !x.Cached(e)
	}))
	mux.On(r, x.accountClosing)
	mux.On(r, x.accountRemoved)
	mux.On(r, x.stateLost)
	mux.On(r, x.blockChanged)
	r.Feature(feature("roster versioning", "<ver xmlns='"+NSVersioning+"'/>"))
	r.Feature(feature("subscription pre-approval", "<sub xmlns='"+NSPreApproval+"'/>"))
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS)
		return nil
	})
	return nil
}

// feature is one that is announced only.
func feature(name, element string) mux.Feature {
	return mux.Feature{
		Name: name, Needs: mux.Authenticated,
		List: func(context.Context, *mux.Stream) xmlstream.Marshaler { return mux.Raw(element) },
	}
}

// Errors that requests are refused with.
var (
	errForbidden     = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errBadRequest    = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errNotAcceptable = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	errMalformed     = stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed}
	errNotAllowed    = stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed}
	errNotFound      = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
)
