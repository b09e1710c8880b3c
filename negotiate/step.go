package negotiate

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// maxExtensions bounds how often a feature may set the clock back
// ([mux.Feature.Deadline]).
const maxExtensions = 5

// element handles what the peer has sent.
func (r *run) element(el *mux.Stanza) (next, error) {
	name := el.Name()
	if name.Space == nsStreams && name.Local == "error" {
		return goOn, errPeer
	}
	if f, step := r.owning, r.going; step != nil {
		r.exclusive(nil, nil)
		return r.follow(f, step, el)
	}
	if r.auth.ex == nil {
		r.st.BeginLogin()
	}
	if el.Kind() == mux.Message || el.Kind() == mux.Presence {
		return goOn, stream.NotAuthorized // core-im LC-5, LC-6
	}
	if name.Space == nsSASL {
		return r.sasl(el)
	}
	if r.auth.ex != nil {
		// auth-register §2.10: foreign traffic inside an exchange.
		return goOn, stream.PolicyViolation
	}
	switch {
	case name.Space == nsTLS && name.Local == "starttls":
		return r.startTLS()
	case el.Kind() == mux.IQ:
		return r.request(el)
	}
	if f := r.feature(name); f != nil {
		return r.feed(f, el)
	}
	if r.st.State()&mux.Authenticated != 0 && !r.n.m.Authenticates(name) {
		return goOn, stream.UnsupportedStanzaType
	}
	return goOn, stream.NotAuthorized // also a second time, auth-register SA-14
}

// feature is the registered feature that an element is for, nil if there is none
// in this state. In clear there are none, whatever they say they need.
func (r *run) feature(name xml.Name) *mux.Feature {
	state := r.st.State()
	if state&mux.Secure == 0 {
		return nil
	}
	all := r.n.m.Features()
	for i := range all {
		if slices.Contains(all[i].Owns, name) && allows(&all[i], state) {
			return &all[i]
		}
	}
	return nil
}

// request handles an IQ before there is a session: only some are for us.
func (r *run) request(iq *mux.Stanza) (next, error) {
	state := r.st.State()
	if iq.Type() != "get" && iq.Type() != "set" || state&mux.Secure == 0 || !r.forUs(iq) {
		return goOn, stream.NotAuthorized // RFC 6120 §7.1, auth-register ST-17
	}
	if iq.ID() == "" || len(iq.Children()) != 1 {
		return r.answerError(iq, errBadRequest) // RFC 6120 §8.2.3
	}
	payload := iq.Children()[0].Name
	if payload == bindName && state&mux.Authenticated != 0 {
		return r.bind(iq)
	}
	if f := r.feature(payload); f != nil {
		return r.feed(f, iq)
	}
	return goOn, stream.NotAuthorized
}

// forUs: addressed to nobody, the domain, or the peer's own account.
func (r *run) forUs(iq *mux.Stanza) bool {
	if iq.MalformedTo() != "" {
		return false
	}
	to := iq.To()
	return to.IsZero() || to == r.domain || to == r.st.Account()
}

// stepFunc is that of a feature, or of an exchange that it has begun.
type stepFunc = func(ctx context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error)

// exclusive has the peer's next element given to step, whatever it is; nil ends
// that.
func (r *run) exclusive(f *mux.Feature, step stepFunc) {
	r.owning, r.going = f, step
	r.t.NoSpace(step != nil)
}

// feed hands an element to its feature and does what follows from that.
func (r *run) feed(f *mux.Feature, el *mux.Stanza) (next, error) {
	if f.Deadline > 0 && r.extensions < maxExtensions {
		r.extensions++
		r.deadline(f.Deadline)
	}
	return r.follow(f, f.Step, el)
}

// follow takes a step and does what follows from it.
func (r *run) follow(f *mux.Feature, step stepFunc, el *mux.Stanza) (next, error) {
	var err error
	o := &r.outcome
	if *o, err = r.stepped(f, step, el); err != nil {
		return r.stepFailed(f, el, err)
	}
	if o.Failed == "" && !o.Account.IsZero() && r.st.State()&mux.Authenticated == 0 {
		if err := r.holdSuccess(o.Account); err != nil {
			return goOn, err
		}
	}
	if err := r.grant(o); err != nil {
		return r.stepFailed(f, el, err)
	}
	return r.carryOut(f, el, o)
}

