package mux

import (
	"context"

	"mellium.im/xmlstream"
)

// DiscoQuery collects what is known about an address (XEP-0030). Providers
// append to it.
type DiscoQuery struct {
	// Scope and Address say what is asked about.
	Scope   Scope
	Address Address
	// From is who asks; Node the node asked about, empty for the address itself.
	From Address
	Node string
	// Items is true for disco#items, false for disco#info.
	Items bool
	// Event is that of the request; nil if the server itself asks, for the hash
	// of XEP-0115.
	Event *Event

	Identities []DiscoIdentity
	Features   []string
	Children   []DiscoItem
	Forms      []xmlstream.Marshaler // XEP-0128
	// Found is set by a provider that knows Node.
	Found bool
}

// DiscoIdentity is an identity (XEP-0030 §3).
type DiscoIdentity struct{ Category, Type, Name, Lang string }

// DiscoItem is an item (XEP-0030 §4).
type DiscoItem struct {
	JID        Address
	Node, Name string
}

type discoProvider struct {
	ext   string
	scope Scope
	f     func(context.Context, *DiscoQuery) error
}

// Disco asks all providers of q's scope, in order. The first error ends it.
func (m *Mux) Disco(ctx context.Context, q *DiscoQuery) error {
	for _, p := range m.discos {
		if p.scope != q.Scope {
			continue
		}
		if err := p.f(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// Feature appends features, for providers that have nothing else to say about
// an address without a node.
func (q *DiscoQuery) Feature(names ...string) {
	if q.Node == "" && !q.Items {
		q.Features = append(q.Features, names...)
	}
}
