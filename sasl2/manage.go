package sasl2

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// ErrNoClient is returned by [Extension.Revoke] if the account has no such client.
var ErrNoClient = errors.New("sasl2: no such client")

// Device is what there is to know of a client of an account.
type Device struct {
	ID               string // for Revoke
	Software, Device string // as it says itself, perhaps empty
	// Resource is that of the session, of a client that is known by nothing else: it
	// does not say which it is, or has logged in by the older profile. It is gone when
	// its session is.
	Resource    string
	First, Last time.Time
	// Connected says that it has a session, also one that waits for its return.
	Connected bool
	// Password says that it has proved the password that is in force, Token that it
	// has a token that can be used. One that is known by its session only, and was not
	// let in by a token, is taken to know the password.
	Password, Token bool
}

// Devices lists the clients of an account, those first that were there last. It
// waits for the store, and must not be called in a turn.
func (x *Extension) Devices(ctx context.Context, m *mux.Mux, account mux.Address) (list []Device, err error) {
	if doErr := m.Do(ctx, account, func(ctx context.Context, e *mux.Event) { list, err = x.devices(ctx, e) }); doErr != nil {
		return nil, doErr
	}
	return list, err
}

// devices is the list in a turn that may wait.
func (x *Extension) devices(ctx context.Context, e *mux.Event) ([]Device, error) {
	if x.store == nil {
		return nil, nil
	}
	clients, err := x.store.Clients(ctx, e.Account)
	if err != nil {
		return nil, err
	}
	generation := int64(0)
	if s, ok := x.auth.(Statuser); ok {
		if generation, _, _, err = s.Status(ctx, e.Account.String()); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	var list []Device
	for _, c := range clients {
		d := DeviceOf(c, generation, now)
		d.Connected = len(x.sessionsOf(e, c.ID)) > 0
		switch {
		case d.Connected:
			d.Last = now
		case now.Sub(c.Last) > x.opt.Retention:
			continue
		}
		list = append(list, d)
	}
	list = x.appendSessions(list, e, now)
	slices.SortFunc(list, func(a, b Device) int {
		return cmp.Or(b.Last.Compare(a.Last), a.First.Compare(b.First), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// DeviceOf is what a stored client says, without looking for sessions, at a time and
// with credentials of that generation in force: for tools that work on the store.
func DeviceOf(c Client, generation int64, now time.Time) Device {
	valid := func(t Token) bool { return t.Slot != "" && t.Generation == generation && now.Before(t.Expires) }
	return Device{
		ID: c.ID, Software: c.Software, Device: c.Device, First: c.First, Last: c.Last,
		Password: c.Password != 0 && c.Password == generation, Token: valid(c.New) || valid(c.Current),
	}
}

// sessionsOf are the sessions of a client; of one that is known by its session, that.
func (x *Extension) sessionsOf(e *mux.Event, id string) (list []*mux.Session) {
	for _, s := range e.Sessions() {
		if (x.owner.Of(s).is(id) || x.keys.sessionID(s) == id) && s.State() <= mux.Hibernating {
			list = append(list, s)
		}
	}
	return list
}

// Revoke forgets a client of an account: its tokens are void and its sessions end,
// with not-authorized. A client that knows the password can log in again (see
// [Device.Password]); one that is known by its session only has lost that, no more. The error may be [ErrNoClient]. It must not be called in a
// turn.
func (x *Extension) Revoke(ctx context.Context, m *mux.Mux, account mux.Address, id string) error {
	var err error
	doErr := m.Do(ctx, account, func(ctx context.Context, e *mux.Event) {
		var d Device
		if d, err = x.device(ctx, e, id); err == nil {
			e.Work.Write(x.store.Remove(e.Account, d.ID))
			x.endSessions(ctx, e, d.ID)
		}
	})
	return errors.Join(doErr, err)
}

// Forget takes the access of the client away that has the session of e, in a turn of its
// account: its tokens are void, and its sessions end. Nothing is done for one that has
// not said which it is, and so has no token.
func (x *Extension) Forget(_ context.Context, e *mux.Event) {
	if e.Session == nil || x.store == nil {
		return
	}
	p := x.owner.Of(e.Session).client.Load()
	if p == nil {
		return
	}
	id := *p
	e.Work.Write(x.store.Remove(e.Account, id))
	e.Then(func(ctx context.Context, e *mux.Event) { x.endSessions(ctx, e, id) })
}

// endSessions ends what a client has. It may be logging in just now, and nobody can
// tell whether it is the one that does: so whoever logs in has to begin again.
func (x *Extension) endSessions(ctx context.Context, e *mux.Event, id string) {
	e.EndLogins(stream.NotAuthorized)
	for _, s := range x.sessionsOf(e, id) {
		e.EndSession(ctx, s, stream.NotAuthorized)
	}
}

// device is one of the list.
func (x *Extension) device(ctx context.Context, e *mux.Event, id string) (Device, error) {
	list, err := x.devices(ctx, e)
	if err != nil {
		return Device{}, err
	}
	i := slices.IndexFunc(list, func(d Device) bool { return d.ID == id })
	if i < 0 || id == "" {
		return Device{}, ErrNoClient
	}
	return list[i], nil
}

var (
	errNoItem   = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
	errInternal = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	// XEP-0494 §3.2
	errPassword = &mux.Error{Stanza: stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable},
		App: "<password-reset-required xmlns='" + NSClients + "'/>"}
)

// listClients answers an account's request for its clients (XEP-0494 §3.1).
func (x *Extension) listClients(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	list, err := x.devices(ctx, e)
	if err != nil {
		return nil, x.internal(ctx, e, err)
	}
	b := []byte("<clients xmlns='" + NSClients + "'>")
	for _, d := range list {
		b = d.append(b)
	}
	return mux.Raw(append(b, "</clients>"...)), nil
}

func (x *Extension) internal(ctx context.Context, e *mux.Event, err error) error {
	x.log.LogAttrs(ctx, slog.LevelError, "clients cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
	return errInternal
}

// append writes the client element.
func (d Device) append(b []byte) []byte {
	b = append(b, "<client connected='"...)
	b = append(b, map[bool]string{true: "true", false: "false"}[d.Connected]...)
	b = append(append(b, "' type='session' id='"...), d.ID...)
	b = d.First.UTC().AppendFormat(append(b, "'><first-seen>"...), time.RFC3339)
	b = d.Last.UTC().AppendFormat(append(b, "</first-seen><last-seen>"...), time.RFC3339)
	b = append(b, "</last-seen><auth>"...)
	status := "normal"
	if d.Password {
		b, status = append(b, "<password/>"...), "unrestricted"
	}
	if d.Token {
		b = append(b, "<fast/>"...)
	}
	b = append(b, "</auth><permission status='"+status+"'/><user-agent>"...)
	for _, t := range []struct{ name, text string }{{"software", d.Software}, {"device", cmp.Or(d.Device, d.Resource)}} {
		if t.text != "" {
			b = xmlwrite.AppendText(append(b, "<"+t.name+">"...), t.text)
			b = append(b, "</"+t.name+">"...)
		}
	}
	return append(b, "</user-agent></client>"...)
}

// revokeClient takes a client's access away, if it has no password with which it
// would come back (XEP-0494 §3.2). The answer goes out before its sessions end.
func (x *Extension) revokeClient(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	c, _ := e.Stanza.Child(revokeName)
	d, err := x.device(ctx, e, c.Attr("id"))
	switch {
	case errors.Is(err, ErrNoClient):
		return nil, errNoItem
	case err != nil:
		return nil, x.internal(ctx, e, err)
	case d.Password:
		return nil, errPassword
	}
	e.Work.Write(x.store.Remove(e.Account, d.ID))
	e.Then(func(ctx context.Context, e *mux.Event) { x.endSessions(ctx, e, d.ID) })
	return nil, nil
}
