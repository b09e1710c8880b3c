package negotiate

import (
	"context"
	"errors"
	"fmt"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// bindInStep makes a session as part of a step. The answer is written in the turn
// that binds, and features right behind it (core-im SF-4): what others send to the
// session comes later (auth-register IN-5).
func (r *run) bindInStep(f *mux.Feature, el *mux.Stanza, o *mux.Outcome) (next, error) {
	features := mux.Written(string(r.features(make([]byte, 0, 512), r.st.State()|mux.Bound, " xmlns:stream='"+nsStreams+"'")))
	opt := *o.Bind
	kept := opt.Kept
	opt.Kept = func(ctx context.Context, e *mux.Event) {
		if kept != nil {
			kept(ctx, e)
		}
		// What the inline members have said is in the copy.
		o.Bind.InlineReply = opt.InlineReply
		if o.Bound != nil {
			reply, err := elementOf(o.Bound(ctx, e))
			if err != nil {
				r.logFailed(f, err)
				return
			}
			e.Deliver(mux.Item{Stanza: reply, Flags: mux.Service}, e.Session)
		}
		e.Deliver(mux.Item{Stanza: features, Flags: mux.Service}, e.Session)
	}
	if _, err := r.st.Bind(r.ctx, &opt); err != nil {
		switch {
		case errors.Is(err, mux.ErrClosed):
			return goOn, err
		case o.Instead != nil:
			return r.instead(f, el, o, err)
		}
		return goOn, fmt.Errorf("%s: %w: %w", f.Name, stream.InternalServerError, err)
	}
	if o.Then != nil {
		o.Then()
	}
	return ready, nil
}

// instead does what is to be done after a refusal.
func (r *run) instead(f *mux.Feature, el *mux.Stanza, o *mux.Outcome, why error) (next, error) {
	return r.follow(f, func(ctx context.Context, _ *mux.Stream, _ *mux.Stanza) (mux.Outcome, error) {
		then, err := o.Instead(ctx, why)
		if then.Sets |= o.Sets; then.Account.IsZero() {
			then.Account = o.Account
		}
		return then, err
	}, el)
}

// become hands the connection to a session that exists: from here on the session
// writes, behind what was written before.
func (r *run) become(f *mux.Feature, el *mux.Stanza, o *mux.Outcome) (next, error) {
	_, err := r.st.Resume(r.ctx, o.Become)
	if err == nil {
		if o.Then != nil {
			o.Then()
		}
		return ready, nil // without features (core-im SF-4)
	}
	if errors.Is(err, mux.ErrClosed) {
		return goOn, err
	}
	if o.Instead != nil {
		return r.instead(f, el, o, err)
	}
	if o.Become.Refused == nil {
		return goOn, fmt.Errorf("resume: %w: %w", stream.UndefinedCondition, err)
	}
	if reply := o.Become.Refused(err); reply != nil {
		b, err := appendPayload(nil, reply)
		if err != nil {
			return goOn, fmt.Errorf("%w: %w", stream.InternalServerError, err)
		}
		if err := r.t.WriteElement(b); err != nil {
			return goOn, err
		}
	}
	if o.Sets != 0 {
		return offer, nil
	}
	return goOn, nil
}
