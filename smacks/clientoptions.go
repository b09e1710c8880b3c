package smacks

import (
	"context"
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
	// Features log in: STARTTLS and SASL. Resuming, binding and enabling are added. With
	// a tls.Config that has a ClientSessionCache a resumption costs less.
	Features []xmpp.StreamFeature
	// Login logs in in place of Features, by a profile that resumes, binds and enables
	// in one step, such as SASL2 with Bind 2 (XEP-0198 §9). resume and enable are the
	// elements for it; resume is empty if there is nothing to go on with. When it returns
	// ctx ends, which must not touch the connection any more. It may fail where the
	// server thinks that it has not, and so what a success tells is to be kept for the
	// next login at once, as by sasl2.ClientOptions.Save.
	Login func(ctx context.Context, c net.Conn, addr jid.JID, resume, enable string) (LoggedIn, error)
	// State is where an earlier process got to, nil to begin anew.
	State *ClientState
	// Seconds is how long the server is asked to wait for us; 0 for what it likes.
	Seconds int
	// MaxQueue is how many stanzas may be unacknowledged, 0 for 1000. At the bound
	// writing waits, and nothing is thrown away.
	MaxQueue int
	// FailDetached has Send, SendAcked and UnmarshalIQ fail with [ErrNoConnection] while
	// there is no connection; else what they send waits for the next, up to MaxQueue. What is
	// written to the session of mellium always waits.
	FailDetached bool
	// AckPolicy says when the server is asked to acknowledge, nil for behind five
	// stanzas and at the latest after 5 s. It is asked in any case behind a resumption,
	// at MaxQueue and by RequestAck.
	AckPolicy AckPolicy
	// AckTimeout is how long the server may take to answer, 0 for 30 s. Then the
	// connection is given up. Time in which the session does not read does not count.
	AckTimeout time.Duration
	// Probe is how long nothing may be exchanged before the server is asked, to see
	// whether it is there; 0 for 5 min.
	Probe time.Duration
	// LoginTimeout bounds one attempt to connect and log in, 0 for 30 s.
	LoginTimeout time.Duration
	// Backoff is how long to wait before the next attempt, after so many that have
	// failed and none that did not, the last with this error; below zero to give up.
	// A connection that broke at once, and on which nothing got on, is one that has failed
	// if there were five of them.
	// Nil waits up to 1 s, 2 s, 4 s, … and at most 60 s.
	Backoff func(failed int, err error) time.Duration
	// OnAcked is told of stanzas that the server has acknowledged, in order.
	OnAcked func([]Pending)
	// OnDropped decides about each stanza that was not acknowledged when its session
	// could not be resumed, in order. Nil is [ResendMessages]. What the server has
	// handled as far as it told when it refused is acknowledged, and not asked about. It
	// is called by Connect or Run, before the next session begins.
	OnDropped func(Pending) Action
	// OnFailed is told of stanzas that were not acknowledged and are not sent again, by
	// [Fail], in order.
	OnFailed func([]Pending)
	// OnEvent is told what becomes of the connection. It, OnAcked and OnFailed run one
	// after another on a goroutine of their own, and may call anything.
	OnEvent func(ClientEvent)
	// Logger is for failed attempts (Info) and misbehaving servers (Warn); nil
	// discards.
	Logger *slog.Logger
}

// LoggedIn is what [ClientOptions.Login] returns.
type LoggedIn struct {
	// Conn is the connection, from which nothing must have been read behind the login.
	Conn net.Conn
	// JID is what was bound or resumed.
	JID jid.JID
	// Resumed, Failed and Enabled are the attributes of the answers, nil for one that was
	// not given. An Enabled that is empty and not nil has stream management enabled
	// outside of the login.
	Resumed, Failed, Enabled map[string]string
	// Features are the namespaces of the features that the server has listed behind the
	// login, nil if it has not. A session that is resumed keeps those it had.
	Features []string
}

func (o *ClientOptions) withDefaults() ClientOptions {
	var d ClientOptions
	if o != nil {
		d = *o
	}
	orElse(&d.MaxQueue, 1000)
	orElse(&d.AckTimeout, 30*time.Second)
	orElse(&d.Probe, 5*time.Minute)
	orElse(&d.LoginTimeout, 30*time.Second)
	if d.AckPolicy == nil {
		d.AckPolicy = AskFirst(AskEvery(5), AskWithin(5*time.Second))
	}
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
	// Fail gives it up: [Client.SendAcked] returns [ErrDropped], and
	// [ClientOptions.OnFailed] is told.
	Fail Action = iota
	// Discard forgets it: [Client.SendAcked] returns [ErrDropped], and nobody else is told.
	Discard
	// Resend sends it again in the next session, with the time it was sent at
	// first (XEP-0203). The server may have had it.
	Resend
)

// ResendMessages has chat and normal messages sent again and everything else
// fail: a request or a presence is for a session that is over (smacks SM-83).
func ResendMessages(p Pending) Action {
	if p.Kind == "message" && (p.Type == "" || p.Type == "chat" || p.Type == "normal") {
		return Resend
	}
	return Fail
}
