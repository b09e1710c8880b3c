package scram

import (
	"context"
	"errors"
)

// Errors of a [Store] and of [Accounts]. Implementations may wrap them.
var (
	ErrNoAccount = errors.New("scram: no such account")
	ErrExists    = errors.New("scram: account exists")
	ErrConflict  = errors.New("scram: credentials changed meanwhile")
)

// Store is where an [Authenticator] finds credentials. An account is named by
// its bare JID, localpart@domainpart, both parts prepared; names are compared
// octet by octet. Implementations must be safe for concurrent use, and should
// take as long to find nothing as to find something. Package storetest checks
// them.
type Store interface {
	// Credentials returns the credentials of an account, or ErrNoAccount.
	Credentials(ctx context.Context, account string) (Credentials, error)
	// Update replaces all credentials of an account in one step if their
	// generation is still from, and returns the new generation; otherwise it
	// changes nothing and returns ErrConflict, or ErrNoAccount. Generation,
	// Created and Updated of c are not used. It does not retain c.
	Update(ctx context.Context, account string, from int64, c Credentials) (generation int64, err error)
	// AddKey adds a key of the password that the account has, if its generation is
	// still from and it has no key for that hash; the generation stays. Otherwise
	// it changes nothing and returns ErrConflict, or ErrNoAccount. It does not
	// retain k. An Update from the same generation replaces the key like others.
	AddKey(ctx context.Context, account string, from int64, k Key) error
	// Renew puts keys of the password that the account has in the place of those
	// for the same hashes, or beside the others, in one step, if its generation is
	// still from; the generation stays. Otherwise it changes nothing and returns
	// ErrConflict, or ErrNoAccount. It does not retain keys.
	Renew(ctx context.Context, account string, from int64, keys []Key) error
}

// Accounts is what a store offers beyond [Store] to those who register and
// remove accounts.
type Accounts interface {
	// Create adds an account, or returns ErrExists. Of several concurrent
	// calls for one name exactly one succeeds. Generation and Updated of c are
	// not used. It does not retain c.
	Create(ctx context.Context, account string, c Credentials) (generation int64, err error)
	// Remove deletes an account with its credentials, or returns ErrNoAccount.
	Remove(ctx context.Context, account string) error
}
