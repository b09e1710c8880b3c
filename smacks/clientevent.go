package smacks

import (
	"crypto/rand"
	"errors"
	"strings"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"
)

// ClientEventKind says what has happened to a client.
type ClientEventKind uint8

// The events of a client's life. Those who begin something for a session, such as asking
// for the roster, sending presence, enabling carbons, entering rooms and asking the
// archive for what was missed, do so at Started alone: at Resumed all of that still holds.
// Whether the client is active (XEP-0352) holds for one connection, and is to be told at
// both; csi.Client has a method for each.
const (
	// Started: there is a new session, in which nothing is as it was.
	Started ClientEventKind = iota
	// Detached: there is no connection any more, and the session may go on: by
	// itself, or after Detach, a stream error or an attempt that was the last one by
	// Backoff, when Connect is called.
	Detached
	// Resuming: there is a connection again, or for a state of another process, on which
	// the session is to go on. If that fails for another reason than that the session is
	// over there will be a Resuming for each further attempt.
	Resuming
	// Resumed: the session goes on with another connection.
	Resumed
	// SessionLost: the session is over, without this client having closed it.
	SessionLost
)

// String names the event.
func (k ClientEventKind) String() string {
	return [...]string{"started", "detached", "resuming", "resumed", "session lost"}[k]
}

// ClientEvent is told to [ClientOptions.OnEvent].
type ClientEvent struct {
	Kind ClientEventKind
	// Err is why, with Detached and SessionLost. It is [ErrSessionLost] for a session that
	// the server does not go on with.
	Err error
	// Session is that of mellium, with Started and Resumed.
	Session *xmpp.Session
	// Outcome is what the server has agreed to, with Started and Resumed.
	Outcome Outcome
}

// OutcomeKind says what a client has got of stream management.
type OutcomeKind uint8

// What a client can have got.
const (
	// OutcomeOff: the server has no stream management, or did it wrong. What is sent is
	// not acknowledged, and lost if the connection breaks.
	OutcomeOff OutcomeKind = iota
	// OutcomeAcksOnly: there are acknowledgements, and the session ends with its connection.
	OutcomeAcksOnly
	// OutcomeFresh: a new session, which can be resumed.
	OutcomeFresh
	// OutcomeFreshAfterFailedResume: as OutcomeFresh, and one that was to be resumed is over.
	OutcomeFreshAfterFailedResume
	// OutcomeResumed: the session goes on.
	OutcomeResumed
)

// String names the kind.
func (k OutcomeKind) String() string {
	return [...]string{"off", "acknowledgements only", "fresh", "fresh after a failed resumption", "resumed"}[k]
}

// Outcome is what a server has agreed to on a connection.
type Outcome struct {
	Kind OutcomeKind
	// Refused says that a session was to be resumed and could not be. It goes with
	// OutcomeFreshAfterFailedResume, and may be with OutcomeAcksOnly and OutcomeOff.
	Refused bool
	// Handled is how many stanzas of that session the server has handled, if it has told
	// (XEP-0198 §5), which HandledKnown says.
	Handled      uint32
	HandledKnown bool
}

// outcome is what a login has led to.
func (l *login) outcome() Outcome {
	o := Outcome{Kind: OutcomeFresh, Refused: l.refused}
	if l.known != nil {
		o.Handled, o.HandledKnown = *l.known, true
	}
	switch {
	case l.resumed != nil:
		o.Kind = OutcomeResumed
	case !l.on:
		o.Kind = OutcomeOff
	case l.token == "":
		o.Kind = OutcomeAcksOnly
	case l.refused:
		o.Kind = OutcomeFreshAfterFailedResume
	}
	return o
}

// sessionLost is the condition of the error that ends requests whose session is over.
// Nobody else can send it.
var sessionLost = stanza.Condition("session-lost-" + strings.ToLower(rand.Text()))

// Errors of a client.
var (
	// ErrSessionLost is what a session ends with that could not be resumed, and what
	// requests end with that were waiting for an answer: errors.Is finds it also in what
	// functions of mellium return. What was set up in the session must be set up anew.
	ErrSessionLost error = stanza.Error{Type: stanza.Wait, Condition: sessionLost, Text: map[string]string{"": "smacks: session could not be resumed"}}
	// ErrNoSession is for sending while there is no session at all.
	ErrNoSession = errors.New("smacks: there is no session")
	// ErrOff is for asking a server without stream management to acknowledge.
	ErrOff = errors.New("smacks: the server does not acknowledge")
	// ErrDropped is for a stanza that was not acknowledged and will not be sent
	// again.
	ErrDropped = errors.New("smacks: stanza was dropped with its session")
	// ErrDetached is what a session, Run and Connect end with after [Client.Detach], and
	// the latter two after [Client.Close].
	ErrDetached = errors.New("smacks: detached")
	// ErrNoConnection is what sending fails with by [ClientOptions.FailDetached].
	ErrNoConnection = errors.New("smacks: there is no connection")
	// ErrConnected is for a second session at the same time.
	ErrConnected = errors.New("smacks: there is a session already")
)
