package presence

import (
	"context"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// old is how long ago presence must have been sent to be marked with when that
// was.
const old = 60 * time.Second

// current is a session's presence as it is, for somebody who has not seen it
// when it was sent (core-im PR-9).
func (x *Extension) current(e *mux.Event, s *mux.Session, p *mux.PresenceInfo, to mux.Address) mux.Item {
	it := mux.Item{Stanza: x.opt.Current(e, s, p.Stanza), To: to}
	if !p.At.IsZero() && time.Since(p.At) > old {
		it.Extra = mux.AppendDelay(nil, p.Stanza.From().String(), p.At)
	}
	return it
}

// probed answers a probe for the account (RFC 6121 §4.3.2). It never reaches a
// client.
func (x *Extension) probed(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Stanza.Type() != "probe" {
		return mux.Pass, nil
	}
	prober := e.Stanza.From()
	if e.Unknown {
		// As for an account that has never heard of the prober (core-im DL-30).
		x.say(ctx, e, "unsubscribed", e.Account, prober.Bare())
		return mux.Done, nil
	}
	if err := x.subs.Load(ctx, e); err != nil {
		return mux.Done, err
	}
	if from, _ := x.subs.Subscription(ctx, e, prober); !from && prober.Bare() != e.Account {
		x.say(ctx, e, "unsubscribed", e.Account, prober.Bare())
		return mux.Done, nil
	}
	to := e.Item.Recipient()
	told := false
	for _, s := range e.Sessions() {
		p := s.Presence()
		if p == nil || !p.Available || !to.IsBare() && s.JID() != to {
			continue
		}
		it := x.current(e, s, p, prober)
		it.Flags = mux.Service
		e.SendItem(ctx, it)
		told = true
	}
	if !told {
		x.say(ctx, e, "unavailable", to, prober) // a resource that is gone for itself
	}
	return mux.Done, nil
}

// say answers a probe with presence that has nothing in it.
func (x *Extension) say(ctx context.Context, e *mux.Event, typ string, from, to mux.Address) {
	x.send(ctx, e, mux.Make(mux.Head{Kind: mux.Presence, Type: typ, From: from}), to)
}
