package register

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/propolis-im/propolis/mux"
)

// Waiting returns those who wait for approval, oldest first.
func (x *Extension) Waiting(ctx context.Context) ([]Application, error) {
	return x.opt.Store.Applications(ctx)
}

// waits returns an application, or [ErrNoApplication].
func (x *Extension) waits(ctx context.Context, account mux.Address) (Application, error) {
	all, err := x.opt.Store.Applications(ctx)
	if err != nil {
		return Application{}, err
	}
	i := slices.IndexFunc(all, func(a Application) bool { return a.Account == account })
	if i < 0 || x.disabler == nil {
		return Application{}, ErrNoApplication
	}
	return all[i], nil
}

// Approve lets somebody in who waits for it, or returns [ErrNoApplication]. It must not
// be called in a turn.
func (x *Extension) Approve(ctx context.Context, account mux.Address) error {
	a, err := x.waits(ctx, account)
	if err != nil {
		return err
	}
	if err := x.disabler.SetDisabled(ctx, account.String(), false); err != nil {
		return refused(err, err)
	}
	if err := x.write(ctx, account, x.opt.Store.Decided(account)); err != nil {
		return err
	}
	if x.opt.Created != nil {
		source, _ := netip.ParseAddr(a.Source) // invalid is what it was then
		x.opt.Created(ctx, account, source)
	}
	return nil
}

// Deny removes the account of somebody who waits for approval, or returns
// [ErrNoApplication]; others can have the name. It must not be called in a turn.
func (x *Extension) Deny(ctx context.Context, account mux.Address) error {
	if _, err := x.waits(ctx, account); err != nil {
		return err
	}
	m := x.mux.Load()
	if m == nil {
		// Nobody has ever logged in, so there is nothing else of it.
		if err := x.write(ctx, account, x.opt.Store.RemoveAccount(account, time.Time{})); err != nil {
			return err
		}
		return x.accounts.Remove(ctx, account.String())
	}
	x.quiet.Store(account, true)
	defer x.quiet.Delete(account)
	return x.RemoveAccount(ctx, account)
}

// Admit is what has to be done in the transaction in which an operator's tool makes an
// account by itself, without [Extension.SignUp]: it refuses names that are reserved for
// somebody who is invited or look like another's.
func (x *Extension) Admit(account mux.Address) Also {
	return x.opt.Store.Admit(Admission{Account: account, Skeleton: Skeleton(account.Local()), Tombstone: -1, Now: time.Now()})
}
