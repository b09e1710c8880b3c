// Package archive keeps the messages of an account, so that every device of a person
// can have all of them: XEP-0313: Message Archive Management, version 1.1.3, with
// extended queries, on top of XEP-0059: Result Set Management, version 1.0.1, and
// XEP-0359: Unique and Stable Stanza IDs, version 0.7.0; what is kept can be said by
// XEP-0441: Message Archive Management Preferences, version 0.2.0.
//
// The server's side is an [Extension]. What an account sends is archived in the
// sender's turn, what arrives for it in the recipient's, both with the work that
// delivers the message: it is durable before anybody is told of it. Sessions get what
// arrives with the archive's name of it, and queries are answered as fast as the
// client reads.
//
//	archives := archive.New(store, &archive.Options{Prefs: store})
//	m, err := mux.New(host, nil, blocking, archives, carbons.New(&carbons.Options{StanzaID: archive.StanzaID}),
//		offline.New(…, &offline.Options{ReadsArchive: archives.Reads}), …)
//
// It belongs behind extensions that refuse messages and before those that show or
// keep them, but those that store messages for devices that are away come before it:
// what no session takes they are asked for first.
//
// The client's side works on a mellium session: a [Client] goes through an archive in
// either direction, and there are [GetMetadata], [GetPrefs] and [SetPrefs].
//
// Messages of chat rooms are not in the archives of accounts: rooms keep their own.
//
// # Security
//
// An archive answers its owner only. IDs that claim to be of an account's archive are
// removed from all that it sends or receives (XEP-0359 §5), so that a client may
// believe those it sees. A client believes results only from whom it asked and with
// the name of its query (XEP-0313 §8.2); a Client checks both.
package archive

import (
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces: of queries, results and preferences, and the feature; and the features
// of extended queries and of the field include-groupchat.
const (
	NS          = "urn:xmpp:mam:2"
	NSExtended  = NS + "#extended"
	NSGroupchat = NS + "#groupchat-field"
)

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Prefs keeps what accounts want to have archived; nil archives everything and
	// lets nobody change that.
	Prefs PrefsStore
	// InRoster reports whether a contact, given by its bare address, is in the roster
	// of the turn's account, for those that want messages of such contacts archived.
	// It may wait where Waits said so. nil refuses that preference.
	InRoster func(ctx context.Context, e *mux.Event, contact mux.Address) bool
	// Waits reports whether InRoster would have to wait for a store, as
	// [mux.BlocksIf] asks it; nil means never.
	Waits func(e *mux.Event) bool
	// MaxAge is how long messages are kept; 0 for a year, negative for ever (core-im
	// LIM-20).
	MaxAge time.Duration
	// MaxCount is how many messages are kept for an account, or a few more; 0 for
	// 1 000 000, negative for any number.
	MaxCount int
	// Page is how many messages a page has if the client does not say, and MaxPage
	// how many at most; 0 or less for 50 and 250 (core-im LIM-19).
	Page, MaxPage int
	// PageBytes bounds a page in octets of messages, which may have a single one with
	// more; 0 or less for 1 MiB. The client asks for the rest.
	PageBytes int
	// Logger is for failures (Error); nil discards.
	Logger *slog.Logger
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
	_ mux.Stopper   = (*Extension)(nil)
)

// Extension keeps archives on a server. Make one with New; it belongs to one mux.
type Extension struct {
	store    Store
	opt      Options
	accounts mux.AccountKey[account]
	readers  mux.Key[atomic.Bool]
	prefs    prefsCache
	sent     sent
	sweeper  sweeper
}

