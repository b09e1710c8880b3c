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
	errSecond       = refuse(stanza.Modify, stanza.NotAcceptable, 406, "one account is enough")
	errConflict     = refuse(stanza.Cancel, stanza.Conflict, 409, "")
	errNotAllowed   = refuse(stanza.Cancel, stanza.NotAllowed, 405, "")
	errUnsafe       = refuse(stanza.Auth, stanza.NotAuthorized, 401, "TLS is required")
	errUnexpected   = refuse(stanza.Wait, stanza.UnexpectedRequest, 400, "")
	errUnregistered = refuse(stanza.Auth, stanza.RegistrationRequired, 407, "")
	errBusy         = refuse(stanza.Wait, stanza.ResourceConstraint, 500, "")
	errInternal     = refuse(stanza.Wait, stanza.InternalServerError, 500, "")
)

// failure turns an error of Accounts into an answer; unacceptable and missing are
// the answers where those are the reason.
func (x *Extension) failure(ctx context.Context, err error, what string, unacceptable, missing *mux.Error) error {
	var r Refusal
	if errors.As(err, &r) {
		switch {
		case r.Exists():
			return errConflict
		case r.Unacceptable():
			return unacceptable
		case r.Missing():
			return missing
		case r.Busy():
			return errBusy
		}
	}
	x.opt.Logger.LogAttrs(ctx, slog.LevelError, "registration failed", slog.String("step", what), slog.Any("err", err))
	return errInternal
}
