package mux

import (
	"context"
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
)

// State is how far a stream has come. States are bits.
type State uint8

// The states.
const (
	Secure        State = 1 << iota // TLS is on, or the transport needs none
	Authenticated                   // the peer has proved who it is
	Bound                           // a session is attached
	Registered                      // the peer has made an account (XEP-0077 §3.1.1)
)

// Feature is a stream feature (RFC 6120 §4.3), offered and stepped by package
// negotiate. Features are offered in order of registration, behind those of
// negotiate itself. All functions run on the goroutine that negotiates the
// stream, which may wait.
type Feature struct {
	// Name is for logs and Describe.
	Name string
	// Needs and Forbids are the states in which the feature is offered and its
	// elements are accepted.
	Needs, Forbids State
	// List is the element in stream features; nil, or a nil result, offers
	// nothing. A feature may be advertised only: then it owns no elements.
	List func(ctx context.Context, st *Stream) xmlstream.Marshaler
	// Last is List for a feature that speaks of all the others: it comes behind
	// them and sees what they have written, as XEP-0509 does.
	Last func(ctx context.Context, st *Stream, others []byte) xmlstream.Marshaler
	// Owns names the elements that are given to Step: nonzas by their own name,
	// IQ requests by that of their payload. A feature may be stepped any number
	// of times.
	Owns []xml.Name
	// Step handles one element. An error is answered: a [stanza.Error] for an IQ,
	// a stream error ends the stream.
	Step func(ctx context.Context, st *Stream, el *Stanza) (Outcome, error)
	// Deadline, if not zero, replaces the time that is left for negotiation once
	// the feature was stepped, such as for people who fill in a form.
	Deadline time.Duration

	ext string
}

// Outcome is what a step leads to.
type Outcome struct {
	// Reply is written first: for an IQ request the payload of its result (nil for
	// an empty one), else a whole element, nil for none.
	Reply xmlstream.Marshaler
	// Sets are states that hold from now on. With Authenticated, Account must be
	// set.
	Sets State
	// Account is who the peer has proved to be; with Failed, who it has said it is,
	// whether there is such an account or not. Zero if that is not known.
	Account Address
	// Next takes the peer's next element in place of everything else, whatever it
	// is and without white space before it: an exchange that allows nothing else in
	// between goes on (XEP-0388 §2.4). It is called like Step. The peer has half a
	// minute for it.
	Next func(ctx context.Context, st *Stream, el *Stanza) (Outcome, error)
	// Restart makes both sides start a new stream (RFC 6120 §4.3.3).
	Restart bool
	// Failed is the SASL condition (RFC 6120 §6.5) with which an attempt to
	// authenticate has failed, which Reply tells the peer. Attempts are counted and
	// delayed together with those of other features and of SASL itself.
	Failed string
	// Mechanism is what was tried and Cause why it failed, for those who watch over
	// failures; the peer is told neither.
	Mechanism string
	Cause     error
	// Bind makes a session in the same step, as Bind 2 does (XEP-0386). Bound then
	// gives the element to be sent in place of Reply, in the turn that bound, so
	// that nothing of the session comes before it.
	Bind  *BindOptions
	Bound func(ctx context.Context, e *Event) xmlstream.Marshaler
	// Become hands the connection to a session that exists, in place of binding;
	// its reply is written by the session. A refusal has no effect and is
	// answered with Resumption.Refused.
	Become *Resumption
	// Instead gives what happens in place of Become or Bind when that was refused,
	// with the error of [Stream.Resume] or [Stream.Bind]. Nil is, for Become, what
	// Resumption.Refused says, and for Bind the end of the stream.
	Instead func(ctx context.Context, err error) (Outcome, error)
	// Then runs when the reply is on its way.
	Then func()
}

// InlineAt is where an inline member is stepped.
type InlineAt uint8

// The places.
const (
	// InAuthenticate: inside SASL2's authenticate, when the account is known and
	// before a resource is bound (XEP-0388 §2.6).
	InAuthenticate InlineAt = iota
	// InBind: inside Bind 2's bind, when the session exists (XEP-0386 §3).
	InBind
)

// Inline is an element that may come inside SASL2's authenticate or Bind 2's
// bind. Members are offered and stepped in order of registration.
type Inline struct {
	// Name is the member's element in the request. InBind it may be zero: then the
	// member is stepped with each Bind 2, without an element, and offers nothing
	// unless Offer says so.
	Name xml.Name
	At   InlineAt
	// Offer is what is advertised; a nil function advertises, InBind, a feature
	// with the namespace of Name, InAuthenticate the empty element of that name. A
	// nil result offers nothing.
	Offer func(ctx context.Context, st *Stream) xmlstream.Marshaler
	// Step handles the element and returns what goes into the response. With
	// InBind it runs in the account's turn, which others then wait for; it may wait
	// for a store, as with Blocks, but not for a peer.
	Step func(ctx context.Context, e *InlineEvent) (xmlstream.Marshaler, error)

	ext string
}

// InlineEvent is what an inline member sees. It is valid during the step only.
type InlineEvent struct {
	Stream  *Stream
	Account Address
	Session *Session // with InBind, or once Become succeeded
	Element Child    // the member as it came
	Event   *Event   // of the turn, with InBind
	// Become, set by a step in InAuthenticate, hands the stream to a session that
	// exists; binding is then left out (XEP-0198 §9.2).
	Become *Resumption
}

// Resumption asks for the take-over of a session.
type Resumption struct {
	// ID of the session.
	ID SessionID
	// Check decides, under the session's lock, whether this peer may have it: its
	// owner and whatever else was proved. It must not wait or change anything.
	Check func(s *Session) error
	// Reply is the element to be sent before anything else, once the take-over is
	// certain.
	Reply func(s *Session) xmlstream.Marshaler
	// Refused is the element to be sent if it fails, with why.
	Refused func(err error) xmlstream.Marshaler
}

// Lifecycle holds functions for what happens to sessions; nil ones are left out.
type Lifecycle struct {
	// Bound: a session has come to be. In its account's turn.
	Bound func(ctx context.Context, e *Event)
	// Attached: a stream was attached, at bind and at each take-over. Under the
	// session's lock; must not wait or send, except through the sinks.
	Attached func(s *Session)
	// Detached: the stream is gone without a proper end. It returns how long the
	// session should be kept for its return; the longest answer wins, 0 ends the
	// session. Under the session's lock.
	Detached func(s *Session) time.Duration
	// Parting: the peer ends its stream properly, and all that it sent is finished;
	// what it is still to be told is put into the wire now. Under the session's lock.
	Parting func(s *Session)
	// Saving: the session is going to be saved with w, to which more may be written
	// that belongs to it. Under the session's lock; must not wait.
	Saving func(s *Session, w *Work)
	// Closed: the session has ended for good and is no longer among those of its
	// account; what it had was disposed of before. In its account's turn.
	Closed func(ctx context.Context, e *Event)

	ext string
}
