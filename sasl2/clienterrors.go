package sasl2

import (
	"errors"
	"fmt"
)

// Errors of a client, by what a program does about them. Those of the mechanism
// and of TLS are passed on.
var (
	// ErrNotAuthorized: the password is wrong. A server says the same for accounts
	// that do not exist.
	ErrNotAuthorized = errors.New("sasl2: wrong username or password")
	// ErrDisabled: account-disabled.
	ErrDisabled = errors.New("sasl2: account disabled")
	// ErrExpired: credentials-expired.
	ErrExpired = errors.New("sasl2: credentials expired")
	// ErrTemporary: temporary-auth-failure. Try later with the same.
	ErrTemporary = errors.New("sasl2: temporary failure of the server")

	// ErrServerMessage: the server broke the rules of the protocol.
	ErrServerMessage = errors.New("sasl2: malformed message of the server")
	// ErrServerNotAuthenticated: the server claims success and has not proved that
	// it knows the account. It must not be trusted.
	ErrServerNotAuthenticated = errors.New("sasl2: server not authenticated")
	// ErrOtherAccount: the server has let in another account than that of the
	// session.
	ErrOtherAccount = errors.New("sasl2: authenticated as another account")
	// ErrUpgrade: a task was refused, by the server or because it would weaken the
	// account. The login is then tried without.
	ErrUpgrade = errors.New("sasl2: upgrade not done")

	// ErrNoLogin: the server offers no way of logging in inside TLS that the client
	// has too.
	ErrNoLogin = errors.New("sasl2: no way to log in")
	// ErrLostSASL2: the server had SASL2 before, and lists the older profile only.
	ErrLostSASL2 = errors.New("sasl2: the server had SASL2 before")
)

// RefusedError is a failure that the server sent. [errors.Is] finds
// [ErrNotAuthorized], [ErrDisabled], [ErrExpired] or [ErrTemporary] in it by its
// condition. It was not authenticated: anybody in between could have sent it.
type RefusedError struct {
	Condition string // as in RFC 6120 §6.5; empty if there was none
	Text      string // for people, from the server; may be empty
	Mechanism string // what was tried

	mismatch bool // XEP-0509: another version is in force
}

// Error names mechanism and condition, and quotes the beginning of the text.
func (e *RefusedError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("sasl2: %s refused: %q", e.Mechanism, e.Condition)
	}
	return fmt.Sprintf("sasl2: %s refused: %q (%.100q)", e.Mechanism, e.Condition, e.Text)
}

// Is reports whether target is the error for the condition.
func (e *RefusedError) Is(target error) bool {
	switch e.Condition {
	case condNotAuthorized:
		return target == ErrNotAuthorized
	case condDisabled:
		return target == ErrDisabled
	case condExpired:
		return target == ErrExpired
	case condTemporary:
		return target == ErrTemporary
	}
	return false
}

// broken is an error about what the server sent.
func broken(what string) error { return fmt.Errorf("%w: %s", ErrServerMessage, what) }
