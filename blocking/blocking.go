// Package blocking keeps the blocklists of accounts and enforces them, XEP-0191:
// Blocking Command, version 1.3, for servers and clients.
//
// What a blocked address sends does not reach the account: presence, answers,
// headlines and what rooms say are dropped, other messages and requests are
// answered as if nobody were there (§3.3). What the account sends to it is refused
// with not-acceptable. Invitations that a room passes on for somebody blocked are
// dropped as well. The guards look at everything that enters or leaves the account,
// what the server itself sends on its behalf included. Privacy lists (XEP-0016) are
// not implemented; a report inside a block (XEP-0377) is accepted and ignored.
//
// The extension comes before all that store, copy or count stanzas:
//
//	m, err := mux.New(host, nil, blocking.New(new(blocking.Memory), nil), contacts, presence.New(contacts, nil), …)
//
// Packages roster and presence need no wiring: they learn of changes by
// [mux.BlockChanged].
//
// A client uses [List], [Block], [Unblock] and [UnblockAll], and learns of changes
// by [Watch].
//
// # For other extensions
//
// [Extension.Blocked] is for those who decide about a contact without sending it
// anything, such as whether it may see a node; wired as a func field. A list is read
// from the store once while an account is in use. In turns of a client's stanza,
// or of one that arrives, it is there.
//
// [mux.BlockChanged] is emitted for each address for which something has changed:
// not for one that another item of the list covers. When something is blocked that is
// before the list has changed, so that last words still leave; when it is unblocked,
// after. The turn may wait for a store. The address may be a domain, and of those
// in a domain that was unblocked some may still be blocked by items of their own.
//
// # Security
//
// A list that cannot be read blocks everything: stanzas are refused with
// internal-server-error, or dropped if they must not be answered. Lists are bounded in
// number and octets. The own account and the own server are never blocked, whatever
// the list says. Whether an account has blocked somebody does not show: the
// answer is the one for accounts and resources that do not exist.
package blocking

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"sync/atomic"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces. NS is the feature as well.
const (
	NS       = "urn:xmpp:blocking"
	NSErrors = "urn:xmpp:blocking:errors"
)

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaxItems bounds the addresses an account may block; 0 or less for 5000. One
	// more is refused with resource-constraint (core-im LIM-21).
	MaxItems int
	// MaxBytes bounds the same in octets of all addresses together; 0 or less for
	// 512 KiB, which is what fits into one answer.
	MaxBytes int
	// Logger is for failures of the store (Error); nil discards.
	Logger *slog.Logger
}

var _ mux.Extension = (*Extension)(nil)

// Extension keeps and enforces blocklists. Make one with New; it belongs to one
// mux.
type Extension struct {
	store      Store
	opt        Options
	lists      mux.AccountKey[list]
	interested mux.Key[interest]
}

// interest says whether a session has asked for the list, so that it gets pushes
// (XEP-0191 §3.3). It is set in turns and saved outside of them.
type interest struct{ atomic.Bool }

// New returns the extension. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	x := &Extension{store: store}
	if o != nil {
		x.opt = *o
	}
	if x.opt.MaxItems <= 0 {
		x.opt.MaxItems = 5000
	}
	if x.opt.MaxBytes <= 0 {
		x.opt.MaxBytes = 512 << 10
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "blocking" }

var (
	errNoStore = errors.New("no store")

	listName    = xml.Name{Space: NS, Local: "blocklist"}
	blockName   = xml.Name{Space: NS, Local: "block"}
	unblockName = xml.Name{Space: NS, Local: "unblock"}
)

// Errors that stanzas are refused with.
var (
	errBadRequest  = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errMalformed   = stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed}
	errFull        = stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}
	errInternal    = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	errUnavailable = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}

	// errBlocked: XEP-0191 §3.3.
	errBlocked = &mux.Error{
		Stanza: stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAcceptable},
		App:    "<blocked xmlns='" + NSErrors + "'/>",
	}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.lists = mux.AccountSlot[list](r)
	x.interested = mux.PersistentSlot(r, "blocking", mux.Codec[interest]{
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
	// What a client says may make the server send to many in the same turn.
	r.Guard(mux.FromPeer, mux.AnyStanza, x.prepare, mux.BlocksIf(func(e *mux.Event) bool { return !x.Cached(e) }))
	r.Guard(mux.FromAccount, mux.AnyStanza, x.outgoing, mux.BlocksIf(func(e *mux.Event) bool {
		return !x.Cached(e) && !exempt(e.Account, e.Item.Recipient())
	}))
	r.Guard(mux.ToAccount, mux.AnyStanza, x.incoming, mux.BlocksIf(func(e *mux.Event) bool {
		return !x.Cached(e) && !exempt(e.Account, e.Stanza.From()) && mayExist(e)
	}))
	// Whoever hears of a change may have to wait for a store.
	r.IQ(mux.AtSelf, stanza.GetIQ, listName, x.get, mux.BlocksIf(func(e *mux.Event) bool { return !x.Cached(e) }))
	r.IQ(mux.AtSelf, stanza.SetIQ, blockName, x.block, mux.Blocks())
	r.IQ(mux.AtSelf, stanza.SetIQ, unblockName, x.unblock, mux.Blocks())
	mux.On(r, x.accountRemoved)
	mux.On(r, x.stateLost)
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS)
		return nil
	})
	return nil
}

// mayExist is false for an account that is known not to exist: it has no list.
func mayExist(e *mux.Event) bool {
	exists, known := e.Mux().Host().Account(e.Account)
	return exists || !known
}
