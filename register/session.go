package register

import (
	"context"
	"log/slog"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/dataform"
	"github.com/propolis-im/propolis/mux"
)

// get tells a client that it is registered, and as whom (XEP-0077 §3.1).
func (x *Extension) get(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if e.Session == nil {
		return nil, errNotAllowed // other servers' users have no business here
	}
	return fields(true, x.opt.Instructions, e.Account.Local(), nil), nil
}

// set changes the password or removes the account of the session that asks,
// never that of anybody else. It may wait.
func (x *Extension) set(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	q, ok := parse(e.Stanza)
	switch {
	case e.Session == nil && ok && q.remove:
		return nil, errUnregistered // XEP-0077 §3.2
	case e.Session == nil:
		return nil, errNotAllowed
	case !ok:
		return nil, errBadRequest
	}
	if f := x.demand(e, &q); f != nil {
		x.refuseWith(e, f)
		return nil, nil
	}
	switch {
	case q.remove, q.is(formCancel):
		return nil, x.remove(ctx, e, q)
	default:
		return nil, x.change(ctx, e, q)
	}
}

// mayChange is what can be said about a change of the password without waiting
// (XEP-0077 §3.3).
func (x *Extension) mayChange(e *mux.Event, q *query) error {
	if err := own(e, q); err != nil {
		return err
	}
	switch {
	case q.password == "":
		return errBadRequest // the old one stays
	case x.opt.KeepPassword:
		return errNotAllowed
	case !secure(e):
		return errUnsafe
	}
	return nil
}

// own sees whether the username is that of the session. Forms may have the whole
// address (XEP-0077 §3.3).
func own(e *mux.Event, q *query) error {
	if !q.hasUsername || q.username == "" {
		return errBadRequest
	}
	if q.form != nil {
		if a, err := mux.ParseAddress(q.username); err == nil && a == e.Account {
			return nil
		}
	}
	switch name, err := jid.New(q.username, e.Account.Domain(), ""); {
	case err != nil:
		return errBadRequest
	case mux.AddressOf(name) != e.Account:
		return errNotAllowed // it would be a second account, or somebody else's
	}
	return nil
}

// change changes the password.
func (x *Extension) change(ctx context.Context, e *mux.Event, q query) error {
	if err := x.mayChange(e, &q); err != nil {
		return err
	}
	if q.is(formPassword) && x.verifier != nil {
		old, ok := q.form.One("old_password")
		if !ok || old == "" {
			return errBadRequest
		}
		if err := x.verify(ctx, e, old); err != nil {
			return err
		}
	}
	if err := x.accounts.SetPasswordWith(ctx, e.Account.String(), q.password); err != nil {
		return x.failure(ctx, err, "password", errPassword, errUnexpected)
	}
	x.changed(ctx, e, e.Session)
	return nil
}

// changed is what follows from a new password: whoever else is logged in may have
// known the old one only (auth-register PC-3).
func (x *Extension) changed(ctx context.Context, e *mux.Event, but *mux.Session) {
	if err := mux.Emit(ctx, e, mux.CredentialsChanged{}); err != nil {
		// The password is another one now, so it is no error to the client.
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "after a change of password", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
	e.EndSessions(ctx, but)
}

// mayRemove is what can be said about a removal without waiting (XEP-0077 §3.2).
func (x *Extension) mayRemove(e *mux.Event, q *query) error {
	switch {
	case q.children != 1:
		return errBadRequest // also where name and password of another account are given
	case x.opt.KeepAccount:
		return errNotAllowed
	}
	return nil
}

// remove removes the account of the session.
func (x *Extension) remove(ctx context.Context, e *mux.Event, q query) error {
	if err := x.mayRemove(e, &q); err != nil {
		return err
	}
	if q.is(formCancel) {
		if err := own(e, &q); err != nil {
			return err
		}
		if x.verifier != nil {
			if err := x.verify(ctx, e, q.password); err != nil {
				return err
			}
		}
	}
	// From here on nobody can log in, whatever happens next.
	if err := x.close(ctx, e.Account); err != nil {
		return x.failure(ctx, err, "remove", errInternal, errUnregistered)
	}
	// The result goes first, then all streams end, this one included.
	e.Then(x.closed)
	return nil
}

// maxWrong is how many wrong passwords a session may give.
const maxWrong = 3

// verify checks the password of the account. A wrong one counts as a failed login.
func (x *Extension) verify(ctx context.Context, e *mux.Event, password string) error {
	fails := x.fails.Of(e.Session)
	if *fails >= maxWrong {
		return errUnsafeWrong
	}
	ok, err := x.verifier.Verify(ctx, e.Account.String(), password)
	if err != nil {
		return x.failure(ctx, err, "verify", errUnsafeWrong, errUnexpected)
	}
	if ok {
		return nil
	}
	*fails++
	x.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "wrong password in a session", slog.String("account", e.Account.String()))
	if s := e.Session; *fails >= maxWrong {
		e.Then(func(ctx context.Context, e *mux.Event) { e.EndSession(ctx, s, stream.PolicyViolation) })
		if x.opt.Guessed != nil {
			x.opt.Guessed(ctx, e) // else a token is worth three guesses as often as it is used
		}
	}
	return errUnsafeWrong
}

// demand is the form with which a session has to give the password first (XEP-0077 §3.2,
// §3.3); nil if it has not to, or is refused anyway.
func (x *Extension) demand(e *mux.Event, q *query) *dataform.Form {
	if x.opt.AskPassword == nil || x.verifier == nil || !x.opt.AskPassword(e) {
		return nil
	}
	switch {
	case q.is(formCancel), q.is(formPassword):
		return nil
	case q.remove && x.mayRemove(e, q) == nil:
		return askPassword(formCancel, e.Account.Local())
	case !q.remove && x.mayChange(e, q) == nil:
		return askPassword(formPassword, e.Account.Local())
	}
	return nil
}

// refuseWith answers a request with a form that stands beside the error, which the
// kernel knows no other way for than an answer of our own.
func (x *Extension) refuseWith(e *mux.Event, f *dataform.Form) {
	s := e.Stanza
	payload := f.Append([]byte("<query xmlns='" + NS + "'>"))
	child := mux.RawChild(queryName, string(append(payload, "</query>"...)))
	from := s.To()
	if from.IsZero() {
		from = e.Account
	}
	refusal := mux.ErrorReply(s, errPasswordForm)
	it := mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.IQ, Type: "error", ID: s.ID(), From: from, To: e.Session.JID()},
		append([]mux.Child{child}, refusal.Children()...)...), Flags: mux.Service}
	e.Later().Feed(e.Session, func(_ context.Context, emit func(mux.Item)) (bool, error) {
		emit(it)
		return false, nil
	})
}

// secure reports whether the request came over a connection that nobody else
// reads.
func secure(e *mux.Event) bool {
	st := e.Origin()
	return st != nil && st.State()&mux.Secure != 0
}

// day is that of limits and lifetimes.
const day = 24 * time.Hour
