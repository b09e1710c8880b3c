package register

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

var (
	_ mux.Starter = (*Extension)(nil)
	_ mux.Stopper = (*Extension)(nil)
)

// The removal of an account (auth-register PC-7) goes in this order: a mark in the
// store, with which nobody can log in; the answer; the end of all sessions, the leave
// from contacts and the removal of what every extension keeps, in one Work; and when
// that is durable, of the credentials and with them the mark. Whatever was interrupted
// is done again from the second step on when the mux starts.

// finishTime bounds the last step.
const finishTime = time.Minute

// sweepEvery is how often is looked for what is due.
const sweepEvery = time.Hour

// close marks the account, or without a [Closer] removes its credentials.
func (x *Extension) close(ctx context.Context, account mux.Address) error {
	if x.closer == nil {
		return x.accounts.Remove(ctx, account.String())
	}
	return x.closer.Close(ctx, account.String(), time.Now().Add(max(x.opt.Grace, 0)))
}

// closed is what follows the mark, in a turn of the account.
func (x *Extension) closed(ctx context.Context, e *mux.Event) {
	if x.closer != nil && x.opt.Grace > 0 {
		// It may come back; but nobody who is logged in stays.
		for _, s := range e.Sessions() {
			e.EndSession(ctx, s, stream.NotAuthorized)
		}
		x.changed(ctx, e, nil)
		return
	}
	account := e.Account
	e.RemoveAccount(ctx)
	if x.closer == nil {
		return
	}
	e.Work.After(func(err error) {
		if err == nil {
			x.working.Go(func() { x.finish(context.WithoutCancel(ctx), account) })
		}
	})
}

// finish removes the credentials, and with them the mark.
func (x *Extension) finish(ctx context.Context, account mux.Address) {
	ctx, cancel := context.WithTimeout(ctx, finishTime)
	defer cancel()
	var r Refusal
	if err := x.accounts.Remove(ctx, account.String()); err != nil && !(errors.As(err, &r) && r.Missing()) {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "an account is not quite removed; the next start goes on with it",
			slog.String("account", account.String()), slog.Any("err", err))
	}
}

// RemoveAccount removes an account as its owner does, for operators' tools and web
// pages. Without a mux it is marked only, and the next start does the rest. It waits,
// and must not be called in a turn; [ErrNoAccount] if there is none.
func (x *Extension) RemoveAccount(ctx context.Context, account mux.Address) error {
	if x.closer == nil {
		if err := x.accounts.Remove(ctx, account.String()); err != nil {
			return refused(err, err)
		}
	} else if err := x.closer.Close(ctx, account.String(), time.Now()); err != nil {
		return refused(err, err)
	}
	m := x.mux.Load()
	if m == nil {
		return nil
	}
	return x.carryOut(ctx, m, account)
}

// carryOut does what follows the mark.
func (x *Extension) carryOut(ctx context.Context, m *mux.Mux, account mux.Address) error {
	if err := m.RemoveAccount(ctx, account); err != nil {
		return err
	}
	if x.closer != nil {
		x.finish(ctx, account)
	}
	return nil
}

// accountRemoved forgets what is kept beside credentials.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	removed := time.Now()
	if _, quiet := x.quiet.LoadAndDelete(e.Account); quiet {
		removed = time.Time{}
	}
	e.Work.Write(x.opt.Store.RemoveAccount(e.Account, removed))
	return nil
}

// Start implements [mux.Starter]: it finishes what was interrupted.
func (x *Extension) Start(ctx context.Context, m *mux.Mux) error {
	x.mux.Store(m)
	if err := x.sweep(ctx, m); err != nil {
		return err
	}
	guests, err := x.opt.Store.Guests(ctx, mux.Address{})
	if err != nil {
		return err
	}
	for _, g := range guests {
		if g.Befriend {
			x.befriend(ctx, g)
		}
	}
	if x.stop != nil {
		x.stop() // started again
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	x.stop = stop
	x.working.Go(func() { x.sweeping(run, m) })
	return nil
}

// Shutdown implements [mux.Stopper].
func (x *Extension) Shutdown(context.Context) error {
	if x.stop != nil {
		x.stop()
	}
	x.working.Wait()
	return nil
}

func (x *Extension) sweeping(ctx context.Context, m *mux.Mux) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := x.sweep(ctx, m); err != nil {
				x.opt.Logger.LogAttrs(ctx, slog.LevelError, "removal of closed accounts", slog.Any("err", err))
			}
		}
	}
}

// sweep removes the accounts that are due, and applications nobody has decided.
func (x *Extension) sweep(ctx context.Context, m *mux.Mux) error {
	now := time.Now()
	waiting, err := x.opt.Store.Applications(ctx)
	if err != nil {
		return err
	}
	for _, a := range waiting {
		if now.Sub(a.At) > x.opt.ApplicationLifetime {
			if err := x.Deny(ctx, a.Account); err != nil {
				return err
			}
		}
	}
	if x.closer == nil {
		return nil
	}
	closing, err := x.closer.Closing(ctx)
	if err != nil {
		return err
	}
	for name, due := range closing {
		account, err := mux.ParseAddress(name)
		if err != nil || due.After(now) {
			continue
		}
		if err := x.carryOut(ctx, m, account); err != nil {
			return err
		}
	}
	return nil
}
