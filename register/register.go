// Package register lets people make an account, change its password and remove it,
// over XMPP itself: XEP-0077: In-Band Registration, version 2.4, with data forms
// (XEP-0004), challenges (XEP-0158 1.0.1) and redirection, for servers and clients. With
// it go invitations: XEP-0401: Ad-hoc Account Invitation Generation 0.6.0, XEP-0445:
// Pre-Authenticated In-Band Registration 0.2.0 and XEP-0379: Pre-Authenticated Roster
// Subscription 0.3.3, and their xmpp: URIs (RFC 5122, XEP-0147).
//
// Clients register with other services, such as gateways, by [FormAt], [RegisterAt] and
// [RemoveAt]; the service's side of that is not part of it.
//
// # Assembling
//
// Accounts are kept behind [Accounts], which scram.Service satisfies, and whatever else
// there is to remember behind [Store]:
//
//	accounts := scram.NewService(store, nil)
//	people := register.New(accounts, &register.Options{Policy: register.ByInvite, Store: …})
//	m, err := mux.New(host, nil, …, people)
//
// Before authentication package negotiate offers and steps the stream features. In a
// session requests to the server and to the own account are served alike. Invitations
// are made by [Extension.Invite], or by users with the functions RunInvite and
// RunCreateAccount, which are commands for package adhoc, as are RunListInvites and
// RunRevokeInvites for what they have handed out. Whatever makes accounts in another
// way, such as the pages of package web/signup, calls [Extension.SignUp].
//
// Mux.Start must be called: it finishes what a crash has interrupted. A removed account
// is marked in the store first, then its sessions end and every extension removes what
// it keeps, and the credentials go last, so that it can be done again at any point.
//
// # Security
//
// Registration is closed unless [Options.Policy] says otherwise, works inside TLS only,
// and asks a [Limiter] first: by default few accounts for each source. An answer never
// repeats what was sent. Of tokens only hashes are kept. To tell a name that is taken
// from one that is free is unavoidable where registration is open; the limits slow that
// down. Names that look like another's (UTS 39) count as taken.
package register

