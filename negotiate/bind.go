package negotiate

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

var (
	bindName     = xml.Name{Space: nsBind, Local: "bind"}
	resourceName = xml.Name{Space: nsBind, Local: "resource"}
	sessionName  = xml.Name{Space: nsSession, Local: "session"}

	errBadRequest = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errConflict   = stanza.Error{Type: stanza.Cancel, Condition: stanza.Conflict}
	errInternal   = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	errNotAllowed = stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed}
	// core-im LIM-12
	errLimit = &mux.Error{Stanza: stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint},
		App: "<resource-limit-exceeded xmlns='" + nsErrors + "'/>"}
)

// bind makes a session (RFC 6120 §7.6, §7.7; core-im LC-11).
func (r *run) bind(iq *mux.Stanza) (next, error) {
	resource, ok := requested(iq)
	if ok && resource != "" {
		_, err := r.st.Account().WithResource(resource)
		ok = err == nil
	}
	if iq.Type() != "set" || !ok {
		return r.answerError(iq, errBadRequest)
	}
	// From the turn that binds on, others may write to the session: the result is
	// written in that turn.
	_, err := r.st.Bind(r.ctx, &mux.BindOptions{Resource: resource, KeepOld: r.n.opt.KeepOld,
		Kept: func(_ context.Context, e *mux.Event) {
			e.Deliver(mux.Item{Stanza: bound(iq, e.Session.JID()), Flags: mux.Service}, e.Session)
		}})
	switch {
	case err == nil:
		return ready, nil
	case errors.Is(err, mux.ErrConflict):
		return r.answerError(iq, errConflict)
	case errors.Is(err, mux.ErrLimit):
		return r.answerError(iq, errLimit)
	case errors.Is(err, mux.ErrClosed):
		return goOn, err
	}
	return goOn, fmt.Errorf("bind: %w: %w", stream.InternalServerError, err)
}

// requested is the resource that a bind asks for, empty if it leaves that to us.
// So does an empty resource element: clients of mellium.im/xmpp send it in place of
// the one they want.
func requested(iq *mux.Stanza) (resource string, ok bool) {
	el, err := iq.Children()[0].Element()
	if err != nil {
		return "", false
	}
	asked := false
	for _, c := range el.Children() {
		if c.Name != resourceName {
			continue // libstrophe sends the feature's own <required/> back
		}
		if asked {
			return "", false
		}
		resource, asked = c.Text(), true
	}
	return resource, true
}

// bound is the result.
func bound(iq *mux.Stanza, full mux.Address) *mux.Stanza {
	raw := append([]byte(nil), "<bind xmlns='"+nsBind+"'><jid>"...)
	raw = xmlwrite.AppendText(raw, full.String())
	raw = append(raw, "</jid></bind>"...)
	return mux.Make(mux.Head{Kind: mux.IQ, Type: "result", ID: iq.ID(), From: iq.To()}, mux.RawChild(bindName, string(raw)))
}

// answerError answers an IQ with an error, which the stream outlives.
func (r *run) answerError(iq *mux.Stanza, err error) (next, error) {
	reply := mux.ErrorReply(iq, err).WithFrom(r.domain).WithTo(mux.Address{})
	return goOn, r.t.WriteElement(reply.Append(nil, ""))
}

// Extension is what a mux with negotiated client streams needs: it answers the
// session request of RFC 3921 §3 with an empty result, and a second bind with
// not-allowed (core-im LC-13).
func Extension() mux.Extension { return extension{} }

type extension struct{}

// Name implements [mux.Extension].
func (extension) Name() string { return "negotiate" }

// Register implements [mux.Extension].
func (extension) Register(r *mux.Registry) error {
	for _, at := range []mux.Scope{mux.AtSelf, mux.AtHost} {
		r.IQ(at, stanza.SetIQ, sessionName, func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return nil, nil })
		r.IQ(at, stanza.SetIQ, bindName, func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return nil, errNotAllowed })
	}
	return nil
}
