package sasl2

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"
)

// authenticate runs the profile: with what is on its way already, with the tokens
// there are, with the password, and with that once more where another mechanism may
// help.
func (x *clientLogin) authenticate(ctx context.Context, s *xmpp.Session, o *Offer) (xmpp.SessionState, io.ReadWriter, error) {
	e := clientExchange{clientLogin: x, s: s, r: s.TokenReader()}
	defer func() { _ = e.r.Close() }() // only unlocks
	t, err := e.begun(o)
	var refused error
	for {
		if err == nil && t == nil {
			if t, err = x.next(ctx, o); err == nil {
				err = e.send(x.appendAuthenticate(nil, t, o, false))
			}
		}
		if err == nil {
			err = e.run(ctx, t, o)
		}
		if err == nil {
			x.settled = true
			if x.login.Resumed != nil {
				return xmpp.Authn | xmpp.Ready, nil, nil // auth-register IN-13: no features follow
			}
			x.bound = x.login.Bound != nil
			return xmpp.Authn, nil, nil
		}
		again, failed := x.again(ctx, t, err)
		if !again {
			return 0, nil, cmp.Or(failed, betterOf(refused, err))
		}
		if failed != nil {
			return 0, nil, failed
		}
		if r, ok := errors.AsType[*RefusedError](err); ok && t.token == nil && !r.mismatch {
			refused = err
		}
		t, err = nil, nil
	}
}

// betterOf prefers the first refusal to what says no more.
func betterOf(refused, err error) error {
	r, again := errors.AsType[*RefusedError](err)
	_, closed := errors.AsType[stream.Error](err)
	switch {
	case refused == nil:
		return err
	case closed, again && (r.Condition == condNotAuthorized || r.Condition == condMechanism):
		return refused
	}
	return fmt.Errorf("%w; then: %w", refused, err)
}

// next chooses an attempt: a token, or else the mechanism of the caller.
func (x *clientLogin) next(ctx context.Context, o *Offer) (*clientTry, error) {
	if err := x.identify(ctx); err != nil {
		return nil, err
	}
	if token, run, ok := x.tokenUse(o); ok {
		var err error
		// What is sent is counted first, so that no number is used twice
		// (XEP-0484 §3.4).
		x.state, token = x.state.using(token)
		if err = x.save(ctx); err != nil {
			return nil, err
		}
		return x.try(run, o, &token)
	}
	run, err := x.o.Mechanism(ctx, Attempt{Offer: *o, TLS: x.tls, Tried: x.tried})
	if err != nil {
		return nil, err
	}
	return x.try(run, o, nil)
}

// identify makes the installation's id at the first login.
func (x *clientLogin) identify(ctx context.Context) error {
	if x.o.Save == nil || uuid4(x.state.Agent) {
		return nil
	}
	x.state.Agent = newAgent()
	return x.save(ctx)
}

func (x *clientLogin) save(ctx context.Context) error {
	if x.o.Save == nil {
		return nil
	}
	if err := x.o.Save(ctx, x.state); err != nil {
		return fmt.Errorf("sasl2: state not kept: %w", err)
	}
	return nil
}

// again says whether another attempt on the same stream may help, and fails if what
// was learned cannot be kept.
func (x *clientLogin) again(ctx context.Context, t *clientTry, err error) (bool, error) {
	if errors.Is(err, ErrUpgrade) && !x.noUpgrades {
		x.noUpgrades = true
		x.log.LogAttrs(ctx, slog.LevelWarn, "upgrade not done", slog.Any("err", err))
		return true, nil
	}
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || t == nil {
		return false, nil
	}
	x.log.LogAttrs(ctx, slog.LevelDebug, "refused", slog.String("mechanism", refused.Mechanism), slog.String("condition", refused.Condition))
	if refused.mismatch {
		x.state.Offer = nil
		return true, nil // there is no second flight
	}
	switch refused.Condition {
	case condNotAuthorized, condExpired, condMechanism, condMalformed:
		if t.token != nil {
			// XEP-0484 §4.1: it is of no use any more. Other failures say nothing about it.
			x.state = x.state.without(*t.token)
			if refused.Condition == condExpired {
				x.state.Tokens = nil // those before it have expired before it
			}
			return true, x.save(ctx)
		}
		if len(x.tried) == 0 && refused.Condition != condExpired {
			x.tried = append(x.tried, t.run.Mechanism())
			return true, nil
		}
	}
	return false, nil
}