import (
	"context"
	"encoding/xml"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// The namespaces: of requests, which is the feature in service discovery as well,
// and of the stream feature.
const (
	NS        = "jabber:iq:register"
	NSFeature = "http://jabber.org/features/iq-register"
)

// DefaultInstructions is the default of [Options.Instructions].
const DefaultInstructions = "Choose a username and password for use with this service."

// DefaultDeadline is the default of [Options.Deadline].
const DefaultDeadline = 5 * time.Minute

// Accounts keeps accounts and their passwords. An account is named by its bare
// JID, both parts prepared. All methods but Prepare may wait, for a store or for
// keys to be derived, and are called outside of turns or in turns that may; they
// must be safe for concurrent use. What is to be done also goes into the same
// transaction.
//
// An error that is or wraps a [Refusal] is answered with what the refusal says, and so
// is a refusal of what is done also; any other is a failure of the server.
//
// Accounts should be a [Closer], a [Verifier] and a [Disabler], too.
type Accounts interface {
	// Prepare returns the localpart of a new account for a name as it was typed.
	Prepare(name string) (local string, err error)
	// CreateWith makes an account. Of several calls at once for one name exactly one
	// succeeds.
	CreateWith(ctx context.Context, account, password string, disabled bool, also ...Also) error
	// SetPasswordWith replaces the password, and leaves the old one in force on error.
	SetPasswordWith(ctx context.Context, account, password string, also ...Also) error
	// Remove removes the account with its credentials.
	Remove(ctx context.Context, account string) error
}

// Closer is what accounts can do that are removed in steps. Without it credentials are
// removed first, and a removal that a crash interrupts is not finished.
type Closer interface {
	// Close notes that an account is to be removed when it is due. From here on
	// nobody can log in.
	Close(ctx context.Context, account string, due time.Time) error
	// Closing returns those accounts, and when they are due.
	Closing(ctx context.Context) (map[string]time.Time, error)
}

// Verifier checks a password, for [Options.AskPassword].
type Verifier interface {
	Verify(ctx context.Context, account, password string) (bool, error)
}

// Disabler lets in those who were approved.
type Disabler interface {
	SetDisabled(ctx context.Context, account string, disabled bool) error
}

// Options refine an Extension. The zero value is ready to use and lets nobody
// register.
type Options struct {
	// Policy says who may make an account. Where it is Closed the feature is not
	// offered and requests get service-unavailable.
	Policy Policy
	// Store keeps invitations and so on; nil means a [Memory].
	Store Store
	// Instructions are shown to those who register; empty means
	// [DefaultInstructions].
	Instructions string
	// Redirect is the address of a page where those register who show no invitation;
	// empty for none (XEP-0077 §5).
	Redirect string
	// Challenger sets a challenge to those who show no invitation; nil for none.
	Challenger Challenger
	// ChallengePage is the address of a page where those register whose client cannot
	// answer the challenge; empty for none (XEP-0158 §5).
	ChallengePage string
	// KeepPassword and KeepAccount refuse to change passwords and to remove
	// accounts, with not-allowed.
	KeepPassword, KeepAccount bool
	// AskPassword reports whether the session of e must give the password of the
	// account before that is changed or the account removed, such as one that was let
	// in by a token; nil for never. It is called in the account's turn and must not
	// wait. Accounts must be a [Verifier].
	AskPassword func(e *mux.Event) bool
	// Guessed is told, in the account's turn and before the session of e ends for it, that
	// it has given wrong passwords too often, so that whoever has let it in does not do so
	// again; nil for nothing.
	Guessed func(ctx context.Context, e *mux.Event)
	// Limiter bounds how often accounts are made; nil means a [MemoryLimiter] with
	// its defaults, and [Unlimited] is none.
	Limiter Limiter
	// Reserved reports whether nobody may have a name, which is prepared already;
	// nil means [IsReserved]. Such names are refused as if they were taken.
	Reserved func(local string) bool
	// Source is where the peer of a stream is; invalid if that is not known. nil
	// asks the stream's Conn for a method RemoteAddr, as net.Conn has it.
	Source func(st *mux.Stream) netip.Addr
	// Before may refuse, with a stanza.Error or [mux.Error] that says why, before an
	// account is made or got a new password by a link; nil refuses nothing. Created is
	// told of each new account that can be used, and Audit of every try that came as
	// far as a name; nil for nothing. They are called outside of turns.
	Before  func(ctx context.Context, r *Request, account mux.Address) error
	Created func(ctx context.Context, account mux.Address, source netip.Addr)
	Audit   func(ctx context.Context, a Audit)
	// Deadline is the time in which a stream that has asked about registration
	// must have logged in; 0 or less means [DefaultDeadline]. LoginTime is the time
	// from a registration to the login; 0 or less means 60 s.
	Deadline, LoginTime time.Duration
	// Grace is how long a removed account is kept, so that the operator can bring it
	// back; 0 or less removes it at once.
	Grace time.Duration
	// Tombstone is how long nobody can have the name of a removed account; 0 means for
	// ever, less is not at all. An operator can give it to somebody.
	Tombstone time.Duration
	// MaxWaiting bounds those who wait for approval, 0 for 1000, and
	// ApplicationLifetime how long one does, 0 for 30 days.
	MaxWaiting          int
	ApplicationLifetime time.Duration
	// InviteLifetime is how long an invitation is valid, 0 for [InviteLifetime];
	// MaxInvites how many uses all of one user may have, 0 for [OpenInvites], less is
	// no bound.
	InviteLifetime time.Duration
	MaxInvites     int
	// MayInvite reports whether the session of e may make an invitation of a kind;
	// nil means that all may where registration is not closed. It must not wait.
	MayInvite func(e *mux.Event, kind InviteKind) bool
	// Landing is the address of the page for an invitation, with the token in its
	// fragment (XEP-0401 §5.1); nil for none.
	Landing func(token string) string
	// Active reports whether an account can be logged in to: invitations of one that
	// cannot are void, as are links for a new password of it. Exists reports whether there is one; no name is reserved that
	// has one. nil takes it for so, and for not so. Both may wait.
	Active, Exists func(ctx context.Context, account mux.Address) (bool, error)
	// Apply makes changes durable where no mux runs, such as in a tool; nil has the
	// mux do it.
	Apply func(ctx context.Context, writes ...mux.Write) error
	// Logger gets failures of Accounts (Error) and, once a second, how much the
	// limiter has refused (Warn); nil discards.
	Logger *slog.Logger
}

var _ mux.Extension = (*Extension)(nil)

// Extension serves registration. It is safe for concurrent use.
type Extension struct {
	accounts Accounts
	closer   Closer // nil if accounts is none, as the others
	verifier Verifier
	disabler Disabler
	opt      Options

	mux     atomic.Pointer[mux.Mux] // once it has started
	streams mux.StreamKey[streamState]
	fails   mux.Key[int] // wrong passwords in a session
	quiet   sync.Map     // mux.Address: removed without a tombstone

	refusals refusals
	working  sync.WaitGroup
	stop     context.CancelFunc // of sweeping
}

// New returns the extension. The accounts must not be nil; o may be, and is
// copied.
func New(accounts Accounts, o *Options) *Extension {
	x := &Extension{accounts: accounts}
	x.closer, _ = accounts.(Closer)
	x.verifier, _ = accounts.(Verifier)
	x.disabler, _ = accounts.(Disabler)
	if o != nil {
		x.opt = *o
	}
	x.opt.complete()
	return x
}

func (o *Options) complete() {
	if o.Store == nil {
		o.Store = new(Memory)
	}
	if o.Instructions == "" {
		o.Instructions = DefaultInstructions
	}
	if o.Limiter == nil {
		o.Limiter = NewMemoryLimiter(nil)
	}
	if o.Reserved == nil {
		o.Reserved = IsReserved
	}
	if o.Source == nil {
		o.Source = sourceOf
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Deadline, DefaultDeadline}, {&o.LoginTime, time.Minute}, {&o.ApplicationLifetime, 30 * day}, {&o.InviteLifetime, InviteLifetime}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 1000
	}
	if o.MaxInvites == 0 {
		o.MaxInvites = OpenInvites
	}
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "register" }

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	x.streams, x.fails = mux.StreamSlot[streamState](r), mux.Slot[int](r)
	deadline := x.opt.Deadline
	if x.opt.Policy == Closed {
		deadline = 0 // there is no form to be filled in (core-im LC-20)
	}
	r.Feature(mux.Feature{
		Name: "register", Forbids: mux.Authenticated, Owns: []xml.Name{queryName},
		List: x.list, Step: x.step, Deadline: deadline,
	})
	r.Feature(mux.Feature{
		Name: "register token", Forbids: mux.Authenticated, Owns: []xml.Name{preauthName},
		List: x.listToken, Step: x.preauth, Deadline: x.opt.Deadline,
	})
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf} {
		r.IQ(s, stanza.GetIQ, queryName, x.get)
		// Accounts may wait; only own clients get that far.
		r.IQ(s, stanza.SetIQ, queryName, x.set, mux.BlocksIf(func(e *mux.Event) bool { return e.Session != nil }))
	}
	r.Guard(mux.ToAccount, mux.Presence, x.invited, mux.BlocksIf(func(e *mux.Event) bool { return shown(e.Stanza) != "" }))
	mux.On(r, x.accountRemoved)
	// XEP-0077 §10: what clients may do once they are logged in.
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		if !x.opt.KeepPassword || !x.opt.KeepAccount {
			q.Feature(NS)
		}
		return nil
	})
	return nil
}

var queryName = xml.Name{Space: NS, Local: "query"}
