package blocking

import (
	"context"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Change is what the server has told a client about its list.
type Change struct {
	// Blocked says that addresses were blocked, else they were unblocked.
	Blocked bool
	// Addresses are those concerned. Without any, and Blocked false, there is none
	// in the list any more.
	Addresses []jid.JID
}

// Watcher takes the pushes of a client's server (XEP-0191 §3.3). Make one with Watch.
type Watcher struct {
	own mux.Address
	f   func(Change)
}

var _ mux.Extension = (*Watcher)(nil)

// Watch returns what calls f with each change that the server tells of, in order. own
// is the client's address. Servers tell sessions that have asked for the list with
// [List]. f must not wait, and in particular not ask the server anything.
//
// A Watcher is an extension for [mux.NewClientSession]; for mellium's own mux there is
// [Watcher.Handle]. What does not come from the account itself, which nobody else can
// send for, is refused like any unknown request and changes nothing.
func Watch(own jid.JID, f func(Change)) *Watcher {
	return &Watcher{mux.AddressOf(own.Bare()), f}
}

// Name implements [mux.Extension].
func (*Watcher) Name() string { return "blocking" }

// Register implements [mux.Extension].
func (w *Watcher) Register(r *mux.Registry) error {
	for _, name := range []xml.Name{blockName, unblockName} {
		r.IQ(mux.AtSelf, stanza.SetIQ, name, func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			return w.pushed(ctx, e.Stanza)
		})
	}
	return nil
}

// Handle registers the watcher in mellium's mux.
func (w *Watcher) Handle() xmppmux.Option {
	return func(m *xmppmux.ServeMux) {
		xmppmux.IQFunc(stanza.SetIQ, blockName, mux.Handle(w.pushed))(m)
		xmppmux.IQFunc(stanza.SetIQ, unblockName, mux.Handle(w.pushed))(m)
	}
}

// pushed takes a push. Without a sender it is the server's (RFC 6120 §8.1.2.1).
func (w *Watcher) pushed(_ context.Context, s *mux.Stanza) (xmlstream.Marshaler, error) {
	if from := s.From(); !from.IsZero() && from != w.own {
		return nil, errUnavailable
	}
	if len(s.Children()) != 1 {
		return nil, errBadRequest
	}
	payload := s.Children()[0]
	items, other, err := readSet(payload.TokenReader())
	c := Change{Blocked: payload.Name == blockName}
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0 && (c.Blocked || other):
		return nil, errBadRequest
	}
	for _, a := range items {
		c.Addresses = append(c.Addresses, a.JID())
	}
	w.f(c)
	return nil, nil
}
