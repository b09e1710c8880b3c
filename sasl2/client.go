package sasl2

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

// ClientOptions are what a client knows of an account and what it wants. Make them
// anew for each connection, with the [ClientState] that was saved last.
type ClientOptions struct {
	// Mechanism begins an exchange that proves the password, such as one of package
	// scram. It is called when there is no token that can be used, and once more with
	// [Attempt.Tried] if the first was refused. Its error ends the login. Required.
	Mechanism func(ctx context.Context, a Attempt) (Run, error)

	// State is what was kept of earlier logins of the account by this installation,
	// zero at first.
	State ClientState
	// Save keeps the state. What it is given must be durable when it returns: only
	// then is a token used, or a success acted on. An error ends the login. With nil
	// there are no tokens and the installation does not identify itself.
	Save func(ctx context.Context, s ClientState) error

	// Binding is the data of a channel binding of XEP-0440, such as of
	// scram.BindingData. With nil there are no tokens.
	Binding func(typ string, cs *tls.ConnectionState, leaf *x509.Certificate) ([]byte, error)
	// Tokens are the mechanisms that tokens are asked for and used with, best first;
	// nil means those of SHA-256, with the channel binding of the connection before
	// that of the certificate, and without any only if there is none that both ends
	// have. Empty means no tokens.
	Tokens []string

	// Software and Device are shown to the account's owner in a list of clients, at
	// most 256 characters each.
	Software, Device string
	// NoBind leaves binding to the stream feature, also where the server has Bind 2.
	NoBind bool
	// Tag is what the resource begins with, at most 64 octets. Others see it.
	Tag string
	// Enable are elements that go into Bind 2's bind, such as
	// <enable xmlns='urn:xmpp:carbons:2'/>, each if the server lists its namespace.
	Enable []string
	// Resume is an element that resumes an earlier session, <resume/> of
	// urn:xmpp:sm:3. It is sent if the server lists its namespace. If it is refused a
	// new session is bound.
	Resume string

	// Upgrade computes a SaltedPassword that the server lacks (XEP-0480), of a task
	// such as UPGR-SCRAM-SHA-512; nil means that upgrades are not asked for. The
	// parameters are within bounds.
	Upgrade func(ctx context.Context, task string, salt []byte, iterations int) ([]byte, error)
	// Upgrades are the tasks that are asked for, nil for SCRAM with SHA-512 and
	// SHA-256.
	Upgrades []string
	// UpgradeUnbound asks for upgrades also where the login has no channel binding.
	// Somebody with a certificate for the server can then sit between and learn what
	// is as good as the password.
	UpgradeUnbound bool

	// Pipeline sends the login together with the stream header, by what the server
	// has listed the last time (XEP-0509).
	Pipeline bool
	// RequireSASL2 refuses a server that had this profile before and now lists the
	// older one only; without, that is a warning.
	RequireSASL2 bool

	// Done is called when the session is ready, before it is returned. Its error
	// ends the login.
	Done func(ctx context.Context, l Login) error
	// Logger is for protocol steps (Debug) and what is suspicious (Warn); nil
	// discards.
	Logger *slog.Logger
}

// Attempt is what a mechanism is chosen by.
type Attempt struct {
	Offer Offer
	// TLS is this end of the connection.
	TLS *tls.ConnectionState
	// Tried are mechanisms that were refused on this stream.
	Tried []string
	// Cached says that the offer is from an earlier connection. The run must have a
	// method Relist(Offer), which gets what is listed now before the server's first
	// message is given to it; one that lacks it is begun again when the offer has come.
	Cached bool
}

// Run is the client's side of one exchange, as of scram.Client. Calls follow each
// other: First, then Next for each challenge, and Verify.
type Run interface {
	Mechanism() string
	First() ([]byte, error)
	Next(ctx context.Context, challenge []byte) ([]byte, error)
	// Verify takes what comes with the success, nil for nothing. Only if it returns
	// nil the server is believed. A mechanism in which the server proves nothing
	// accepts nil only.
	Verify(data []byte) error
}

// Login is how a login went.
type Login struct {
	// JID is the session's address.
	JID       jid.JID
	Mechanism string // empty with SASL1
	// SASL1 says that the profile of RFC 6120 was used, since the server lists no
	// other.
	SASL1 bool
	// Token says that no password was needed.
	Token bool
	// Upgraded are the tasks that were completed.
	Upgraded []string
	// Run is what [ClientOptions.Mechanism] has returned, nil with a token. It may
	// have keys or pins to keep.
	Run Run
	// Resumed is the server's answer if an earlier session was resumed, Refused if it
	// was not, Bound that of Bind 2 with what is in it.
	Resumed, Refused, Bound *Element
	// Features are those that followed on Bind 2. They are for information.
	Features []Element
	// State is what was saved last.
	State ClientState
}

// NewSession logs in over a connection, by SASL2 if the server lists it inside TLS,
// or else by what features has for the older profile, such as scram.Features. It
// negotiates TLS and binding where they are needed, by [xmpp.StartTLS] and
// [xmpp.BindResource] if features has no others for them. Nothing is sent in clear
// that says who it is. When it fails the connection is closed.
//
// The connection is a *tls.Conn, or has TLS not yet. Nothing is read ahead: what the
// server sends behind its success, or the features of a bound session, can be read
// from the session or, undecoded, from its Conn.
func NewSession(ctx context.Context, account jid.JID, conn io.ReadWriter, o *ClientOptions, features ...xmpp.StreamFeature) (*xmpp.Session, Login, error) {
	var login Login
	options := *o
	options.Done = func(ctx context.Context, l Login) error {
		login = l
		if o.Done != nil {
			return o.Done(ctx, l)
		}
		return nil
	}
	negotiate := Negotiator(&options, features...)
	// mellium has a connection time out for a moment when the context of its login ends,
	// which may come late and hit the session. Here that closes it, and just until the
	// login is over.
	s, err := xmpp.NewSession(context.WithoutCancel(ctx), account.Domain(), account, conn, 0,
		func(_ context.Context, in, out *stream.Info, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, any, error) {
			return negotiate(ctx, in, out, s, data)
		})
	if err != nil {
		return nil, Login{}, err
	}
	return s, login, nil
}

// Negotiator is [NewSession] for programs that call [xmpp.NewSession] or
// [xmpp.DialSession] themselves. It is for one session, and not for WebSocket. A context
// that ends right behind a login can break the session then, which NewSession prevents.
func Negotiator(o *ClientOptions, features ...xmpp.StreamFeature) xmpp.Negotiator {
	x := newClientLogin(o, features)
	return x.negotiate
}
