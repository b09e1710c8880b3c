// Package csi sends a client that nobody looks at less often, XEP-0352: Client State
// Indication, version 1.0.0, for servers and for clients.
//
// A client says whether it is active. To an inactive one the [Extension] sends what
// is important at once, and holds the rest back: presence, chat states, notifications
// and headlines, of which newer ones take the place of older ones. What is held is
// sent, in the order in which it came and with the time at which it did (XEP-0203),
// when the client becomes active or says anything, before something important, and
// when it gets too much; an inactive client whose connection breaks goes on being
// spared while it is waited for, and gets what is held when it comes back. What is
// important says a [Policy]; the default is [Rules].
//
//	m, err := mux.New(host, nil, csi.New(nil), smacks, …)
//
// The place among the extensions does not matter: what is held has no number yet in
// Stream Management, whose acknowledgements, like white space and the server's own
// pings, are no reason to send it.
//
// The client's side are [Active] and [Inactive] on a mellium session, and a [Client]
// that remembers which of them holds from one stream to the next.
//
// # What a crash may lose
//
// What is held is saved with its session: when the connection breaks, when the client
// comes back, at an orderly shutdown, and whenever something else has the session
// saved. A session that is resumed after a crash gets what was held when it was saved
// last, and misses what was held since then: with the default rules presence, chat
// states, notifications and headlines, never a message. What a policy of one's own
// holds beyond the default rules is saved together with everything else that it leads
// to, so that its sender is not told earlier.
//
// # Security
//
// Nobody is told whether a client is active: neither by presence nor by discovery nor
// by how long an answer takes, since requests are never held (§6). What is held is
// bounded, in stanzas and in octets.
package csi

import (
	"context"
	"encoding/xml"
	"log/slog"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// NS is the namespace of Client State Indication.
const NS = "urn:xmpp:csi:0"

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Policy says what is important; nil for new([Rules]).
	Policy Policy
	// MaxHeld and MaxBytes bound what is held for a session, 0 for 200 stanzas and
	// 256 KiB. What would be too much has all that is held sent.
	MaxHeld, MaxBytes int
	// MaxAge bounds how long something is held for a client that is connected; 0 for
	// as long as it is inactive.
	MaxAge time.Duration
	// Awake is for how long a client gets everything after it has said something and
	// after something important, because its radio is awake then (XEP-0286 §4.2); 0
	// for 5 s, negative for no time.
	Awake time.Duration
	// PerSender has something important take along what is held from the same sender
	// only, in place of all.
	PerSender bool
	// Logger is for saved stanzas that cannot be read (Error); nil discards.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Policy == nil {
		d.Policy = new(Rules)
	}
	if d.MaxHeld <= 0 {
		d.MaxHeld = 200
	}
	if d.MaxBytes <= 0 {
		d.MaxBytes = 256 << 10
	}
	if d.Awake == 0 {
		d.Awake = 5 * time.Second
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

var (
	_ mux.Extension = (*Extension)(nil)
	_ mux.Starter   = (*Extension)(nil)
)

// Extension holds back what inactive clients need not get at once. Make one with New;
// it belongs to one mux.
type Extension struct {
	opt   Options
	more  bool     // the policy may hold what the default rules do not
	m     *mux.Mux // once it has started
	key   mux.Key[state]
	stats counters
}

// New returns the extension. o may be nil and is copied.
func New(o *Options) *Extension {
	x := &Extension{opt: o.withDefaults()}
	r, ok := x.opt.Policy.(*Rules)
	x.more = !ok || r.Quiet != nil || r.Room != nil
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "csi" }

var (
	activeName   = xml.Name{Space: NS, Local: "active"}
	inactiveName = xml.Name{Space: NS, Local: "inactive"}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	x.key = mux.PersistentSlot(r, "csi", mux.Codec[state]{Encode: encode, Decode: decode})
	r.Outbound(mux.Hold, x.outbound)
	r.Inbound(mux.Hold, x.inbound)
	r.Lifecycle(mux.Lifecycle{Detached: x.detached})
	r.Nonza(activeName, x.says(false))
	r.Nonza(inactiveName, x.says(true))
	// XEP-0352 §4.1: not before authentication.
	r.Feature(mux.Feature{Name: "csi", Needs: mux.Authenticated,
		List: func(context.Context, *mux.Stream) xmlstream.Marshaler { return mux.Raw("<csi xmlns='" + NS + "'/>") }})
	// XEP-0386 §3.2: a session may begin so. One member advertises for both.
	r.Inline(mux.Inline{Name: inactiveName, At: mux.InBind, Step: x.begins(true)})
	r.Inline(mux.Inline{Name: activeName, At: mux.InBind, Step: x.begins(false),
		Offer: func(context.Context, *mux.Stream) xmlstream.Marshaler { return nil }})
	return nil
}

// says is the handler of an element with which the client says how it is. There is no
// answer (XEP-0352 §4.2).
func (x *Extension) says(inactive bool) mux.Handler {
	return func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		x.key.Of(e.Session).says(inactive)
		return mux.Done, nil
	}
}

// begins is the same inside Bind 2, likewise without an answer.
func (x *Extension) begins(inactive bool) func(context.Context, *mux.InlineEvent) (xmlstream.Marshaler, error) {
	return func(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
		x.key.Of(e.Session).says(inactive)
		return nil, nil
	}
}

// Inactive reports whether the client of a session has said that it is inactive, and
// nothing else since; also while it is not connected. It may be called anywhere, with
// or without the session's lock: by what would otherwise wake the client, such as
// requests for acknowledgements (XEP-0198 §8.2).
func (x *Extension) Inactive(s *mux.Session) bool { return x.key.Of(s).is(inactive) }
