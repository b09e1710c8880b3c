package register

import (
	"context"
	"errors"
	"log/slog"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Refusal is what an error of [Accounts] has to be to get an answer of its own,
// also behind an interface of somebody else: at most one of the methods says yes.
type Refusal interface {
	error
	// Exists: the name is taken.
	Exists() bool
	// Missing: there is no such account.
	Missing() bool
	// Unacceptable: the name or password may not be chosen.
	Unacceptable() bool
	// Busy: there is too much to do; later it may work.
	Busy() bool
}

// refuse makes an error with the number that XEP-0077 §9 wants beside the
// condition. The text never repeats what the peer sent.
func refuse(t stanza.ErrorType, c stanza.Condition, code int, text string) *mux.Error {
	e := &mux.Error{Stanza: stanza.Error{Type: t, Condition: c}, Code: code}
	if text != "" {
		e.Stanza.Text = map[string]string{"en": text}
	}
	return e
}

// The errors. Numbers are those of XEP-0086, where policy-violation, which is
// younger, gets that of not-allowed.
var (
	errClosed       = refuse(stanza.Cancel, stanza.ServiceUnavailable, 503, "")
	errInsecure     = refuse(stanza.Modify, stanza.PolicyViolation, 405, "TLS is required")
	errLimited      = refuse(stanza.Wait, stanza.PolicyViolation, 405, "too many registrations")
	errBadRequest   = refuse(stanza.Modify, stanza.BadRequest, 400, "")
	errIncomplete   = refuse(stanza.Modify, stanza.NotAcceptable, 406, "username and password are required")
	errName         = refuse(stanza.Modify, stanza.NotAcceptable, 406, "this username is not possible")
	errPassword     = refuse(stanza.Modify, stanza.NotAcceptable, 406, "this password is not possible, or too weak")
	errChallenge    = refuse(stanza.Cancel, stanza.NotAcceptable, 406, "the challenge was not answered rightly")
	errNoChallenge  = refuse(stanza.Cancel, stanza.ServiceUnavailable, 503, "ask for the form again and answer its challenge")
	errToken        = refuse(stanza.Cancel, stanza.ItemNotFound, 404, "the token is invalid or has expired")
	errNoInvite     = refuse(stanza.Cancel, stanza.ItemNotFound, 404, "there is no such invitation")
	errPasswordForm = refuse(stanza.Modify, stanza.NotAuthorized, 401, "")
	errSecond       = refuse(stanza.Modify, stanza.NotAcceptable, 406, "one account is enough")
	errConflict     = refuse(stanza.Cancel, stanza.Conflict, 409, "")
	errNotAllowed   = refuse(stanza.Cancel, stanza.NotAllowed, 405, "")
	errUnsafe       = refuse(stanza.Auth, stanza.NotAuthorized, 401, "TLS is required")
	errUnsafeWrong  = refuse(stanza.Auth, stanza.NotAuthorized, 401, "wrong password")
	errForbidden    = refuse(stanza.Auth, stanza.Forbidden, 403, "")
	errUnexpected   = refuse(stanza.Wait, stanza.UnexpectedRequest, 400, "")
	errUnregistered = refuse(stanza.Auth, stanza.RegistrationRequired, 407, "")
	errBusy         = refuse(stanza.Wait, stanza.ResourceConstraint, 500, "")
	errInternal     = refuse(stanza.Wait, stanza.InternalServerError, 500, "")
)

// failure turns an error of Accounts into an answer in a session; unacceptable and
// missing are the answers where those are the reason.
func (x *Extension) failure(ctx context.Context, err error, what string, unacceptable, missing *mux.Error) error {
	switch err = refused(err, ErrPassword); {
	case errors.Is(err, ErrPassword):
		return unacceptable
	case errors.Is(err, ErrNoAccount):
		return missing
	}
	return x.answer(ctx, err, what)
}

// What [Extension.SignUp] and its kin refuse; any other error is a failure of the
// server, or what [Options.Before] has returned. [ErrTaken] and [ErrInviteGone] are
// among them.
var (
	ErrClosed     = errors.New("register: registration is closed")
	ErrLimited    = errors.New("register: too many tries")
	ErrIncomplete = errors.New("register: name and password are required")
	ErrName       = errors.New("register: this name is not possible")
	ErrPassword   = errors.New("register: this password is not possible, or too weak")
	ErrUninvited  = errors.New("register: an invitation is needed")
	ErrOtherName  = errors.New("register: the invitation is for another name")
	ErrToken      = errors.New("register: the token is invalid or has expired")
	ErrChallenge  = errors.New("register: the challenge was not solved")
	ErrBusy       = errors.New("register: too much to do")
	ErrNoAccount  = errors.New("register: no such account")
	ErrQuota      = errors.New("register: too many open invitations")
)

// answers are what refusals are on the wire (XEP-0077 §3.1; auth-register §2.10).
var answers = []struct {
	err    error
	answer *mux.Error
}{
	{ErrClosed, errClosed}, {ErrLimited, errLimited}, {ErrIncomplete, errIncomplete}, {ErrName, errName},
	{ErrPassword, errPassword}, {ErrUninvited, errNotAllowed}, {ErrOtherName, errNotAllowed}, {ErrToken, errToken},
	{ErrChallenge, errChallenge}, {ErrTaken, errConflict}, {ErrInviteGone, errNotAllowed}, {ErrBusy, errBusy},
	{ErrQueueFull, errLimited}, {ErrNoAccount, errUnregistered}, {ErrQuota, errBusy},
}

// answer turns an error into what the peer is told.
func (x *Extension) answer(ctx context.Context, err error, what string) error {
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return a.answer
		}
	}
	var full *mux.Error
	var se stanza.Error
	if errors.As(err, &full) || errors.As(err, &se) {
		return err // a veto
	}
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, "registration failed", slog.String("step", what), slog.Any("err", err))
	return errInternal
}

// refused turns a [Refusal] of Accounts into one of the errors above.
func refused(err, unacceptable error) error {
	var r Refusal
	if !errors.As(err, &r) {
		return err
	}
	switch {
	case r.Exists():
		return ErrTaken
	case r.Unacceptable():
		return unacceptable
	case r.Missing():
		return ErrNoAccount
	case r.Busy():
		return ErrBusy
	}
	return err
}