// New returns the extension. o may be nil and is copied.
func New(store Store, o *Options) *Extension {
	x := &Extension{store: store}
	if o != nil {
		x.opt = *o
	}
	or := func(v *int, otherwise int) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	or(&x.opt.Page, 50)
	or(&x.opt.MaxPage, 250)
	or(&x.opt.PageBytes, 1<<20)
	x.opt.Page = min(x.opt.Page, x.opt.MaxPage)
	if x.opt.MaxAge == 0 {
		x.opt.MaxAge = 365 * 24 * time.Hour
	}
	if x.opt.MaxCount == 0 {
		x.opt.MaxCount = 1_000_000
	}
	if x.opt.Waits == nil {
		x.opt.Waits = func(*mux.Event) bool { return false }
	}
	if x.opt.Logger == nil {
		x.opt.Logger = slog.New(slog.DiscardHandler)
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "archive" }

var (
	errNoStore        = errors.New("no store")
	errSaved          = errors.New("archive: saved state cannot be read")
	errForbidden      = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errBadRequest     = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errMalformed      = stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed}
	errNotImplemented = stanza.Error{Type: stanza.Cancel, Condition: stanza.FeatureNotImplemented}
	errTooMuch        = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	errNotFound       = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
	errInternal       = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	errUnavailable    = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}

	queryName    = xml.Name{Space: NS, Local: "query"}
	metadataName = xml.Name{Space: NS, Local: "metadata"}
	prefsName    = xml.Name{Space: NS, Local: "prefs"}
	bodyName     = xml.Name{Space: mux.NSClient, Local: "body"}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	if x.store == nil {
		return errNoStore
	}
	x.accounts = mux.AccountSlot[account](r)
	x.readers = mux.PersistentSlot(r, "archive", mux.Codec[atomic.Bool]{Encode: encodeReader, Decode: decodeReader})
	waits := mux.BlocksIf(x.waits)
	r.Modify(mux.FromAccount, mux.Message, x.outgoing, waits)
	r.Modify(mux.ToAccount, mux.Message, x.incoming, waits)
	r.Undelivered(mux.Message, x.undelivered)
	r.Leftover(mux.Message, x.leftover)
	r.IQ(mux.AtSelf, stanza.SetIQ, queryName, x.query)
	r.IQ(mux.AtSelf, stanza.GetIQ, queryName, x.form)
	r.IQ(mux.AtSelf, stanza.GetIQ, metadataName, x.metadata)
	loads := mux.BlocksIf(func(e *mux.Event) bool { return !x.prefs.has(e.Account) })
	r.IQ(mux.AtSelf, stanza.GetIQ, prefsName, x.getPrefs, loads)
	r.IQ(mux.AtSelf, stanza.SetIQ, prefsName, x.setPrefs, loads)
	// XEP-0313 §8.1: nobody else's, whether or not there is such an account.
	for _, t := range []stanza.IQType{stanza.GetIQ, stanza.SetIQ} {
		r.IQ(mux.AtAccount, t, xml.Name{Space: NS}, forbidden)
	}
	r.Inline(mux.Inline{At: mux.InBind, Offer: nothing, Step: x.bound})
	mux.On(r, x.stateLost)
	mux.On(r, x.accountRemoved)
	r.Disco(mux.AtSelf, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS, NSExtended, NSGroupchat, NSSID)
		return nil
	})
	return nil
}

// undelivered takes what no session took if it is archived: it will be found there
// (core-im DL-36).
func (x *Extension) undelivered(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Item != nil && e.Item.Record.Archived(e.Account) != "" {
		return mux.Done, nil
	}
	return mux.Pass, nil
}

// leftover drops what the client of a session that has ended will find in the archive,
// because it reads that (core-im COMB-8).
func (x *Extension) leftover(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	if e.Session != nil && x.Reads(e.Session) && e.Item.Record.Archived(e.Account) != "" {
		return mux.Done, nil
	}
	return mux.Pass, nil
}

// Reads reports whether a session's client has asked the archive anything, or has
// bound by Bind 2: it needs nothing from elsewhere that is archived (core-im COMB-5).
func (x *Extension) Reads(s *mux.Session) bool { return x.readers.Of(s).Load() }

// reads notes that a session's client knows the archive.
func (x *Extension) reads(e *mux.Event) {
	if s := e.Session; s != nil && !x.readers.Of(s).Swap(true) {
		e.Work.Save(s)
	}
}

// nothing is what is offered: the member needs no element.
func nothing(context.Context, *mux.Stream) xmlstream.Marshaler { return nil }

func encodeReader(dst []byte, v *atomic.Bool) []byte {
	if v.Load() {
		return append(dst, '1')
	}
	return append(dst, '0')
}

func decodeReader(src []byte, v *atomic.Bool) error {
	switch string(src) {
	case "0", "1":
		v.Store(src[0] == '1')
		return nil
	}
	return errSaved
}

// stateLost forgets what may not have been written.
func (x *Extension) stateLost(_ context.Context, e *mux.Event, _ mux.StateLost) error {
	x.prefs.forget(e.Account)
	return nil
}

// accountRemoved removes an archive.
func (x *Extension) accountRemoved(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error {
	e.Work.Write(x.store.Remove(e.Account, Removal{All: true}))
	if x.opt.Prefs != nil {
		e.Work.Write(x.opt.Prefs.SetPrefs(e.Account, Prefs{}))
	}
	x.prefs.forget(e.Account)
	*x.accounts.Of(e) = account{}
	return nil
}
