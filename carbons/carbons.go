// Package carbons has every device of a person see both sides of a conversation,
// XEP-0280: Message Carbons, version 1.0.1, for servers and for clients. Copies are
// wrapped as XEP-0297: Stanza Forwarding, version 1.0, says, and the hints of
// XEP-0334: Message Processing Hints, version 1.0.0, that concern them are obeyed.
//
// The server's side is an [Extension]. Sessions enable carbons by request or inline
// when they bind (Bind 2), and are remembered as long as the session lives, while
// its client is away and across restarts too. What an account sends is copied to
// its enabled sessions but the sender, and what arrives for it to those that the
// router did not give the message itself. All of the rules of §6.1 are kept, so the
// server announces them.
//
//	m, err := mux.New(host, nil, blocking, archive, carbons.New(nil), …)
//
// It belongs behind extensions that refuse messages, or add to them what copies are
// to show.
//
// The client's side are [Enable] and [Disable] on a mellium session, and [Unwrap],
// which is the only way to the message inside a copy; a [Client] does all of that in
// a [mux.ClientSession].
//
// # Security
//
// Only what this package made is a copy for the server, whatever a message
// contains; copies are neither copied again nor bounced to who sent the message. A
// client believes copies of its own account only (§11): anybody can write a
// message that looks like a copy, and to believe it means to take words of one for
// those of another. Unwrap checks that, so that it cannot be forgotten.
package carbons

import (
	"context"
	"encoding/xml"
	"errors"
	"sync/atomic"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
)

// Namespaces: of requests, copies and the mark private, and the feature; and the
// feature that says which messages are copied (XEP-0280 §6.2).
const (
	NS      = "urn:xmpp:carbons:2"
	NSRules = "urn:xmpp:carbons:rules:0"
)

// Options refine an Extension. The zero value of each field is its default.
type Options struct {
	// Allow reports whether a session may have copies; nil allows all. It is called
	// in the account's turn when the session asks for it, and must not wait.
	Allow func(e *mux.Event, s *mux.Session) bool
	// AvailableOnly gives copies to available sessions only. Else all that have
	// enabled carbons get them, as XEP-0280 §7 says.
	AvailableOnly bool
	// StanzaID is the element that says how the sender's archive calls a message
	// (XEP-0359), for the copies of what an account sends; false if it is not
	// archived. It is called in the account's turn at FromAccount, after guards and
	// modifiers, and must not wait. nil takes what the archive has noted in the record
	// of the message ([mux.Record]).
	StanzaID func(e *mux.Event) (mux.Child, bool)
	// Occupant is the address under which a session has joined a chat room, zero if
	// it has not. Copies of private messages to others in a room then go to sessions
	// that have joined it under the same name (XEP-0280 §6.1), and private messages
	// from there are known without the mark of the room service. It is called in the
	// account's turn, and must not wait. nil means that nobody knows.
	Occupant func(s *mux.Session, room mux.Address) mux.Address
	// Remember is of how many messages an account remembers for 10 minutes that they
	// were copied, in each direction, so that errors that answer them are copied too;
	// 0 or less for 128.
	Remember int
}

var _ mux.Extension = (*Extension)(nil)

// Extension makes the copies on a server. Make one with New; it belongs to one mux.
type Extension struct {
	opt    Options
	on     mux.Key[atomic.Bool]
	copied mux.AccountKey[copied]
}

// New returns the extension. o may be nil and is copied.
func New(o *Options) *Extension {
	x := new(Extension)
	if o != nil {
		x.opt = *o
	}
	if x.opt.Remember <= 0 {
		x.opt.Remember = 128
	}
	if x.opt.StanzaID == nil {
		x.opt.StanzaID = archivedAs
	}
	return x
}

// Name implements [mux.Extension].
func (*Extension) Name() string { return "carbons" }

var (
	errForbidden  = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errNotAllowed = stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed}
	errBadRequest = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errSaved      = errors.New("carbons: saved state cannot be read")

	enableName  = xml.Name{Space: NS, Local: "enable"}
	disableName = xml.Name{Space: NS, Local: "disable"}
	anyName     = xml.Name{Space: NS}
)

// Register implements [mux.Extension].
func (x *Extension) Register(r *mux.Registry) error {
	x.on = mux.PersistentSlot(r, "carbons", mux.Codec[atomic.Bool]{Encode: encode, Decode: decode})
	x.copied = mux.AccountSlot[copied](r)
	r.IQ(mux.AtSelf, stanza.SetIQ, enableName, x.enable)
	r.IQ(mux.AtSelf, stanza.SetIQ, disableName, x.disable)
	r.IQ(mux.AtSelf, stanza.SetIQ, anyName, refuse(errBadRequest))
	r.IQ(mux.AtSelf, stanza.GetIQ, anyName, refuse(errNotAllowed))
	// XEP-0280 §4.1, §5.1: not for somebody else's session.
	r.IQ(mux.AtAccount, stanza.SetIQ, enableName, refuse(errNotAllowed))
	r.IQ(mux.AtAccount, stanza.SetIQ, disableName, refuse(errNotAllowed))
	// Bind 2: at once, without an answer (XEP-0386 §3.2).
	r.Inline(mux.Inline{Name: enableName, At: mux.InBind, Step: x.inline})
	r.Disco(mux.AtHost, func(_ context.Context, q *mux.DiscoQuery) error {
		q.Feature(NS, NSRules)
		return nil
	})
	r.Modify(mux.ToAccount, mux.Message, x.ignored)
	r.Observe(mux.FromAccount, mux.Message, x.sent)
	r.Observe(mux.ToAccount, mux.Message, x.received)
	return nil
}

// refuse answers every request with an error.
func refuse(err error) mux.IQFunc {
	return func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return nil, err }
}

// enable answers the request of a session (XEP-0280 §4), any number of times (§10.1).
func (x *Extension) enable(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	switch {
	case e.Session == nil:
		return nil, errNotAllowed // server code has no use for it
	case !x.allowed(e, e.Session):
		return nil, errForbidden
	}
	x.set(e, e.Session, true)
	return nil, nil
}

// disable answers the request of a session (XEP-0280 §5).
func (x *Extension) disable(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
	if e.Session == nil {
		return nil, errNotAllowed
	}
	x.set(e, e.Session, false)
	return nil, nil
}

// inline enables carbons for a session that has just been bound. What may not have
// them is not told: there is no answer.
func (x *Extension) inline(_ context.Context, e *mux.InlineEvent) (xmlstream.Marshaler, error) {
	if x.allowed(e.Event, e.Session) {
		x.set(e.Event, e.Session, true)
	}
	return nil, nil
}

func (x *Extension) allowed(e *mux.Event, s *mux.Session) bool {
	return x.opt.Allow == nil || x.opt.Allow(e, s)
}

// set changes the state of a session and has it saved.
func (x *Extension) set(e *mux.Event, s *mux.Session, on bool) {
	if x.on.Of(s).Swap(on) != on {
		e.Work.Save(s)
	}
}

// Enabled reports whether a session has enabled carbons. It may be called anywhere.
func (x *Extension) Enabled(s *mux.Session) bool { return x.on.Of(s).Load() }

// encode writes one octet: 1 if carbons are enabled.
func encode(dst []byte, on *atomic.Bool) []byte {
	if on.Load() {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func decode(src []byte, on *atomic.Bool) error {
	if len(src) != 1 || src[0] > 1 {
		return errSaved
	}
	on.Store(src[0] == 1)
	return nil
}
