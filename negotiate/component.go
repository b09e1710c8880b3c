package negotiate

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"fmt"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// nsComponent is the content namespace of a component's stream (XEP-0114 §3).
const nsComponent = "jabber:component:accept"

// Components knows the external components (XEP-0114). Its methods must allow
// concurrent calls and may not wait. Package component has one.
type Components interface {
	// Known reports whether a prepared domain is that of a component.
	Known(domain string) bool
	// Verify judges the content of the handshake on the stream of that id.
	Verify(domain, streamID, handshake string) bool
	// Attach makes a verified stream the component's connection. It calls ready,
	// which answers the handshake, before it writes anything to the stream. An
	// error, such as the stream error conflict, ends the stream.
	Attach(st *mux.Stream, domain string, ready func() error) error
	// Drained tells that little is waiting to be written to the stream.
	Drained(st *mux.Stream)
	// Detach tells that the stream's connection has ended, attached or not.
	Detach(st *mux.Stream)
}

// ServeComponent negotiates the stream of an external component (XEP-0114 §3), as
// Serve does that of a client: of st, which has role Component, nothing was read
// yet. With a nil error the component is attached and may send for its domain;
// the caller goes on to read, tells c of Drained, and of Detach at the end in
// every case. Errors are those of Serve. Only Timeout, OnFailure, Lang and Logger
// of the options count; there is no TLS.
func (n *Negotiator) ServeComponent(ctx context.Context, st *mux.Stream, t Transport, c Components) error {
	if st.Role() != mux.Component {
		return fmt.Errorf("negotiate: streams of a %s are not those of components", st.Role())
	}
	r := &run{n: n, st: st, t: t, base: ctx, content: nsComponent}
	if n.opt.Timeout > 0 {
		r.deadline(n.opt.Timeout)
	} else {
		r.ctx, r.end = context.WithCancel(ctx)
	}
	defer r.cancel()
	if err := r.contained(func() error { return r.component(c) }); err != nil {
		r.fail(err)
		return fmt.Errorf("negotiate: %w", err)
	}
	return nil
}

var handshakeName = xml.Name{Space: mux.NSClient, Local: "handshake"}

func (r *run) component(c Components) error {
	h, err := r.t.ReadHeader(r.ctx)
	if err != nil {
		return err
	}
	domain, wrong := componentOf(h, c)
	id := rand.Text()
	// XEP-0114 §3: also before an error. Without a version: there are no features.
	if err := r.t.WriteHeader(Header{From: domain, ID: id, Content: nsComponent}); err != nil {
		return err
	}
	r.opened = true
	if wrong != nil {
		return wrong
	}
	r.st.SetDomain(domain)
	r.st.SetLang(h.Lang)
	if err := r.t.Flush(); err != nil {
		return err
	}
	el, err := r.t.ReadElement(r.ctx)
	switch {
	case err != nil:
		return err
	case el.Name().Space == nsStreams && el.Name().Local == "error":
		return errPeer
	case el.Name() != handshakeName:
		return fmt.Errorf("no handshake: %w", stream.NotAuthorized) // core-im LC-5
	case !c.Verify(domain, id, el.Text()):
		if err := r.penalty(AuthFailure{Mechanism: "handshake", Condition: "not-authorized"}); err != nil {
			return err
		}
		return fmt.Errorf("component %s: wrong handshake: %w", domain, stream.NotAuthorized)
	}
	r.st.Authorize(domain)
	r.t.Authenticated()
	return c.Attach(r.st, domain, func() error {
		if err := r.t.WriteElement([]byte("<handshake/>")); err != nil {
			return err
		}
		return r.t.Flush()
	})
}

// componentOf judges the header of a component, whose to is its own name.
func componentOf(h Header, c Components) (domain string, err error) {
	a, err := mux.ParseAddress(h.To)
	if known := err == nil && a.Domain() == a.String() && c.Known(a.Domain()); known {
		domain = a.Domain()
	}
	switch {
	case h.Content != nsComponent:
		return domain, fmt.Errorf("content namespace %.100q: %w", h.Content, stream.InvalidNamespace)
	case domain == "":
		return "", fmt.Errorf("component %.100q: %w", h.To, stream.HostUnknown)
	}
	return domain, nil
}