// clientExchange is the profile on a session, which it has for itself.
type clientExchange struct {
	*clientLogin
	s *xmpp.Session
	r xmlstream.TokenReadCloser
}

// run reads the answers to an attempt that has been sent. What the client itself
// finds wrong ends with an abort.
func (e *clientExchange) run(ctx context.Context, t *clientTry, o *Offer) error {
	for range maxSteps {
		el, err := nextElement(e.r)
		if err != nil {
			return err
		}
		if el.Name == (xml.Name{Space: NS, Local: "failure"}) {
			return e.failure(t, &el)
		}
		done, err := e.step(ctx, t, o, &el)
		if err != nil && !done {
			_ = e.send([]byte("<abort xmlns='" + NS + "'/>")) // the error counts
			if errors.Is(err, ErrUpgrade) {
				return e.aborted(err)
			}
		}
		if done || err != nil {
			return err
		}
	}
	return broken("no end of challenges")
}

func (e *clientExchange) step(ctx context.Context, t *clientTry, o *Offer, el *Element) (done bool, err error) {
	if el.Name.Space != NS {
		return false, broken("unexpected element")
	}
	switch el.Name.Local {
	case "challenge":
		if t.verified {
			return false, broken("challenge after its end")
		}
		return false, e.challenge(ctx, t, el)
	case "continue":
		return e.proceed(ctx, t, el)
	case "success":
		if err := e.success(ctx, t, o, el); err != nil {
			return false, err
		}
		return true, nil
	}
	return false, broken("unexpected element")
}

func (e *clientExchange) challenge(ctx context.Context, t *clientTry, el *Element) error {
	in, err := elementData(el)
	if err != nil {
		return err
	}
	out, err := t.run.Next(ctx, in)
	if err != nil {
		return err
	}
	return e.send(appendData(nil, "response", out))
}

// failure is the server's refusal (XEP-0388 §2.6).
func (e *clientExchange) failure(t *clientTry, el *Element) error {
	r := &RefusedError{Mechanism: t.run.Mechanism()}
	for _, c := range el.Children {
		switch {
		case c.Name == (xml.Name{Space: NSPipeline, Local: "config-version-mismatch"}):
			r.mismatch = e.flight == t
		case c.Name.Local == "text":
			r.Text = c.Text
		case c.Name.Space == nsSASL && r.Condition == "":
			r.Condition = c.Name.Local
		}
	}
	if e.flight == t {
		e.flight = nil
	}
	if t.verified && len(t.upgrades) > 0 {
		return fmt.Errorf("%w: %w", ErrUpgrade, r) // auth-register UG-5: without it there is no reason to fail
	}
	return r
}

// send writes to the connection. Nothing is buffered above it.
func (e *clientExchange) send(b []byte) error {
	_, err := e.conn.Write(b)
	return err
}

// elementData is the message in an element, never nil.
func elementData(el *Element) ([]byte, error) {
	if len(el.Children) > 0 {
		return nil, broken("elements in data")
	}
	b, condition := decode(el.Text)
	if condition != "" {
		return nil, broken(condition)
	}
	return b, nil
}

func appendData(b []byte, name string, data []byte) []byte {
	b = append(b, "<"+name+" xmlns='"+NS+"'>"...)
	return append(base64.StdEncoding.AppendEncode(b, data), "</"+name+">"...)
}
