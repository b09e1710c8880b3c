package scram

import (
	"errors"
	"fmt"
)

// Errors of a client, by what a program does about them. None quotes a
// password, a nonce or a key.
var (
	// ErrNoMechanism: the server lists nothing that may be used.
	ErrNoMechanism = errors.New("scram: no usable mechanism")
	// ErrPlainRefused: only PLAIN is left, and it is not allowed, or was
	// ruled out for this account. Nothing secret was sent.
	ErrPlainRefused = fmt.Errorf("%w: PLAIN is all there is, and it is refused", ErrNoMechanism)

	// ErrListTampered: the server signed other lists of mechanisms and channel
	// bindings than those received (XEP-0474 §6.2). Somebody sits between.
	ErrListTampered = errors.New("scram: the list of mechanisms was tampered with")
	// ErrTLSVersionTampered: the server's end of the connection has another
	// version of TLS (XEP-0515 §4.2). Somebody sits between.
	ErrTLSVersionTampered = errors.New("scram: the two ends have different versions of TLS")

	// ErrWeakParameters: salt or iteration count would make the password easy
	// to guess, or the work too much.
	ErrWeakParameters = errors.New("scram: salt or iteration count out of bounds")
	// ErrIterationsDropped: the iteration count is lower than it was before.
	// Only a user who types the password again may agree to that; then remove
	// the count from [Pins].
	ErrIterationsDropped = fmt.Errorf("%w: fewer iterations than before", ErrWeakParameters)

	// ErrNeedPassword: no kept keys fit, and there is no password.
	ErrNeedPassword = errors.New("scram: password needed")

	// ErrServerMessage: the server broke the rules of the protocol.
	ErrServerMessage = errors.New("scram: malformed message of the server")
	// ErrServerNotAuthenticated: the server did not prove that it knows the
	// keys of the account. It must not be trusted, whatever it says.
	ErrServerNotAuthenticated = errors.New("scram: server not authenticated")

	// ErrWrongPassword: not-authorized. A server says the same for accounts
	// that do not exist.
	ErrWrongPassword = errors.New("scram: wrong username or password")
	// ErrDisabled: account-disabled.
	ErrDisabled = errors.New("scram: account disabled")
	// ErrExpired: credentials-expired.
	ErrExpired = errors.New("scram: credentials expired")
	// ErrTemporary: temporary-auth-failure. Try later with the same password.
	ErrTemporary = errors.New("scram: temporary failure of the server")
)

// Errors about channel binding, which wrap [ErrBinding].
var (
	// ErrBindingLocal: this end of the connection has no channel binding.
	ErrBindingLocal = fmt.Errorf("%w: none at this end", ErrBinding)
	// ErrBindingNotOffered: the server lists no mechanism with channel binding
	// that could be used, and the policy requires one.
	ErrBindingNotOffered = fmt.Errorf("%w: the server offers none", ErrBinding)
	// ErrBindingContradiction: the server lists mechanisms with channel binding
	// but no types, or types but no mechanisms (XEP-0440). Either it is broken or
	// somebody shortened the list.
	ErrBindingContradiction = fmt.Errorf("%w: mechanisms and types do not fit together", ErrBinding)
	// ErrBindingNoCommon: both ends have channel bindings, but none in common.
	ErrBindingNoCommon = fmt.Errorf("%w: no type in common", ErrBinding)
	// ErrBindingGuessed: the server listed no types and has refused the login
	// bound to the default one, see [Choice]. It may have meant another type; or
	// the password was wrong, or somebody sits between.
	ErrBindingGuessed = fmt.Errorf("%w: the default type may not be the server's", ErrBinding)
	// ErrBindingLost: the account had a better channel binding before.
	ErrBindingLost = fmt.Errorf("%w: weaker than before", ErrBinding)
)

// RefusedError is a failure that the server sent. [errors.Is] finds
// [ErrWrongPassword], [ErrDisabled], [ErrExpired] or [ErrTemporary] in it by its
// condition, and [ErrBindingGuessed] where that applies too. It was not authenticated: anybody in between could have sent it.
type RefusedError struct {
	Condition string // as in RFC 6120 §6.5; empty if there was none
	Text      string // for people, from the server; may be empty
	Mechanism string // what was tried
	Guessed   bool   // its channel binding was a guess, see [Choice]
}

// Error names mechanism and condition, and quotes the beginning of the text.
func (e *RefusedError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("scram: %s refused: %q", e.Mechanism, e.Condition)
	}
	return fmt.Sprintf("scram: %s refused: %q (%.100q)", e.Mechanism, e.Condition, e.Text)
}

// Is reports whether target is the error for the condition.
func (e *RefusedError) Is(target error) bool {
	if target == ErrBindingGuessed || target == ErrBinding {
		return e.Guessed
	}
	switch e.Condition {
	case NotAuthorized:
		return target == ErrWrongPassword
	case AccountDisabled:
		return target == ErrDisabled
	case CredentialsExpired:
		return target == ErrExpired
	case TemporaryAuthFailure:
		return target == ErrTemporary
	}
	return false
}
