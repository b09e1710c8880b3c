// Package disco answers service discovery on the server's side: XEP-0030: Service
// Discovery, version 2.5.0, with the forms of XEP-0128: Service Discovery
// Extensions, version 1.0.1; the server's own hash of XEP-0115: Entity
// Capabilities, version 1.6.0; and the contact addresses of XEP-0157: Contact
// Addresses for XMPP Services, version 1.1.1.
//
// What there is to tell comes from the other extensions, which register
// providers with [mux.Registry.Disco]; this one asks them, sorts, drops what is
// said twice, and decides who may know. Publishing items (XEP-0030 §5)
// and the optimization of presence (XEP-0115 §8.4) are not part of it.
//
//	m, err := mux.New(host, nil, ping.New(), …, disco.New(&disco.Options{
//		Name:   "example.net",
//		MaySee: subscribed, // a function of whoever knows subscriptions
//	}))
//
// A client uses mellium.im/xmpp/disco.
//
// # Security
//
// Requests to the bare address of somebody else are answered alike whether the
// account exists or not, unless [Options.MaySee] allows them (XEP-0030 §8).
package disco

import (
	"context"
	"encoding/xml"
	"log/slog"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// The namespaces, which are features as well.
const (
	NSInfo  = "http://jabber.org/protocol/disco#info"
	NSItems = "http://jabber.org/protocol/disco#items"
	NSCaps  = "http://jabber.org/protocol/caps"
)

// DefaultNode is the default of [Options.Node].
const DefaultNode = "https://github.com/propolis-im/propolis"

// Options refine an Extension. The zero value is ready to use.
type Options struct {
	// Name is the name of the server's identity; empty means Propolis.
	Name string
	// Contacts are told to whoever asks a served domain; nil for none. Without those
	// for Abuse and Admin a warning is logged at the start.
	Contacts *Contacts
	// Items are listed for served domains, such as components that no extension
	// knows of; what extensions host they list themselves.
	Items []mux.DiscoItem
	// MaySee reports whether from, a full or bare address, may know about an
	// account of ours: those whom the account sends its presence to (XEP-0030 §8).
	// It is called in the account's turn, may wait where Waits said so, and may not
	// keep e. nil means nobody.
	MaySee func(ctx context.Context, e *mux.Event, account, from mux.Address) bool
	// Waits reports whether MaySee would have to wait for a store, as [mux.BlocksIf]
	// asks it; nil means never.
	Waits func(e *mux.Event) bool
	// Node says which software this is in the capabilities (XEP-0115 §4), a URI;
	// empty means [DefaultNode].
	Node string
	// Logger is for what the operator should know (Warn); nil discards.
	Logger *slog.Logger
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
)

// Extension answers service discovery.
type Extension struct {
	opt  Options
	caps capsCache
}

// New returns the extension. o may be nil and is copied.
func New(o *Options) *Extension {
	x := &Extension{}
	if o != nil {
		x.opt = *o
	}
	if x.opt.Name == "" {
		x.opt.Name = "Propolis"
	}
	if x.opt.Node == "" {
		x.opt.Node = DefaultNode
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	if x.opt.MaySee == nil {
		x.opt.MaySee = func(context.Context, *mux.Event, mux.Address, mux.Address) bool { return false }
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "disco" }

// Register implements [mux.Extension]. Errors are those of [Contacts.Check].
func (x *Extension) Register(r *mux.Registry) error {
	if err := x.opt.Contacts.Check(); err != nil {
		return err
	}
	info, items := xml.Name{Space: NSInfo, Local: "query"}, xml.Name{Space: NSItems, Local: "query"}
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		var o []mux.RegisterOption
		if s != mux.AtHost && x.opt.Waits != nil {
			o = append(o, mux.BlocksIf(x.opt.Waits))
		}
		r.IQ(s, stanza.GetIQ, info, func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			return x.answer(ctx, e, s, false)
		}, o...)
		r.IQ(s, stanza.GetIQ, items, func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			return x.answer(ctx, e, s, true)
		}, o...)
	}
	r.Disco(mux.AtHost, x.ofHost)
	r.Disco(mux.AtSelf, ofAccount)
	r.Disco(mux.AtAccount, ofAccount)
	r.Feature(mux.Feature{Name: "caps", Needs: mux.Secure, List: x.feature})
	return nil
}

// Start implements [mux.Starter]: the hash of the capabilities is worked out
// anew for the extensions that the mux has.
func (x *Extension) Start(ctx context.Context, _ *mux.Mux) error {
	x.caps.reset()
	if c := x.opt.Contacts; c == nil || len(c.Abuse) == 0 || len(c.Admin) == 0 {
		x.opt.Logger.WarnContext(ctx, "no contact addresses for abuse and admin are announced") // core-im DI-6
	}
	return nil
}

// ofHost is what is known here about a served domain.
func (x *Extension) ofHost(_ context.Context, q *mux.DiscoQuery) error {
	switch {
	case q.Node != "":
	case q.Items:
		q.Children = append(q.Children, x.opt.Items...)
	default:
		q.Identities = append(q.Identities, mux.DiscoIdentity{Category: "server", Type: "im", Name: x.opt.Name})
		q.Feature(NSInfo, NSItems, NSCaps)
		if f := x.opt.Contacts.form(); f != nil {
			q.Forms = append(q.Forms, f)
		}
	}
	return nil
}

// ofAccount is what is known here about an account.
func ofAccount(_ context.Context, q *mux.DiscoQuery) error {
	if q.Node == "" && !q.Items {
		q.Identities = append(q.Identities, mux.DiscoIdentity{Category: "account", Type: "registered"})
		q.Feature(NSInfo, NSItems)
	}
	return nil
}

// Errors that discovery answers with.
var (
	errUnavailable = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}
	errNoNode      = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
)

// answer answers one request.
func (x *Extension) answer(ctx context.Context, e *mux.Event, s mux.Scope, items bool) (xmlstream.Marshaler, error) {
	node := nodeOf(e.Stanza)
	q := &mux.DiscoQuery{Scope: s, Address: e.Stanza.To().Bare(), From: e.Stanza.From(), Node: node, Items: items, Event: e}
	if q.Address.IsZero() {
		q.Address = e.Account
	}
	switch {
	case s != mux.AtAccount || !e.Unknown && x.opt.MaySee(ctx, e, q.Address, q.From):
	case items:
		return writeItems(q), nil // XEP-0030 §8: as for an account that does not exist
	default:
		return nil, errUnavailable
	}
	if s == mux.AtHost && !items && node != "" {
		c, err := x.caps.of(ctx, e.Mux(), q.Address, x.opt.Node)
		if err != nil {
			return nil, err
		}
		if node == c.node {
			return c.info, nil
		}
	}
	if err := e.Mux().Disco(ctx, q); err != nil {
		return nil, err
	}
	if node != "" && !q.Found {
		return nil, errNoNode // XEP-0030 §7
	}
	if items {
		return writeItems(q), nil
	}
	i, err := collect(q)
	if err != nil {
		return nil, err
	}
	return i.write(node), nil
}

// nodeOf is the node that a request asks about.
func nodeOf(s *mux.Stanza) string {
	if kids := s.Children(); len(kids) == 1 {
		return kids[0].Attr("node")
	}
	return ""
}
