// Package register lets people make an account, change its password and remove
// it, over XMPP itself: XEP-0077: In-Band Registration, version 2.4, on the
// server's side, and the last two for clients.
//
// It speaks the plain fields username and password. Data forms (§4), redirection
// (§5), invitations, CAPTCHAs, and the demand for the old password (§3.3) are not
// part of it yet, nor is registration with services other than the server.
//
// # Assembling
//
// Accounts are kept behind [Accounts], which scram.Service satisfies:
//
//	accounts := scram.NewService(store, nil)
//	m, err := mux.New(host, nil, …, register.New(accounts, &register.Options{Open: true}))
//
// Before authentication package negotiate offers and steps the stream feature.
// In a session requests to the server and to the own account are served alike.
//
// # Security
//
// Registration is closed unless [Options.Open] says otherwise, works inside TLS
// only, and asks a [Limiter] first: by default few accounts for each source. An
// answer never repeats what was sent. To tell a name that is taken from one that
// is free is unavoidable where registration is open; the limits slow that down.
package register

import (
	"context"
	"encoding/xml"
	"log/slog"
	"net"
	"net/netip"
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
// must be safe for concurrent use.
//
// An error that is or wraps a [Refusal] is answered with what the refusal says;
// any other is a failure of the server.
type Accounts interface {
	// Prepare returns the localpart of a new account for a name as it was typed.
	Prepare(name string) (local string, err error)
	// Create makes an account. Of several calls at once for one name exactly one
	// succeeds.
	Create(ctx context.Context, account, password string) error
	// SetPassword replaces the password, and leaves the old one in force on error.
	SetPassword(ctx context.Context, account, password string) error
	// Remove removes the account with its credentials.
	Remove(ctx context.Context, account string) error
}

// Options refine an Extension. The zero value is ready to use and lets nobody
// register.
type Options struct {
	// Open lets everybody make an account. Otherwise the feature is not offered
	// and requests get service-unavailable.
	Open bool
	// Instructions are shown to those who register; empty means
	// [DefaultInstructions].
	Instructions string
	// KeepPassword and KeepAccount refuse to change passwords and to remove
	// accounts, with not-allowed.
	KeepPassword, KeepAccount bool
	// Limiter bounds how often accounts are made; nil means a [MemoryLimiter] with
	// its defaults, and [Unlimited] is none.
	Limiter Limiter
	// Reserved reports whether nobody may have a name, which is prepared already;
	// nil means [IsReserved]. Such names are refused as if they were taken.
	Reserved func(local string) bool
	// Source is where the peer of a stream is; invalid if that is not known. nil
	// asks the stream's Conn for a method RemoteAddr, as net.Conn has it.
	Source func(st *mux.Stream) netip.Addr
	// Created is told of each new account, outside of any turn; nil for nothing.
	Created func(ctx context.Context, account mux.Address, source netip.Addr)
	// Deadline is the time in which a stream that has asked about registration
	// must have logged in; 0 or less means [DefaultDeadline].
	Deadline time.Duration
	// Logger gets failures of Accounts (Error) and refusals by the limiter (Warn);
	// nil discards.
	Logger *slog.Logger
}

var _ mux.Extension = (*Extension)(nil)

// Extension serves registration. It is safe for concurrent use.
type Extension struct {
	accounts Accounts
	opt      Options
}

// New returns the extension. The accounts must not be nil; o may be, and is
// copied.
func New(accounts Accounts, o *Options) *Extension {
	x := &Extension{accounts: accounts}
	if o != nil {
		x.opt = *o
	}
	if x.opt.Instructions == "" {
		x.opt.Instructions = DefaultInstructions
	}
	if x.opt.Limiter == nil {
		x.opt.Limiter = NewMemoryLimiter(nil)
	}
	if x.opt.Reserved == nil {
		x.opt.Reserved = IsReserved
	}
	if x.opt.Source == nil {
		x.opt.Source = sourceOf
	}
	if x.opt.Deadline <= 0 {
		x.opt.Deadline = DefaultDeadline
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// sourceOf asks the connection.
func sourceOf(st *mux.Stream) netip.Addr {
	c, ok := st.Conn().(interface{ RemoteAddr() net.Addr })
	if !ok {
		return netip.Addr{}
	}
	switch a := c.RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	case nil:
		return netip.Addr{}
	default:
		p, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return netip.Addr{}
		}
		return p.Addr().Unmap()
	}
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "register" }

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	name := xml.Name{Space: NS, Local: "query"}
	deadline := x.opt.Deadline
	if !x.opt.Open {
		deadline = 0 // there is no form to be filled in (core-im LC-20)
	}
	r.Feature(mux.Feature{
		Name: "register", Forbids: mux.Authenticated, Owns: []xml.Name{name},
		List: x.list, Step: x.step, Deadline: deadline,
	})
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf} {
		r.IQ(s, stanza.GetIQ, name, x.get)
		// Accounts may wait; only own clients get that far.
		r.IQ(s, stanza.SetIQ, name, x.set, mux.BlocksIf(func(e *mux.Event) bool { return e.Session != nil }))
	}
	// XEP-0077 §10: what clients may do once they are logged in.
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		if !x.opt.KeepPassword || !x.opt.KeepAccount {
			q.Feature(NS)
		}
		return nil
	})
	return nil
}
