package scram

import (
	"context"
	"errors"
)

// AccountStore is what a [Service] works on.
type AccountStore interface {
	Store
	Accounts
}

// ServiceOptions refine a Service. The zero value is ready to use.
type ServiceOptions struct {
	// Policy is what new keys are like.
	Policy Policy
	// Rules decide which passwords may be chosen.
	Rules PasswordRules
	// MaxName is the most octets a new name may have; 0 or less means 64.
	MaxName int
	// Pool bounds how many keys are derived at a time; it is best the one of the
	// [Authenticator]. nil means a pool with the defaults of [NewPool].
	Pool *Pool
}

// Service makes, changes and removes accounts with passwords as people type them:
// for registration in whatever protocol, and for tools. It is safe for concurrent
// use.
//
// Errors about what was asked for, and not about a store that failed, are or wrap
// a [*Refusal].
type Service struct {
	store AccountStore
	opt   ServiceOptions
}

// NewService returns a service. The store must not be nil; o may be, and is
// copied.
func NewService(store AccountStore, o *ServiceOptions) *Service {
	s := &Service{store: store}
	if o != nil {
		s.opt = *o
	}
	if s.opt.Pool == nil {
		s.opt.Pool = NewPool(0, 0)
	}
	return s
}

// Refusal says by its methods why a [Service] did not do what it was asked for,
// so that a package that cannot import this one can tell, as with the Timeout of
// net.Error.
type Refusal struct{ err error }

// Error is that of the cause; it quotes neither name nor password.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap returns the cause: [ErrExists], [ErrNoAccount], [ErrBusy], or an error
// that wraps [ErrName] or [ErrPassword].
func (r *Refusal) Unwrap() error { return r.err }

// Exists reports whether the account exists already.
func (r *Refusal) Exists() bool { return errors.Is(r.err, ErrExists) }

// Missing reports whether there is no such account.
func (r *Refusal) Missing() bool { return errors.Is(r.err, ErrNoAccount) }

// Unacceptable reports whether the name or password may not be chosen.
func (r *Refusal) Unacceptable() bool {
	return errors.Is(r.err, ErrName) || errors.Is(r.err, ErrPassword)
}

// Busy reports whether there is too much to do just now.
func (r *Refusal) Busy() bool { return errors.Is(r.err, ErrBusy) }

// refusal makes those errors Refusals that are.
func refusal(err error) error {
	r := &Refusal{err}
	if err != nil && (r.Exists() || r.Missing() || r.Unacceptable() || r.Busy()) {
		return r
	}
	return err
}

// Prepare returns the localpart that a new account with that name has, see
// [PrepareName].
func (s *Service) Prepare(name string) (local string, err error) {
	local, err = PrepareName(name, s.opt.MaxName)
	return local, refusal(err)
}

// Create makes an account, named by its bare JID, whose localpart is one of
// [Service.Prepare]. Keys for all hashes of the policy are written with it. It
// waits for the pool and the store.
func (s *Service) Create(ctx context.Context, account, password string) error {
	if _, err := s.opt.Rules.Check(password); err != nil {
		return refusal(err)
	}
	// Deriving keys is the expensive part, not to be had for a name that is taken.
	// Whether it is decides the store below.
	switch _, err := s.store.Credentials(ctx, account); {
	case err == nil:
		return refusal(ErrExists)
	case !errors.Is(err, ErrNoAccount):
		return err
	}
	c, err := s.derive(ctx, password)
	if err != nil {
		return refusal(err)
	}
	_, err = s.store.Create(ctx, account, c)
	return refusal(err)
}

// maxUpdates is how often SetPassword begins again when somebody else was faster.
const maxUpdates = 5

// SetPassword replaces all keys of an account in one step. Whatever was written
// meanwhile is replaced as well, since the password is the newer one; only
// Disabled stays as it is. It waits for the pool and the store. On error the old
// password is in force.
func (s *Service) SetPassword(ctx context.Context, account, password string) error {
	if _, err := s.opt.Rules.Check(password); err != nil {
		return refusal(err)
	}
	old, err := s.store.Credentials(ctx, account)
	if err != nil {
		return refusal(err)
	}
	c, err := s.derive(ctx, password)
	if err != nil {
		return refusal(err)
	}
	for range maxUpdates {
		c.Disabled = old.Disabled
		_, err = s.store.Update(ctx, account, old.Generation, c)
		if !errors.Is(err, ErrConflict) {
			return refusal(err)
		}
		if old, err = s.store.Credentials(ctx, account); err != nil {
			return refusal(err)
		}
	}
	return ErrConflict
}

// Remove removes an account with its credentials. It waits for the store.
func (s *Service) Remove(ctx context.Context, account string) error {
	return refusal(s.store.Remove(ctx, account))
}

func (s *Service) derive(ctx context.Context, password string) (c Credentials, err error) {
	err = s.opt.Pool.Do(ctx, func() error {
		c, err = NewCredentials(password, s.opt.Policy)
		return err
	})
	return c, err
}