// stepFailed answers the error of a step.
func (r *run) stepFailed(f *mux.Feature, el *mux.Stanza, err error) (next, error) {
	var se stream.Error
	if errors.As(err, &se) {
		return goOn, err
	}
	if el.Kind() == mux.IQ {
		return r.answerError(el, r.stanzaError(f, err))
	}
	r.logFailed(f, err)
	return goOn, fmt.Errorf("%s: %w", f.Name, stream.InternalServerError)
}

// carryOut does what a step has led to.
func (r *run) carryOut(f *mux.Feature, el *mux.Stanza, o *mux.Outcome) (next, error) {
	switch {
	case o.Become != nil:
		return r.become(f, el, o)
	case o.Bind != nil:
		return r.bindInStep(f, el, o)
	case o.Failed != "":
		if err := r.failedStep(f, o); err != nil {
			return goOn, err
		}
	}
	if err := r.answer(f, el, o); err != nil {
		return goOn, err
	}
	if o.Failed != "" && r.tooMany() {
		return goOn, stream.PolicyViolation
	}
	if o.Then != nil {
		if err := r.t.Flush(); err != nil {
			return goOn, err
		}
		o.Then()
	}
	switch {
	case o.Next != nil:
		r.exclusive(f, o.Next)
	case r.st.Session() != nil:
		// Bound by the feature: core-im SF-4.
		return ready, r.offer()
	case o.Restart:
		return restart, nil
	case o.Sets != 0:
		return offer, nil
	}
	return goOn, nil
}

// failedStep counts an attempt to authenticate that failed in a feature, together
// with those of SASL, and holds the answer back if need be (core-im LIM-11).
func (r *run) failedStep(f *mux.Feature, o *mux.Outcome) error {
	r.auth.held = mux.Address{}
	if !r.auth.count(o.Failed) {
		return nil
	}
	name := f.Name
	if o.Mechanism != "" {
		name = o.Mechanism[:min(len(o.Mechanism), maxNamedInAudit)]
	}
	return r.penalty(AuthFailure{Mechanism: name, Condition: o.Failed, Err: o.Cause, Account: o.Account})
}

// elementOf makes a payload a top-level element.
func elementOf(p xmlstream.Marshaler) (*mux.Stanza, error) {
	if raw, ok := p.(mux.Raw); ok {
		return mux.Written(string(raw)), nil
	}
	c, err := mux.NewChild(p)
	if err != nil {
		return nil, err
	}
	return c.Element()
}

// stepped contains a panic: it costs one stream.
func (r *run) stepped(f *mux.Feature, step stepFunc, el *mux.Stanza) (o mux.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.n.log.LogAttrs(r.ctx, slog.LevelError, "a feature panicked", slog.String("feature", f.Name),
				slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			err = stream.InternalServerError
		}
	}()
	return step(r.ctx, r.st, el)
}

// grant notes the states that a step has led to.
func (r *run) grant(o *mux.Outcome) error {
	if o.Sets&mux.Authenticated != 0 {
		if !r.owns(o.Account) {
			return errAccount
		}
		r.authenticated(o.Account)
	}
	r.st.SetState(o.Sets)
	return nil
}

// answer writes a step's reply.
func (r *run) answer(f *mux.Feature, el *mux.Stanza, o *mux.Outcome) error {
	if el.Kind() == mux.IQ {
		h := mux.Head{Kind: mux.IQ, Type: "result", ID: el.ID(), From: r.domain}
		if o.Reply == nil {
			return r.t.WriteElement(mux.Make(h).Append(nil, ""))
		}
		c, err := mux.NewChild(o.Reply)
		if err != nil {
			_, err = r.answerError(el, r.stanzaError(f, err))
			return err
		}
		return r.t.WriteElement(mux.Make(h, c).Append(nil, ""))
	}
	if o.Reply == nil {
		return nil
	}
	scratch := buffers.Get().(*[]byte)
	defer buffers.Put(scratch)
	b, err := appendPayload((*scratch)[:0], o.Reply)
	if err != nil {
		r.logFailed(f, err)
		return fmt.Errorf("%s: %w", f.Name, stream.InternalServerError)
	}
	*scratch = b
	return r.t.WriteElement(b)
}

func (r *run) logFailed(f *mux.Feature, err error) {
	r.n.log.LogAttrs(r.ctx, slog.LevelError, "feature failed", slog.String("feature", f.Name), slog.Any("err", err))
}

// stanzaError is what an error of a step means for the sender of an IQ.
func (r *run) stanzaError(f *mux.Feature, err error) error {
	var full *mux.Error
	var se stanza.Error
	if errors.As(err, &full) || errors.As(err, &se) {
		return err
	}
	r.logFailed(f, err)
	return errInternal
}
