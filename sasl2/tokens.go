package sasl2

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// issued is a token that the peer is going to be told.
type issued struct {
	secret  string
	expires time.Time
}

const (
	// maxTries bounds how often a client is read anew because somebody else was
	// faster: another login of the same installation.
	maxTries = 5
	// seenEvery is how exact the time is at which a client was there last, where
	// that is all there is to write.
	seenEvery = time.Hour
)

var errNoToken = errors.New("no such token")

// useToken logs in with a token (XEP-0484 §3.4). The data is that of the channel
// binding, nil for none.
func (l *login) useToken(ctx context.Context, m HT, data []byte) (outcome, error) {
	authcid, proof, ok := m.ParseInitial(l.req.initial)
	if !ok {
		return l.fail(condMalformed, nil)
	}
	// §4.1: the stream says whose token it is, and the user-agent which.
	l.is(l.st.From())
	name, err := mux.ParseAddress(authcid + "@" + l.st.Domain())
	known := err == nil && !l.account.IsZero() && name == l.account && l.client != ""
	condition, err := l.accept(ctx, m, data, proof, known)
	if condition != "" {
		return l.fail(condition, err)
	}
	l.x.state.Of(l.st).byToken = true
	return l.complete(ctx)
}

// ByToken reports whether the session of e was let in by a token the last time that it
// was bound or resumed, so that nobody has shown the password: for what should not be
// done with a stolen device, such as a new password. It may be called in a turn of the
// session's account.
func (x *Extension) ByToken(e *mux.Event) bool {
	return e.Session != nil && x.owner.Of(e.Session).token.Load()
}

// accept checks a proof, and writes down that it was used. Whatever is not there is
// replaced by something as costly (auth-register FT-11): known says whether the
// stream names a client at all.
func (l *login) accept(ctx context.Context, m HT, data, proof []byte, known bool) (condition string, err error) {
	x := l.x
	id := l.client
	for range maxTries {
		list, err := x.clients(ctx, l.account)
		if err != nil {
			return l.condition(ctx, err), err
		}
		generation, disabled, exists, err := x.auth.(Statuser).Status(ctx, l.account.String())
		if err != nil {
			return l.condition(ctx, err), err
		}
		c := Client{ID: id}
		if i := indexOf(list, id); i >= 0 {
			c = list[i]
		}
		was := c
		newSecret, secret := x.keys.secretOf(l.account, id, c.New.Slot), x.keys.secretOf(l.account, id, c.Current.Slot)
		now := time.Now()
		isNew, isCurrent := m.VerifyInitial(newSecret, data, proof), m.VerifyInitial(secret, data, proof)
		t, v := c.use(use{
			at: now, mechanism: m.Name(), generation: generation, isNew: isNew, isCurrent: isCurrent,
			count: l.req.fast.count, invalidate: l.req.fast.invalidate,
		})
		switch {
		case v == refused || !known || !exists:
			return condNotAuthorized, errNoToken
		case disabled:
			return condDisabled, nil // the proof was right (auth-register SA-11)
		case v == expired:
			return condExpired, nil
		}
		l.generation = generation
		l.rotate(&c, t, now)
		l.describe(&c)
		if c == was && now.Sub(c.Last) < seenEvery {
			err = nil // nothing that is worth a write
		} else {
			c.Last = now
			err = x.put(ctx, l.account, c)
		}
		if errors.Is(err, ErrConflict) {
			l.token = nil
			continue
		}
		if err != nil {
			return l.condition(ctx, err), err
		}
		if t.Slot == was.New.Slot {
			secret = newSecret
		}
		l.data = m.Response(secret, data)
		return "", nil
	}
	return condTemporary, ErrConflict
}

// rotate issues a new token if the one that was used is old, or one is asked for
// (XEP-0484 §3.5, §3.6).
func (l *login) rotate(c *Client, used Token, now time.Time) {
	if m, ok := l.x.token(l.st, l.req.wants); ok {
		l.issue(c, m.Name(), now)
		return
	}
	if !l.req.fast.invalidate && now.Sub(used.Issued) > l.x.opt.TokenRotation {
		l.issue(c, used.Mechanism, now)
	}
}

// issue makes a token, which must be durable before it is told.
func (l *login) issue(c *Client, mechanism string, now time.Time) {
	c.issue(rand.Text(), mechanism, l.generation, now, l.x.opt.TokenLifetime)
	l.token = &issued{l.x.keys.secretOf(l.account, c.ID, c.New.Slot), c.New.Expires}
}

// describe notes what the program says about itself.
func (l *login) describe(c *Client) {
	a := l.req.agent
	if a.software != "" {
		c.Software = a.software
	}
	if a.device != "" {
		c.Device = a.device
	}
}

// enrol notes that a client has logged in by other means than a token, and issues
// one if it wants one (XEP-0484 §3.3).
func (l *login) enrol(ctx context.Context) (condition string, err error) {
	x := l.x
	if x.store == nil || l.client == "" {
		return "", nil
	}
	id := l.client
	wants, err := l.mayHaveToken(ctx)
	if err != nil {
		return l.condition(ctx, err), err
	}
	for range maxTries {
		list, err := x.clients(ctx, l.account)
		if err != nil {
			return l.condition(ctx, err), err
		}
		now := time.Now()
		c := Client{ID: id, First: now}
		if i := indexOf(list, id); i >= 0 {
			c = list[i]
		}
		was := c
		l.describe(&c)
		if password(l.req.mechanism) {
			c.Password = l.generation
		}
		if wants != "" {
			l.issue(&c, wants, now)
		}
		if c == was && now.Sub(c.Last) < seenEvery {
			return "", nil // nothing that is worth a write
		}
		c.Last = now
		err = x.put(ctx, l.account, c)
		if errors.Is(err, ErrConflict) {
			l.token = nil
			continue
		}
		if err != nil {
			return l.condition(ctx, err), err
		}
		return l.confirm(ctx)
	}
	return condTemporary, ErrConflict
}

// confirm looks again at the account, now that its client is written: of one that
// was removed meanwhile nothing must be left.
func (l *login) confirm(ctx context.Context) (condition string, err error) {
	s, ok := l.x.auth.(Statuser)
	if !ok {
		return "", nil
	}
	_, _, exists, err := s.Status(ctx, l.account.String())
	if err != nil {
		return l.condition(ctx, err), err
	}
	if exists {
		return "", nil
	}
	err = l.st.Mux().Do(ctx, l.account, func(_ context.Context, e *mux.Event) {
		e.Work.Write(l.x.store.Remove(e.Account, l.client))
	})
	return condNotAuthorized, err
}

// mayHaveToken is the mechanism of the token that is wanted, empty if there is to
// be none: without from (§4.1), or if the credentials are others by now
// (auth-register FT-16).
func (l *login) mayHaveToken(ctx context.Context) (mechanism string, err error) {
	m, ok := l.x.token(l.st, l.req.wants)
	if !ok || l.st.From().IsZero() || l.generation == 0 {
		return "", nil
	}
	generation, disabled, exists, err := l.x.auth.(Statuser).Status(ctx, l.account.String())
	if err != nil || generation != l.generation || disabled || !exists {
		return "", err
	}
	return m.Name(), nil
}

func (x *Extension) put(ctx context.Context, account mux.Address, c Client) error {
	err := x.store.Put(ctx, account, c, Keep{Max: x.opt.MaxClients, Since: c.Last.Add(-x.opt.Retention)})
	if err != nil && !errors.Is(err, ErrConflict) {
		x.log.LogAttrs(ctx, slog.LevelError, "client cannot be written", slog.String("account", account.String()), slog.Any("err", err))
	}
	return err
}
