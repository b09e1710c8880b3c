package register

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// befriend makes a guest and his inviter contacts of each other (XEP-0401 §5.5), by
// what their clients would say: each approves the other beforehand (RFC 6121 §3.4) and
// asks. So whatever keeps contact lists here does what it always does, pushes
// included. It waits and must not be called in a turn. What is not done is done when
// the mux starts.
func (x *Extension) befriend(ctx context.Context, g Guest) {
	m := x.mux.Load()
	if m == nil {
		return
	}
	say := func(from, to mux.Address, types ...string) error {
		return m.Do(ctx, from, func(ctx context.Context, e *mux.Event) {
			for _, t := range types {
				e.Send(ctx, presence(from, to, t))
			}
		})
	}
	err := say(g.Inviter, g.Account, "subscribed")
	if err == nil {
		err = say(g.Account, g.Inviter, "subscribed", "subscribe")
	}
	if err == nil {
		err = say(g.Inviter, g.Account, "subscribe")
	}
	if err == nil {
		err = x.write(ctx, g.Account, x.opt.Store.Befriended(g.Account))
	}
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "a guest and his inviter are no contacts yet; the next start makes them",
			slog.String("account", g.Account.String()), slog.Any("err", err))
	}
}

func presence(from, to mux.Address, typ string) *mux.Stanza {
	return mux.Make(mux.Head{Kind: mux.Presence, Type: typ, From: from, To: to})
}

// shown is the token in a request for a subscription, empty if there is none (XEP-0379
// §3.4).
func shown(s *mux.Stanza) string {
	if s == nil || s.Type() != "subscribe" {
		return ""
	}
	c, ok := s.Child(preauthName)
	if !ok || len(c.Attr("token")) > maxToken {
		return ""
	}
	return c.Attr("token")
}

// invited approves a request for a subscription that shows an invitation of the
// account (XEP-0379 §3.5). Without a valid one it is a request like any other.
func (x *Extension) invited(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	token := shown(e.Stanza)
	if token == "" {
		return mux.Pass, nil
	}
	now := time.Now()
	i, err := x.opt.Store.Invite(ctx, IDOf(token))
	if err == nil && (i.Kind != ForContact || i.Inviter != e.Account || !i.Valid(now)) {
		return mux.Pass, nil
	}
	if err == nil {
		err = x.opt.Store.Redeem(ctx, i.ID, now)
	}
	switch {
	case errors.Is(err, ErrNoInvite), errors.Is(err, ErrInviteGone):
		return mux.Pass, nil
	case err != nil:
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "invitation in a request for a subscription", slog.String("account", e.Account.String()), slog.Any("err", err))
		return mux.Pass, nil // to be answered by hand
	}
	contact := e.Stanza.From().Bare()
	e.Send(ctx, presence(e.Account, contact, "subscribed"))
	e.Send(ctx, e.Stanza.Without(func(c mux.Child) bool { return c.Name == preauthName }).WithTo(e.Account).WithFrom(contact))
	e.Send(ctx, presence(e.Account, contact, "subscribe"))
	return mux.Done, nil
}
