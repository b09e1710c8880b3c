package scram

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
)

// prefixUpgrade begins the names of upgrade tasks (XEP-0480 §3).
const prefixUpgrade = "UPGR-"

var (
	errTask   = errors.New("upgrade that is not on offer")
	errSalted = errors.New("salted password of a wrong length")
)

// Upgrades returns the names of the tasks that would add the keys an account
// lacks (XEP-0480 §2.1), strongest hash first. For an account that does not exist
// it takes as long, and answers for [Options.HashSets]. The error is a [*Failure].
func (a *Authenticator) Upgrades(ctx context.Context, account string) ([]string, error) {
	c, _, err := a.lookup(ctx, account)
	if err != nil {
		return nil, err
	}
	// Drawn for everybody, so that it takes its time for everybody.
	has := a.decoyHashes(account)
	if len(c.Keys) > 0 {
		has = nil
		for _, k := range c.Keys {
			has = append(has, k.Hash)
		}
	}
	var tasks []string
	for _, h := range a.o.Policy.Hashes {
		if !slices.Contains(has, h) {
			tasks = append(tasks, prefixUpgrade+h.Mechanism())
		}
	}
	return tasks, nil
}

// BeginUpgrade begins a task of [Authenticator.Upgrades] for an account that has
// just proved its password, at that generation ([Exchange.Generation]). It must
// not be called after a login by other means: who has no password would get one.
//
// Salt and iterations go to the client; finish takes the SaltedPassword that comes
// back, once, and adds the key that is made of it. Nothing is written if the
// length is wrong, or if the account has changed meanwhile or has got such a key.
// The generation stays what it is: the password is the same. Errors are of type
// [*Failure].
func (a *Authenticator) BeginUpgrade(ctx context.Context, account string, generation int64, task string) (
	salt []byte, iterations int, finish func(ctx context.Context, saltedPassword []byte) error, err error) {
	name, ok := strings.CutPrefix(task, prefixUpgrade)
	h, known := ParseMechanism(name)
	if !ok || !known || !slices.Contains(a.o.Policy.Hashes, h) {
		return nil, 0, nil, fail(MalformedRequest, errTask)
	}
	if err := a.mayUpgrade(ctx, account, generation, h); err != nil {
		return nil, 0, nil, err
	}
	k := Key{Hash: h, Salt: make([]byte, a.o.Policy.SaltLength), Iterations: a.o.Policy.Iterations}
	rand.Read(k.Salt)
	done := false
	finish = func(ctx context.Context, saltedPassword []byte) error {
		if done {
			return fail(MalformedRequest, errOrder)
		}
		done = true
		if len(saltedPassword) != h.Size() {
			return fail(MalformedRequest, errSalted)
		}
		k.setSalted(saltedPassword)
		return a.addKey(ctx, account, generation, k)
	}
	return slices.Clone(k.Salt), k.Iterations, finish, nil
}

// mayUpgrade checks that the account is as it was at the login, and lacks the key.
func (a *Authenticator) mayUpgrade(ctx context.Context, account string, generation int64, h Hash) error {
	c, known, err := a.lookup(ctx, account)
	switch {
	case err != nil:
		return err
	case !known || c.Generation != generation:
		return fail(NotAuthorized, errChanged)
	case c.Refuses():
		return fail(AccountDisabled, errDisabled)
	}
	if _, has := c.Key(h); has {
		return fail(MalformedRequest, errTask)
	}
	return nil
}

func (a *Authenticator) addKey(ctx context.Context, account string, generation int64, k Key) error {
	err := a.store.AddKey(ctx, account, generation, k)
	switch {
	case err == nil:
		a.o.Changed(account)
		return nil
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNoAccount):
		return fail(NotAuthorized, errChanged)
	}
	return fail(TemporaryAuthFailure, err)
}

// Status tells how an account is, for those who authenticate it by other means:
// what they have issued is worth nothing once the generation is another one. The
// error is a [*Failure] and means that the store did not answer.
func (a *Authenticator) Status(ctx context.Context, account string) (generation int64, disabled, exists bool, err error) {
	c, exists, err := a.lookup(ctx, account)
	return c.Generation, c.Refuses(), exists, err
}
