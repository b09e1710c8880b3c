// Package mds has all devices of a person know what was displayed on one of them,
// XEP-0490: Message Displayed Synchronization, version 1.0.1.
//
// What is displayed is kept in a node of personal eventing, so a server need do nothing
// for it. On the server's side an [Extension] is the assist of §4.5: a client that sends
// a displayed marker (XEP-0333) puts into the same message how far it has displayed the
// chat, which the server takes out and publishes.
//
//	events := pep.New(…)
//	m, err := mux.New(host, nil, mds.New(events, nil), archives, carbons, events, …)
//
// It belongs before those who store and copy messages; what it takes out is gone when they
// see a message anyway.
//
// # Security
//
// How far somebody has read is nobody else's affair: the element never reaches the
// recipient, an archive or a copy (§5.2), whatever becomes of it, and it is published only
// where the node is a whitelist (§7).
package mds

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces: of the element, whose node has that name too, and the feature of the assist.
const (
	NS       = "urn:xmpp:mds:displayed:0"
	NSAssist = "urn:xmpp:mds:server-assist:0"
)

// Nodes is what is needed of whoever keeps nodes, for the account of the turn: such as
// package pep's Extension.
type Nodes interface {
	// PublishItem publishes if the node is as options say; a node that is not there is
	// made so. It does not wait if Ready said so.
	PublishItem(ctx context.Context, e *mux.Event, node, id string, payload mux.Raw, options map[string][]string, counted bool) error
	// Ready reports whether publishing has not to wait for a store; it is asked by
	// [mux.BlocksIf].
	Ready(e *mux.Event, node string) bool
}

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Logger is for what cannot be published (Debug); nil discards.
	Logger *slog.Logger
}

var _ mux.Extension = (*Extension)(nil)

// Extension assists clients on a server. Make one with New; it belongs to one mux.
type Extension struct {
	nodes Nodes
	log   *slog.Logger
}

// New returns the extension. o may be nil and is copied.
func New(nodes Nodes, o *Options) *Extension {
	x := &Extension{nodes: nodes, log: slog.New(slog.DiscardHandler)}
	if o != nil && o.Logger != nil {
		x.log = o.Logger
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "mds" }

var (
	errNoNodes = errors.New("no nodes")

	displayedName = xml.Name{Space: NS, Local: "displayed"}

	// whitelist is what must hold of the node; what else it is when it is made is by
	// its name (MDS-1).
	whitelist = map[string][]string{"access_model": {"whitelist"}}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.nodes == nil {
		return errNoNodes
	}
	r.Modify(mux.FromPeer, mux.Message, x.sent, mux.BlocksIf(func(e *mux.Event) bool {
		return e.Stanza.Has(displayedName) && !x.nodes.Ready(e, NS)
	}))
	for _, s := range []mux.Scope{mux.AtSelf, mux.AtAccount} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			if q.Node == "" && !q.Items {
				q.Feature(NSAssist)
			}
			return nil
		})
	}
	return nil
}

// sent takes the element out of what a client sends and publishes it (XEP-0490
// §4.5.3).
func (x *Extension) sent(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	c, ok := e.Stanza.Child(displayedName)
	if !ok {
		return mux.Pass, nil
	}
	to, typ := e.Stanza.To(), e.Stanza.Type()
	e.Stanza = e.Stanza.Without(func(c mux.Child) bool { return c.Name == displayedName })
	if to.IsZero() || typ == "error" {
		return mux.Pass, nil // of no chat
	}
	payload, err := mux.NewChild(c)
	if err == nil {
		err = x.nodes.PublishItem(ctx, e, NS, to.String(), mux.Raw(payload.Raw()), whitelist, false)
	}
	if err != nil { // the message itself has nothing to do with that
		x.log.LogAttrs(ctx, slog.LevelDebug, "what was displayed is not published", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
	return mux.Pass, nil
}
