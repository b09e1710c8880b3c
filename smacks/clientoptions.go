package smacks

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// ClientOptions refine a Client. The zero value of each field is its default.
type ClientOptions struct {
	// Dial opens a connection to the server. Once after a connection was lost,
	// location is where the server would like to be reached (XEP-0198 §5): host, or
	// host:port; else it is empty. Nil finds the server as RFC 6120 §3.2 says.
	Dial func(ctx context.Context, location string) (net.Conn, error)
	// Features log in: STARTTLS and SASL. Resuming, binding and enabling are added.
	Features []xmpp.StreamFeature
	// Login logs in in place of Features, by a profile that resumes, binds and enables
	// in one step, such as SASL2 with Bind 2 (XEP-0198 §9). resume and enable are the
	// elements for it; resume is empty if there is nothing to go on with. It returns
	// the connection, from which nothing must have been read behind the login, what
	// was bound or resumed, and the attributes of the answers: nil for one that was
	// not given. An empty enabled has stream management enabled outside of the login.
	// When it returns ctx ends, which must not touch conn any more. It may fail where the
	// server thinks that it has not, and so what a success tells is to be kept for the
	// next login at once, as by sasl2.ClientOptions.Save.
	Login func(ctx context.Context, c net.Conn, addr jid.JID, resume, enable string) (conn net.Conn, bound jid.JID, resumed, failed, enabled map[string]string, err error)
	// State is where an earlier process got to, nil to begin anew.
	State *ClientState
	// Seconds is how long the server is asked to wait for us; 0 for what it likes.
	Seconds int
	// MaxQueue is how many stanzas may be unacknowledged, 0 for 1000; writing waits
	// at the bound.
	MaxQueue int
	// AskAfter is after how many stanzas the server is asked to acknowledge, 0 for
	// 5; AskWithin how long the last ones wait for that, 0 for 5 s.
	AskAfter  int
	AskWithin time.Duration
	// AckTimeout is how long the server may take to answer, 0 for 30 s. Then the
	// connection is given up.
	AckTimeout time.Duration
	// Probe is how long nothing may be exchanged before the server is asked, to see
	// whether it is there; 0 for 5 min.
	Probe time.Duration
	// LoginTimeout bounds one attempt to connect and log in, 0 for 30 s.
	LoginTimeout time.Duration
	// Backoff is how long to wait before the next attempt, after so many that have
	// failed and none that did not, the last with this error; below zero to give up.
	// Nil waits up to 1 s, 2 s, 4 s, … and at most 60 s.
	Backoff func(failed int, err error) time.Duration
	// OnAcked is told of stanzas that the server has acknowledged, in order.
	OnAcked func([]Pending)
	// OnDropped decides about each stanza that was not acknowledged when its session
	// could not be resumed, in order. Nil is [ResendMessages].
	OnDropped func(Pending) Action
	// OnEvent is told what becomes of the connection. It and OnAcked run one after
	// another on a goroutine of their own, and may call anything.
	OnEvent func(ClientEvent)
	// Logger is for failed attempts (Info) and misbehaving servers (Warn); nil
	// discards.
	Logger *slog.Logger
}

func (o *ClientOptions) withDefaults() ClientOptions {
	var d ClientOptions
	if o != nil {
		d = *o
	}
	orElse(&d.MaxQueue, 1000)
	orElse(&d.AskAfter, 5)
	orElse(&d.AskWithin, 5*time.Second)
	orElse(&d.AckTimeout, 30*time.Second)
	orElse(&d.Probe, 5*time.Minute)
	orElse(&d.LoginTimeout, 30*time.Second)
	if d.Backoff == nil {
		d.Backoff = backoff
	}
	if d.OnDropped == nil {
		d.OnDropped = ResendMessages
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// backoff doubles, and differs between clients.
func backoff(failed int, _ error) time.Duration {
	d := time.Second << min(failed-1, 6)
	return d/2 + rand.N(min(d, time.Minute)/2)
}

// Action is what becomes of a stanza whose session could not be resumed.
type Action uint8

const (
	// Discard forgets it; [Client.SendAcked] returns [ErrDropped].
	Discard Action = iota
	// Resend sends it again in the next session, with the time it was sent at
	// first (XEP-0203). The server may have had it.
	Resend
)

// ResendMessages has chat and normal messages sent again and everything else
// forgotten: a request or a presence is for a session that is over (smacks SM-83).
func ResendMessages(p Pending) Action {
	if p.Kind == "message" && (p.Type == "" || p.Type == "chat" || p.Type == "normal") {
		return Resend
	}
	return Discard
}

// ClientEventKind says what has happened to a client.
type ClientEventKind uint8

// The events of a client's life.
const (
	// Started: there is a new session, in which nothing is as it was: roster,
	// presence, carbons, rooms have to be asked for, set and entered again.
	Started ClientEventKind = iota
	// Detached: the connection is lost, and the session may go on.
	Detached
	// Resumed: the session goes on with another connection. Nothing is to be done.
	Resumed
	// Lost: the session is over.
	Lost
)

// String names the event.
func (k ClientEventKind) String() string {
	return [...]string{"started", "detached", "resumed", "lost"}[k]
}

// ClientEvent is told to [ClientOptions.OnEvent].
type ClientEvent struct {
	Kind ClientEventKind
	Err  error // why, with Detached and Lost
}

// Errors of a client.
var (
	// ErrSessionLost is what a session ends with that could not be resumed.
	ErrSessionLost = errors.New("smacks: session could not be resumed")
	// ErrDropped is for a stanza that was not acknowledged and will not be sent
	// again.
	ErrDropped = errors.New("smacks: stanza was dropped with its session")
	// ErrDetached is what a session ends with after [Client.Detach].
	ErrDetached = errors.New("smacks: detached")
	// ErrConnected is for a second session at the same time.
	ErrConnected = errors.New("smacks: there is a session already")
)
