package mux_test

import (
	"context"
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// ext is an extension made of a function.
type ext struct {
	name     string
	register func(r *mux.Registry)
}

func (x ext) Name() string { return x.name }

func (x ext) Register(r *mux.Registry) error {
	x.register(r)
	return nil
}

// with is an extension named toy.
func with(register func(r *mux.Registry)) mux.Extension { return ext{"toy", register} }

func addr(s string) mux.Address { return mux.MustParseAddress(s) }

func name(space, local string) xml.Name { return xml.Name{Space: space, Local: local} }

const nsToy = "urn:example:toy"

var unavailable = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}

// refused is the error stanza that a test expects; kind is message, iq, presence.
func refused(kind, from, to, id, typ, condition string) string {
	return "<" + kind + " type='error' from='" + from + "' to='" + to + "' id='" + id + "'><error type='" + typ + "'><" + condition +
		" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></" + kind + ">"
}

// answers registers a request that is answered with an empty result at all
// scopes.
func answers(r *mux.Registry, local string, f mux.IQFunc, o ...mux.RegisterOption) {
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		r.IQ(s, stanza.GetIQ, name(nsToy, local), f, o...)
	}
}

func empty(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return nil, nil }

// csi is as much of XEP-0352 as the kernel's tests need: it holds messages back.
type csi struct{ key mux.Key[csiState] }

type csiState struct {
	inactive bool
	held     []mux.Item
	sink     *csiSink
}

func (x *csi) Name() string { return "csi" }

const nsCSI = "urn:xmpp:csi:0"

func (x *csi) Register(r *mux.Registry) error {
	x.key = mux.Slot[csiState](r)
	r.Outbound(mux.Hold, func(s *mux.Session, next mux.Sink) mux.Sink {
		st := x.key.Of(s)
		st.sink = &csiSink{st, next}
		return st.sink
	})
	r.Nonza(name(nsCSI, "inactive"), func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		e.Session.Sync(func() { x.key.Of(e.Session).inactive = true })
		return mux.Done, nil
	})
	r.Nonza(name(nsCSI, "active"), func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		e.Session.Sync(func() { _ = x.key.Of(e.Session).sink.Drain() })
		return mux.Done, nil
	})
	return nil
}

type csiSink struct {
	st   *csiState
	next mux.Sink
}

func (k *csiSink) Put(it *mux.Item) error {
	if k.st.inactive && it.Stanza.Kind() == mux.Message {
		k.st.held = append(k.st.held, *it)
		return nil
	}
	return k.next.Put(it)
}

func (k *csiSink) Drain() error {
	k.st.inactive = false
	held := k.st.held
	k.st.held = nil
	for i := range held {
		if err := k.next.Put(&held[i]); err != nil {
			return err
		}
	}
	return nil
}

func (k *csiSink) Unacked() []mux.Item { return k.st.held }

var errTest = errors.New("on purpose")
