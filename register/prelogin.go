package register

import (
	"context"
	"log/slog"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// offered reports whether a stream's peer may register now.
func (x *Extension) offered(st *mux.Stream) bool {
	return x.opt.Open && st.Role() == mux.Client && st.State()&mux.Secure != 0
}

// list is the stream feature (XEP-0077 §8): to clients only.
func (x *Extension) list(_ context.Context, st *mux.Stream) xmlstream.Marshaler {
	if !x.offered(st) || st.State()&mux.Registered != 0 {
		return nil
	}
	return mux.Raw("<register xmlns='" + NSFeature + "'/>")
}

// step answers a request of somebody who has not authenticated.
func (x *Extension) step(ctx context.Context, st *mux.Stream, el *mux.Stanza) (mux.Outcome, error) {
	switch to := el.To(); {
	case el.MalformedTo() != "", !to.IsZero() && to.String() != st.Domain():
		return mux.Outcome{}, stream.NotAuthorized // RFC 6120 §6.3.1: nothing is routed yet
	case !x.opt.Open || st.Role() != mux.Client:
		return mux.Outcome{}, errClosed // XEP-0077 §3.1
	case st.State()&mux.Secure == 0:
		return mux.Outcome{}, errInsecure // XEP-0077 §11
	case el.Type() == "get":
		return mux.Outcome{Reply: fields(false, x.opt.Instructions, "")}, nil
	case el.Type() != "set":
		return mux.Outcome{}, errBadRequest
	case st.State()&mux.Registered != 0:
		return mux.Outcome{}, errSecond // XEP-0077 §3.1.1
	}
	source := x.opt.Source(st)
	end, retry := x.opt.Limiter.Begin(source, st.Domain())
	if end == nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelWarn, "registration refused by the limiter",
			slog.String("source", source.String()), slog.Duration("retry", retry))
		return mux.Outcome{}, errLimited
	}
	account, err := x.create(ctx, st.Domain(), el)
	end(err == nil)
	if err != nil {
		return mux.Outcome{}, err
	}
	// Not through the outcome: what is offered stays as it was (auth-register RG-9).
	st.SetState(mux.Registered)
	if x.opt.Created != nil {
		x.opt.Created(ctx, account, source)
	}
	return mux.Outcome{}, nil
}

// create makes the account that a set asks for.
func (x *Extension) create(ctx context.Context, domain string, el *mux.Stanza) (mux.Address, error) {
	var none mux.Address
	q, ok := parse(el)
	switch {
	case !ok:
		return none, errBadRequest
	case q.remove:
		return none, errUnexpected // XEP-0077 §3.2: nobody is there whose account could be meant
	case q.username == "" || q.password == "":
		return none, errIncomplete // XEP-0077 §3.1
	}
	local, err := x.accounts.Prepare(q.username)
	if err != nil {
		return none, x.failure(ctx, err, "name", errName, errName)
	}
	j, err := jid.New(local, domain, "")
	if err != nil || j.Localpart() != local {
		return none, errName // two preparations that disagree would make an account nobody can use
	}
	if x.opt.Reserved(local) {
		return none, errConflict
	}
	account := mux.AddressOf(j)
	if err := x.accounts.Create(ctx, account.String(), q.password); err != nil {
		return none, x.failure(ctx, err, "create", errPassword, errInternal)
	}
	return account, nil
}
