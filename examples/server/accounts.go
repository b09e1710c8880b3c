package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/smacks"
)

// operatorAccounts is what the command user works on. An operator may choose any
// password that can be used at all.
type operatorAccounts struct {
	store     accountStore
	clients   sasl2.Store
	committer mux.Committer
	register  *register.Extension
	sasl2     *sasl2.Extension // of the server that runs
	mux       *mux.Mux         // nil while no server runs
	streams   *smacks.Extension
	states    *csi.Extension
	// expire ends saved sessions of an account, for when no server runs.
	expire func(ctx context.Context, account string) error
}

var _ control.Accounts = (*operatorAccounts)(nil)

// Add implements control.Accounts.
func (o *operatorAccounts) Add(ctx context.Context, account, password string) error {
	c, err := scram.NewCredentials(password, scram.Policy{})
	if err != nil {
		return err
	}
	a, err := mux.ParseAddress(account)
	if err != nil {
		return err
	}
	_, err = o.store.Create(ctx, account, c, o.register.Admit(a))
	return err
}

// maxTries is how often update begins again when somebody else was faster.
const maxTries = 5

// SetPassword implements control.Accounts. Sessions end, since whoever has the
// old password may be in one (core-im LC-14).
func (o *operatorAccounts) SetPassword(ctx context.Context, account, password string) error {
	c, err := scram.NewCredentials(password, scram.Policy{})
	if err != nil {
		return err
	}
	if err := o.update(ctx, account, func(old *scram.Credentials) { old.Keys = c.Keys }); err != nil {
		return err
	}
	return o.endSessions(ctx, account, true)
}

// SetDisabled implements control.Accounts. Nothing but logins and sessions ends: to
// others the account is what it was (core-im LC-14).
func (o *operatorAccounts) SetDisabled(ctx context.Context, account string, disabled bool) error {
	if err := o.update(ctx, account, func(old *scram.Credentials) {
		old.Disabled = disabled
		if !disabled && old.Closing.After(time.Now()) {
			old.Closing = time.Time{} // it may come back yet
		}
	}); err != nil || !disabled {
		return err
	}
	return o.endSessions(ctx, account, false)
}

// update changes credentials, whoever else does so at the same time.
func (o *operatorAccounts) update(ctx context.Context, account string, change func(*scram.Credentials)) error {
	for range maxTries {
		c, err := o.store.Credentials(ctx, account)
		if err != nil {
			return err
		}
		change(&c)
		if _, err = o.store.Update(ctx, account, c.Generation, c); !errors.Is(err, scram.ErrConflict) {
			return err
		}
	}
	return scram.ErrConflict
}

// endSessions ends those there are, kept and saved ones too, and if the
// credentials are others now tells who keeps what was derived from them.
func (o *operatorAccounts) endSessions(ctx context.Context, account string, changed bool) error {
	if o.mux == nil {
		return o.expire(ctx, account)
	}
	return o.turn(ctx, account, func(ctx context.Context, e *mux.Event) error {
		e.EndSessions(ctx, nil)
		if !changed {
			return nil
		}
		return mux.Emit(ctx, e, mux.CredentialsChanged{})
	})
}

// List implements control.Accounts.
func (o *operatorAccounts) List(ctx context.Context) ([]string, error) { return o.store.List(ctx, "") }

func (o *operatorAccounts) turn(ctx context.Context, account string, f func(context.Context, *mux.Event) error) error {
	a, err := mux.ParseAddress(account)
	if err != nil {
		return err
	}
	var inner error
	err = o.mux.Do(ctx, a, func(ctx context.Context, e *mux.Event) { inner = f(ctx, e) })
	return errors.Join(err, inner)
}

// errNoStore: accounts kept in memory end with the server that keeps them.
var errNoStore = errors.New("no server runs, and -store memory keeps no accounts without one")

// openAccounts opens the store of a server that does not run, for the command
// user.
func openAccounts(ctx context.Context, cfg *config.Config) (control.Accounts, io.Closer, error) {
	if cfg.Store == config.StoreMemory {
		return nil, nil, errNoStore
	}
	if err := cfg.Unavailable(); err != nil {
		return nil, nil, err
	}
	s, err := openStores(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	apply := func(_ context.Context, writes ...mux.Write) error {
		s.committer.Submit(writes) // closing the store waits for it
		return nil
	}
	people := registration(cfg, s, cfg.WebURL(""), scram.NewService(s.accounts, nil), apply, nil, slog.New(slog.DiscardHandler))
	a := &operatorAccounts{store: s.accounts, clients: s.clients, committer: s.committer, register: people, expire: s.expire}
	return control.Serving(a, func() []string { return cfg.Domains }), closer(s.close), nil
}

type closer func() error

// Close implements io.Closer.
func (f closer) Close() error { return f() }
