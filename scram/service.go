package scram

import (
	"context"
	"errors"
	"time"
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
	// Changed, unless nil, is told of accounts that have come, gone or got other keys,
	// such as [Census.Changed]. It must not wait.
	Changed func(account string)
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
	if s.opt.Changed == nil {
		s.opt.Changed = func(string) {}
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
	return s.CreateWith(ctx, account, password, false)
}

// CreateWith is Create for an account that may be disabled at first, together with
// whatever else has to be written in the same transaction, see [Also].
func (s *Service) CreateWith(ctx context.Context, account, password string, disabled bool, also ...Also) error {
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
	c.Disabled = disabled
	_, err = s.store.Create(ctx, account, c, also...)
	s.opt.Changed(account)
	return refusal(err)
}

// SetPassword replaces all keys of an account in one step. Whatever was written
// meanwhile is replaced as well, since the password is the newer one; only
// Disabled and Closing stay as they are. It waits for the pool and the store. On
// error the old password is in force.
func (s *Service) SetPassword(ctx context.Context, account, password string) error {
	return s.SetPasswordWith(ctx, account, password)
}

// SetPasswordWith is SetPassword together with whatever else has to be written in
// the same transaction, see [Also].
func (s *Service) SetPasswordWith(ctx context.Context, account, password string, also ...Also) error {
	if _, err := s.opt.Rules.Check(password); err != nil {
		return refusal(err)
	}
	if _, err := s.store.Credentials(ctx, account); err != nil {
		return refusal(err) // before the expensive part
	}
	c, err := s.derive(ctx, password)
	if err != nil {
		return refusal(err)
	}
	err = s.update(ctx, account, func(old *Credentials) { old.Keys = c.Keys }, also...)
	s.opt.Changed(account)
	return err
}

// maxUpdates is how often update begins again when somebody else was faster.
const maxUpdates = 5

// update changes credentials, whoever else does so at the same time.
func (s *Service) update(ctx context.Context, account string, change func(*Credentials), also ...Also) error {
	for range maxUpdates {
		c, err := s.store.Credentials(ctx, account)
		if err != nil {
			return refusal(err)
		}
		change(&c)
		if _, err = s.store.Update(ctx, account, c.Generation, c, also...); !errors.Is(err, ErrConflict) {
			return refusal(err)
		}
	}
	return ErrConflict
}

// SetDisabled refuses or allows logins. An account that is going to be removed later
// is not any more when it is enabled.
func (s *Service) SetDisabled(ctx context.Context, account string, disabled bool) error {
	return s.update(ctx, account, func(c *Credentials) {
		c.Disabled = disabled
		if !disabled && c.Closing.After(time.Now()) {
			c.Closing = time.Time{}
		}
	})
}

// Close notes that an account is to be removed at a moment, or now if that has
// passed: from here on nobody can log in, and logins that are in progress fail. What
// removes it then ends with [Service.Remove].
func (s *Service) Close(ctx context.Context, account string, due time.Time) error {
	return s.update(ctx, account, func(c *Credentials) { c.Closing = due })
}

// Closing returns the accounts of [Service.Close] that are still there.
func (s *Service) Closing(ctx context.Context) (map[string]time.Time, error) {
	return s.store.Closing(ctx)
}

// Active reports whether there is an account that somebody can log in to.
func (s *Service) Active(ctx context.Context, account string) (bool, error) {
	switch c, err := s.store.Credentials(ctx, account); {
	case errors.Is(err, ErrNoAccount):
		return false, nil
	case err != nil:
		return false, err
	default:
		return !c.Refuses(), nil
	}
}

// Verify reports whether that is the password of an account. It waits for the pool
// and the store; counting failures is the caller's affair.
func (s *Service) Verify(ctx context.Context, account, password string) (ok bool, err error) {
	c, err := s.store.Credentials(ctx, account)
	if err != nil {
		return false, refusal(err)
	}
	k, has := c.Strongest()
	prepared, err := PreparePassword(password)
	if !has || err != nil {
		return false, nil
	}
	err = s.opt.Pool.Do(ctx, func() error {
		ok, err = k.Matches(prepared)
		return err
	})
	return ok && err == nil, refusal(err)
}

// Remove removes an account with its credentials. It waits for the store.
func (s *Service) Remove(ctx context.Context, account string) error {
	err := s.store.Remove(ctx, account)
	s.opt.Changed(account)
	return refusal(err)
}

func (s *Service) derive(ctx context.Context, password string) (c Credentials, err error) {
	err = s.opt.Pool.Do(ctx, func() error {
		c, err = NewCredentials(password, s.opt.Policy)
		return err
	})
	return c, err
}
