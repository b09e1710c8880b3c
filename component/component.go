// Package component lets external components take part in a server, XEP-0114:
// Jabber Component Protocol, version 1.6, on the server's side, for connections
// that the component makes (jabber:component:accept).
//
// Each configured domain is an entity of the kernel. While its component is
// connected everything for the domain goes there; while it is not, requests and
// messages come back with remote-server-timeout, and presence is dropped. The
// extension knows who may connect and what goes to whom; the stream is
// negotiated by package negotiate, whose interface Components it implements, and
// package server has a listener for it:
//
//	components := component.New(&component.Options{Components: []component.Component{
//		{Domain: "chat.example.net", Secret: secret},
//	}})
//	s, err := server.New(&server.Options{Components: components, …}, components, …)
//	…
//	go s.ServeComponents(listener)
//
// A program that wants to be a component needs nothing from here: NewSession of
// mellium.im/xmpp/component speaks the other side of the protocol.
//
// # Security
//
// A component is trusted: it may write any local part and resource at its domain,
// and no other domain. The protocol has no encryption, and its handshake is a
// SHA-1 hash that whoever listens can try secrets against: keep the listener on
// the loopback interface or inside a tunnel, and use long random secrets. The
// handshake is compared in constant time.
package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// NS is the content namespace of a component's stream.
const NS = "jabber:component:accept"

// Component is one that may connect.
type Component struct {
	// Domain is its domain, which must not be one the server has accounts at.
	Domain string
	// Secret is what it proves to know; it may not be empty.
	Secret []byte
	// Name is what service discovery calls it; empty for no name.
	Name string
}

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Components are those that may connect.
	Components []Component
	// Replace ends the stream of a component that is connected when it connects
	// again, with conflict, as for a standby that takes over; the default refuses
	// the new one.
	Replace bool
	// MaxQueue bounds what waits to be written to one component, in octets; 0 or
	// less for 4 MiB (core-im LIM-18). Above it the connection counts as dead.
	MaxQueue int
	// Logger is for protocol steps (Debug) and components that do not read (Warn);
	// nil discards.
	Logger *slog.Logger
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
	_ mux.Stopper   = (*Extension)(nil)
)

// Extension forwards stanzas to components. Make one with New; it belongs to one
// mux.
type Extension struct {
	opt   Options
	links map[string]*link // by domain; fixed after Register
	order []*link
	mux   *mux.Mux // set by Start
	over  atomic.Bool

	mu      sync.Mutex            // guards what follows
	streams map[*mux.Stream]*peer // those that are attached
}

// New returns the extension. o may be nil and is copied.
func New(o *Options) *Extension {
	x := &Extension{links: make(map[string]*link), streams: make(map[*mux.Stream]*peer)}
	if o != nil {
		x.opt = *o
	}
	if x.opt.MaxQueue <= 0 {
		x.opt.MaxQueue = 4 << 20
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "component" }

var errNoSecret = errors.New("the secret is empty")

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	for _, c := range x.opt.Components {
		a, err := mux.ParseAddress(c.Domain)
		if err == nil && a.Domain() != a.String() {
			err = errors.New("it has more than a domain")
		}
		if err == nil && len(c.Secret) == 0 {
			err = errNoSecret
		}
		if err != nil {
			return fmt.Errorf("component %q: %w", c.Domain, err)
		}
		l := &link{x: x, addr: a, name: c.Name, secret: append([]byte(nil), c.Secret...)}
		x.links[a.Domain()] = l
		x.order = append(x.order, l)
		r.Entity(a.Domain(), l.handle) // refuses one that is there twice
	}
	if len(x.order) > 0 {
		r.Disco(mux.AtHost, x.disco)
	}
	return nil
}

// Start implements [mux.Starter].
func (x *Extension) Start(_ context.Context, m *mux.Mux) error {
	x.mux = m
	for _, l := range x.order {
		if m.Host().Local(l.addr.Domain()) {
			return fmt.Errorf("component %q: the server has accounts at this domain", l.addr.Domain())
		}
	}
	return nil
}

// Shutdown implements [mux.Stopper]: from now on nothing comes back, as nobody is
// there to get it.
func (x *Extension) Shutdown(context.Context) error {
	x.over.Store(true)
	return nil
}

// disco lists components as items of the server, connected or not (XEP-0030
// §3.1): that of a subdomain at the domain it belongs to, others everywhere.
func (x *Extension) disco(_ context.Context, q *mux.DiscoQuery) error {
	if !q.Items || q.Node != "" {
		return nil
	}
	for _, l := range x.order {
		if p := x.parent(l.addr.Domain()); p == "" || p == q.Address.Domain() {
			q.Children = append(q.Children, mux.DiscoItem{JID: l.addr, Name: l.name})
		}
	}
	return nil
}

// parent is the served domain that a domain is below of, empty if there is none.
func (x *Extension) parent(domain string) string {
	for {
		_, rest, ok := strings.Cut(domain, ".")
		if !ok {
			return ""
		}
		if domain = rest; x.mux != nil && x.mux.Host().Local(domain) {
			return domain
		}
	}
}

// errAbsent is what is said for a component that is not there: not
// service-unavailable, which rooms' members take for a sign that they are still
// in (core-im COMP-4, XEP-0410 §3).
var errAbsent = stanza.Error{Type: stanza.Wait, Condition: stanza.RemoteServerTimeout}

// handle is a turn of an address of the component's domain.
func (l *link) handle(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	if l.forward(e) || e.Stanza.Kind() == mux.Presence {
		return mux.Done, nil
	}
	return mux.Done, errAbsent
}

// bounce says that stanzas were not sent. It may be called with locks held.
func (x *Extension) bounce(lost []mux.Item) {
	for _, it := range lost {
		if it.Stanza.Kind() != mux.Presence && !x.over.Load() {
			x.mux.Bounce(it, errAbsent)
		}
	}
}
