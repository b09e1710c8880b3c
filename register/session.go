package register

import (
	"context"
	"log/slog"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
)

// get tells a client that it is registered, and as whom (XEP-0077 §3.1).
func (x *Extension) get(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if e.Session == nil {
		return nil, errNotAllowed // other servers' users have no business here
	}
	return fields(true, x.opt.Instructions, e.Account.Local()), nil
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
	case q.remove:
		return nil, x.remove(ctx, e, q)
	default:
		return nil, x.change(ctx, e, q)
	}
}

// change changes the password (XEP-0077 §3.3).
func (x *Extension) change(ctx context.Context, e *mux.Event, q query) error {
	if !q.hasUsername || q.username == "" {
		return errBadRequest
	}
	switch name, err := jid.New(q.username, e.Account.Domain(), ""); {
	case err != nil:
		return errBadRequest
	case mux.AddressOf(name) != e.Account:
		return errNotAllowed // it would be a second account, or somebody else's
	case q.password == "":
		return errBadRequest // the old one stays
	case x.opt.KeepPassword:
		return errNotAllowed
	case !secure(e):
		return errUnsafe
	}
	if err := x.accounts.SetPassword(ctx, e.Account.String(), q.password); err != nil {
		return x.failure(ctx, err, "password", errPassword, errUnexpected)
	}
	if err := mux.Emit(ctx, e, mux.CredentialsChanged{}); err != nil {
		// The password is another one now, so it is no error to the client.
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "after a change of password", slog.String("account", e.Account.String()), slog.Any("err", err))
	}
	// Whoever else is logged in may have known the old password only.
	e.EndSessions(ctx, e.Session)
	return nil
}

// remove removes the account of the session (XEP-0077 §3.2).
func (x *Extension) remove(ctx context.Context, e *mux.Event, q query) error {
	switch {
	case q.children != 1:
		return errBadRequest // also where name and password of another account are given
	case x.opt.KeepAccount:
		return errNotAllowed
	}
	// From here on nobody can log in, whatever happens next.
	if err := x.accounts.Remove(ctx, e.Account.String()); err != nil {
		return x.failure(ctx, err, "remove", errInternal, errUnregistered)
	}
	// The result goes first, then all streams end, this one included.
	e.Then(func(ctx context.Context, e *mux.Event) { e.RemoveAccount(ctx) })
	return nil
}

// secure reports whether the request came over a connection that nobody else
// reads.
func secure(e *mux.Event) bool {
	st := e.Origin()
	return st != nil && st.State()&mux.Secure != 0
}
