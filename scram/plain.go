package scram

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
)

// maxPlainPart is the most each part of a PLAIN message may have, in octets.
// RFC 4616 §2 asks for at least 255.
const maxPlainPart = 1024

var errPlain = errors.New("not a PLAIN message")

// ParsePlain reads the message of PLAIN (RFC 4616 §2): authzid, which may be
// empty, authcid and password, none of them prepared. The error is a
// [*Failure] with malformed-request.
func ParsePlain(in []byte) (authzid, authcid, password string, err error) {
	text, err := messageText(in)
	if err != nil {
		return "", "", "", fail(MalformedRequest, err)
	}
	parts := strings.Split(text, "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return "", "", "", fail(MalformedRequest, errPlain)
	}
	for _, p := range parts {
		if len(p) > maxPlainPart {
			return "", "", "", fail(MalformedRequest, errLength)
		}
	}
	return parts[0], parts[1], parts[2], nil
}

// plain handles the only message of PLAIN.
func (e *Exchange) plain(ctx context.Context, in []byte) ([]byte, bool, error) {
	authzid, authcid, password, err := ParsePlain(in)
	if err != nil {
		return nil, false, err
	}
	account, err := e.name(authcid)
	if err != nil {
		return nil, false, err
	}
	prepared, err := PreparePassword(password)
	if err != nil {
		return nil, false, fail(NotAuthorized, err)
	}
	generation, err := e.a.verify(ctx, account, prepared)
	if err != nil {
		return nil, false, err
	}
	return nil, true, e.finish(account, generation, authzid)
}

// plainTries bounds how often a password is checked again because the
// credentials changed meanwhile, for instance because another login of the
// same account renewed them.
const plainTries = 3

// verify checks a prepared password and returns the generation that it is
// valid for. The error is a failure.
func (a *Authenticator) verify(ctx context.Context, account, prepared string) (int64, error) {
	for range plainTries {
		c, _, err := a.lookup(ctx, account)
		if err != nil {
			return 0, err
		}
		if err := a.match(ctx, c, account, prepared); err != nil {
			return 0, err
		}
		generation, err := a.renew(ctx, account, prepared, c)
		if errors.Is(err, ErrConflict) {
			continue
		}
		return generation, err
	}
	return 0, fail(NotAuthorized, errChanged)
}

// match compares a password to the strongest key of an account, and to that
// of a decoy where there is none, which takes the same time (XEP-0438 §6.3).
func (a *Authenticator) match(ctx context.Context, c Credentials, account, prepared string) error {
	decoy := a.decoys.Key(slices.Max(a.decoyHashes(account)), account)
	key, real := c.Strongest()
	if !real {
		key = decoy
	}
	matches := false
	err := a.o.Pool.Do(ctx, func() (err error) {
		matches, err = key.Matches(prepared)
		return err
	})
	switch {
	case err != nil:
		return fail(TemporaryAuthFailure, err)
	case !real || !matches:
		return fail(NotAuthorized, errPassword)
	}
	return nil
}

// renew replaces keys that the policy finds missing or weak, now that the
// password is known to be right, and returns the generation in force, which stays:
// whatever rests on it does so on the password, which is the same. It returns
// ErrConflict if the credentials are no longer those that were checked; other
// errors are failures. A login does not fail because keys could not be replaced.
func (a *Authenticator) renew(ctx context.Context, account, prepared string, c Credentials) (int64, error) {
	if c.Refuses() || !c.stale(a.o.Policy) {
		return c.Generation, a.confirmPlain(ctx, account, c.Generation)
	}
	var keys []Key
	err := a.o.Pool.Do(ctx, func() (err error) {
		keys, err = c.lacking(prepared, a.o.Policy)
		return err
	})
	if err == nil {
		// A change of the password since the look-up wins.
		err = a.store.Renew(ctx, account, c.Generation, keys)
	}
	switch {
	case err == nil:
		a.o.Changed(account)
		return c.Generation, nil
	case errors.Is(err, ErrConflict):
		return 0, ErrConflict
	case errors.Is(err, ErrNoAccount):
		return 0, fail(NotAuthorized, errChanged)
	}
	a.o.Logger.LogAttrs(ctx, slog.LevelError, "scram: keys not renewed",
		slog.String("account", account), slog.Any("err", err))
	return c.Generation, a.confirmPlain(ctx, account, c.Generation)
}

// confirmPlain is confirm with ErrConflict where the password can be checked
// again.
func (a *Authenticator) confirmPlain(ctx context.Context, account string, generation int64) error {
	err := a.confirm(ctx, account, generation)
	if errors.Is(err, errChanged) {
		return ErrConflict
	}
	return err
}
