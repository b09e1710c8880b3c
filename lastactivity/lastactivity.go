// Package lastactivity tells how long ago an account was last online, XEP-0012:
// Last Activity, version 2.0, on the server's side.
//
// Those who receive the presence of an account learn the seconds since its last
// session went, and what it said when it did; 0 while a session is available, one
// that waits for its client included. Whoever asks a served domain is told how
// long the server has been running. Requests to a full address are answered by
// the client there (§4), but only those of who may know reach it. The time is
// written when a session goes and now and then before, see [Options.Interval], so
// that it is not far off after a crash.
//
//	contacts := roster.New(…)
//	m, err := mux.New(host, nil, contacts, lastactivity.New(new(lastactivity.Memory), &lastactivity.Options{
//		MaySee: subscribed, // a function of whoever knows subscriptions
//		Waits:  func(e *mux.Event) bool { return !contacts.Cached(e) },
//	}), …)
//
// # Security
//
// Who may not see the presence of an account is answered with forbidden, by its
// bare and its full addresses, whether or not there is such an account, resource
// or time (§8). A session that is connected but not available does not show.
package lastactivity

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of the request, and the feature.
const NS = "jabber:iq:last"

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// MaySee reports whether from, a full or bare address, receives the presence of
	// an account of ours or is of it (XEP-0012 §8). It is called in the account's
	// turn, may wait where Waits said so, and may not keep e. nil means nobody but
	// the account itself, which is never asked about.
	MaySee func(ctx context.Context, e *mux.Event, account, from mux.Address) bool
	// Waits reports whether MaySee would have to wait for a store, as [mux.BlocksIf]
	// asks it; nil means never.
	Waits func(e *mux.Event) bool
	// MaxStatus bounds what is kept of a status, in octets; 0 or less for 1023. The
	// rest is cut off.
	MaxStatus int
	// Interval is how often the time is written for accounts that are there, so that a
	// crash makes them appear to have left by about that much too early; 0 for 10
	// minutes, negative for not at all.
	Interval time.Duration
	// Logger is for failures of the store (Error); nil discards.
	Logger *slog.Logger
}

// DefaultInterval is the default of [Options.Interval].
const DefaultInterval = 10 * time.Minute

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
	_ mux.Stopper   = (*Extension)(nil)
)

// Extension keeps and tells last activity. Make one with New; it belongs to one
// mux.
type Extension struct {
	store   Store
	opt     Options
	started time.Time
	recent  mux.AccountKey[recent]
	said    mux.Key[farewell]
	present present
}

// recent is what is known of an account in use. It is touched in the account's
// turns only.
type recent struct {
	known bool
	last  Last
}

// farewell says that a session's last presence is written. It is touched in the
// account's turns only.
type farewell struct{ written bool }

// New returns the extension. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	x := &Extension{store: store, started: time.Now()}
	if o != nil {
		x.opt = *o
	}
	if x.opt.MaySee == nil {
		x.opt.MaySee = func(context.Context, *mux.Event, mux.Address, mux.Address) bool { return false }
	}
	if x.opt.Waits == nil {
		x.opt.Waits = func(*mux.Event) bool { return false }
	}
	if x.opt.MaxStatus <= 0 {
		x.opt.MaxStatus = 1023
	}
	if x.opt.Interval == 0 {
		x.opt.Interval = DefaultInterval
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "lastactivity" }

var (
	errNoStore     = errors.New("no store")
	errForbidden   = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errUnavailable = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}

	queryName  = xml.Name{Space: NS, Local: "query"}
	statusName = xml.Name{Space: mux.NSClient, Local: "status"}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.recent = mux.AccountSlot[recent](r)
	x.said = mux.Slot[farewell](r)
	r.IQ(mux.AtHost, stanza.GetIQ, queryName, x.uptime)
	r.IQ(mux.AtSelf, stanza.GetIQ, queryName, x.get, mux.Blocks())
	r.IQ(mux.AtAccount, stanza.GetIQ, queryName, x.get, mux.Blocks())
	r.Guard(mux.ToAccount, mux.IQ, x.toResource, mux.Unknown(), mux.BlocksIf(func(e *mux.Event) bool {
		return forResource(e) && x.opt.Waits(e)
	}))
	r.Observe(mux.FromPeer, mux.Presence, x.left)
	r.Lifecycle(mux.Lifecycle{Attached: x.attached, Closed: x.closed})
	mux.On(r, x.accountRemoved)
	for _, s := range []mux.Scope{mux.AtHost, mux.AtSelf, mux.AtAccount} {
		r.Disco(s, func(_ context.Context, q *mux.DiscoQuery) error {
			q.Feature(NS)
			return nil
		})
	}
	return nil
}

// Start implements [mux.Starter]: uptime counts from now.
func (x *Extension) Start(context.Context, *mux.Mux) error {
	x.started = time.Now()
	return nil
}

// uptime answers for the server (XEP-0012 §5).
func (x *Extension) uptime(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
	return answer(time.Since(x.started), ""), nil
}

// get answers for an account (XEP-0012 §3).
func (x *Extension) get(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if !x.allowed(ctx, e) {
		return nil, errForbidden
	}
	for _, s := range e.Sessions() {
		if s.Available() {
			return answer(0, ""), nil
		}
	}
	l, err := x.load(ctx, e)
	switch {
	case err != nil:
		return nil, err
	case l.At.IsZero():
		return nil, errUnavailable // was never there, as far as is known
	}
	return answer(time.Since(l.At), l.Status), nil
}

// toResource lets only those ask a client that may (XEP-0012 §4).
func (x *Extension) toResource(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
	if forResource(e) && !x.allowed(ctx, e) {
		return mux.Done, errForbidden
	}
	return mux.Pass, nil
}

// forResource reports whether a stanza asks for the last activity of one session.
func forResource(e *mux.Event) bool {
	return e.Stanza.Type() == "get" && !e.Item.Recipient().IsBare() && e.Stanza.Has(queryName)
}

// allowed reports whether the sender may know (XEP-0012 §8).
func (x *Extension) allowed(ctx context.Context, e *mux.Event) bool {
	from := e.Stanza.From()
	return from.Bare() == e.Account || !e.Unknown && x.opt.MaySee(ctx, e, e.Account, from)
}

// left is told of what a client says: one that goes offline says why.
func (x *Extension) left(_ context.Context, e *mux.Event) {
	s := e.Stanza
	if e.Session == nil || !s.To().IsZero() {
		return
	}
	said := x.said.Of(e.Session)
	switch s.Type() {
	case "":
		said.written = false
		x.arrived(e.Mux(), e.Account)
	case "unavailable":
		if !said.written {
			said.written = true
			x.write(e, x.status(s))
		}
	}
}

// closed is told of the end of a session, whose client may not have said anything.
func (x *Extension) closed(_ context.Context, e *mux.Event) {
	if e.Session.Available() {
		x.write(e, "")
	}
}

func (x *Extension) write(e *mux.Event, status string) {
	l := Last{At: time.Now(), Status: status}
	*x.recent.Of(e) = recent{true, l}
	e.Work.Write(x.store.Set(e.Account, l))
}

// load reads when the turn's account was last there.
func (x *Extension) load(ctx context.Context, e *mux.Event) (Last, error) {
	r := x.recent.Of(e)
	if r.known {
		return r.last, nil
	}
	l, err := x.store.Load(ctx, e.Account)
	if err != nil {
		x.opt.Logger.LogAttrs(ctx, slog.LevelError, "last activity cannot be read", slog.String("account", e.Account.String()), slog.Any("err", err))
		return Last{}, stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	}
	*r = recent{true, l}
	return l, nil
}

// accountRemoved removes what is kept of an account.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	e.Work.Write(x.store.RemoveAccount(e.Account))
	*x.recent.Of(e) = recent{known: true}
	x.present.remove(e.Account)
	return nil
}

// status is the status that a presence gives, within bounds: of several the first.
func (x *Extension) status(s *mux.Stanza) string {
	c, ok := s.Child(statusName)
	if !ok {
		return ""
	}
	return cut(c.Text(), x.opt.MaxStatus)
}

// cut shortens a text to at most n octets of whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// answer is the result (XEP-0012 §2). Clocks may go back, time does not.
func answer(since time.Duration, status string) xmlstream.Marshaler {
	b := []byte("<query xmlns='" + NS + "' seconds='")
	b = strconv.AppendInt(b, int64(max(0, since)/time.Second), 10)
	if status == "" {
		return mux.Raw(append(b, "'/>"...))
	}
	b = xmlwrite.AppendText(append(b, "'>"...), status)
	return mux.Raw(append(b, "</query>"...))
}
