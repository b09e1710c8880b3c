package scram

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
)

// ServerConfig is what a [Server] has to know about its stream. The zero
// value is ready to use.
type ServerConfig struct {
	// Plus says that the mechanism is the one with channel binding.
	Plus bool
	// Bindings are the channel bindings that were advertised on this stream. A
	// client must use one of them with Plus, and none without.
	Bindings []Binding
	// PlusAdvertised says that a mechanism with channel binding was listed on
	// this stream. A client that claims to have seen none ('y') is refused
	// then: somebody shortened the list (RFC 5802 §6).
	PlusAdvertised bool
	// LenientY lets such a client in nevertheless, for one that says so only
	// because it knows none of the bindings advertised. Nobody notices then that
	// a list was shortened, unless the client checks ListHash.
	LenientY bool
	// ListHash is the attribute h of the server-first-message, which protects
	// what was listed; see the function of that name. Empty sends none.
	ListHash string
	// TLSVersion is the attribute t (XEP-0515), see [TLSVersionText]. It is sent
	// with ListHash only. Empty sends none, which is right where somebody else
	// ends TLS.
	TLSVersion string
	// Nonce returns the server's part of the nonce: printable ASCII without
	// comma, never the same twice. Nil means 18 random octets in base64;
	// anything else is for tests.
	Nonce func() string

	// binding, if there is one, is in place of Bindings: it makes the data of the
	// type that the client uses, nil if that was not advertised.
	binding func(typ string) []byte
}

// Server is the server's side of one SCRAM exchange, and performs no I/O. Three calls follow each other: [Server.First] takes
// the client-first-message and names the user, [Server.Challenge] takes the
// key found for that user and makes the server-first-message, [Server.Final]
// takes the client-final-message and makes the server-final-message. After an
// error, and after Final, a Server fails every call. It must not be used by
// several goroutines at once.
type Server struct {
	hash   Hash
	config ServerConfig
	state  serverState
	first  ClientFirst
	bound  []byte // data of the channel binding that the client chose
	nonce  string
	signed []byte // both first messages, each with a comma behind it
	key    Key
}

type serverState uint8

const (
	awaitFirst serverState = iota
	awaitKey
	awaitFinal
	ended
)

// Reasons for refusing a message that is well-formed.
var (
	errOrder       = errors.New("message out of turn")
	errPlus        = errors.New("channel binding with a mechanism that has none")
	errNoPlus      = errors.New("no channel binding with a mechanism that is about it")
	errUnoffered   = errors.New("channel binding of a type that was not advertised")
	errDowngrade   = errors.New("client saw no -PLUS mechanism though one was listed")
	errBadBinding  = errors.New("channel binding differs")
	errBadNonce    = errors.New("nonce differs")
	errBadProof    = errors.New("proof is wrong")
	errWrongHash   = errors.New("key is for another hash")
	errNonceSource = errors.New("nonce source returned no nonce")
)

// NewServer returns the server's side of an exchange with that hash. What the
// configuration refers to must not be modified until its end.
func NewServer(h Hash, c ServerConfig) *Server {
	s := newServer(h, c)
	return &s
}

func newServer(h Hash, c ServerConfig) Server {
	if c.Nonce == nil {
		c.Nonce = randomNonce
	}
	return Server{hash: h, config: c}
}

// randomNonce returns 18 octets of randomness. The random source of Go ends
// the process rather than fail.
func randomNonce() string {
	var b [18]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

// First reads the client-first-message. The error is a [*Failure].
func (s *Server) First(in []byte) (ClientFirst, error) {
	if s.state != awaitFirst {
		return ClientFirst{}, s.end(MalformedRequest, errOrder)
	}
	m, err := ParseClientFirst(in)
	if err != nil {
		s.wipe()
		return ClientFirst{}, err
	}
	if err := s.checkFlag(m); err != nil {
		return ClientFirst{}, s.end(MalformedRequest, err)
	}
	s.first, s.state = m, awaitKey
	return m, nil
}

// checkFlag checks what the client says of channel binding, and finds the data of
// the one that it uses (RFC 5801 §5, RFC 5802 §6). There is no falling back from
// one that cannot be used to none.
func (s *Server) checkFlag(m ClientFirst) error {
	c := &s.config
	switch {
	case c.Plus && m.Flag != 'p':
		return errNoPlus
	case !c.Plus && m.Flag == 'p':
		return errPlus
	case m.Flag == 'y' && c.PlusAdvertised && !c.LenientY:
		return errDowngrade
	case m.Flag != 'p':
		return nil
	}
	if c.binding != nil {
		if s.bound = c.binding(m.Binding); len(s.bound) == 0 {
			return errUnoffered
		}
		return nil
	}
	for _, b := range c.Bindings {
		if b.Type == m.Binding && len(b.Data) > 0 {
			s.bound = b.Data
			return nil
		}
	}
	return errUnoffered
}

// Challenge returns the server-first-message for a key of this exchange's
// hash. For users that do not exist, take the key from [Decoys.Key]: no
// password matches it, and the exchange fails where a wrong password does.
// The error is a [*Failure], and means that the key is unusable or that
// Challenge was called out of turn.
func (s *Server) Challenge(k Key) ([]byte, error) {
	if s.state != awaitKey {
		return nil, s.end(MalformedRequest, errOrder)
	}
	if err := k.Check(); err != nil {
		return nil, s.end(TemporaryAuthFailure, err)
	}
	if k.Hash != s.hash {
		return nil, s.end(TemporaryAuthFailure, errWrongHash)
	}
	part := s.config.Nonce()
	if part == "" || !isPrintable(part) {
		return nil, s.end(TemporaryAuthFailure, errNonceSource)
	}
	s.key = k.clone()
	s.nonce = s.first.Nonce + part
	out := append(append(make([]byte, 0, 192), "r="...), s.nonce...)
	out = base64.StdEncoding.AppendEncode(append(out, ",s="...), k.Salt)
	out = strconv.AppendInt(append(out, ",i="...), int64(k.Iterations), 10)
	if s.config.ListHash != "" { // XEP-0474 §6.1, XEP-0515 §4.1
		out = append(append(out, ",h="...), s.config.ListHash...)
		if s.config.TLSVersion != "" {
			out = append(append(out, ",t="...), s.config.TLSVersion...)
		}
	}
	// RFC 5802 §3: the octets on the wire are signed, escapes and unknown attributes
	// included. There is room for a usual client-final-message behind them.
	s.signed = make([]byte, 0, len(s.first.bare)+len(out)+2+128)
	s.signed = append(append(append(append(s.signed, s.first.bare...), ','), out...), ',')
	s.state = awaitFinal
	return out, nil
}

// Final verifies the client-final-message and returns the
// server-final-message. Without error, the client knows the password of the
// key given to Challenge. The error is a [*Failure] with malformed-request,
// or not-authorized for everything that a wrong password may cause.
func (s *Server) Final(in []byte) ([]byte, error) {
	if s.state != awaitFinal {
		return nil, s.end(MalformedRequest, errOrder)
	}
	m, err := parseClientFinal(in)
	if err != nil {
		return nil, s.end(MalformedRequest, err)
	}
	signed := append(s.signed, m.withoutProof...)
	// All is computed whatever fails, so that the time tells nothing.
	proven := s.key.verify(signed, m.proof)
	signature := s.key.serverSignature(signed)
	switch {
	case !equal(m.binding, append([]byte(s.first.header), s.bound...)):
		return nil, s.end(NotAuthorized, errBadBinding) // RFC 5802 §6
	case !equal([]byte(m.nonce), []byte(s.nonce)):
		return nil, s.end(NotAuthorized, errBadNonce) // RFC 5802 §5.1
	case !proven:
		return nil, s.end(NotAuthorized, errBadProof)
	}
	s.wipe()
	return base64.StdEncoding.AppendEncode(append(make([]byte, 0, 96), "v="...), signature), nil
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// end wipes the exchange and returns the failure it ends with.
func (s *Server) end(condition string, cause error) *Failure {
	s.wipe()
	return fail(condition, cause)
}

// wipe leaves nothing that a second message could be checked against.
func (s *Server) wipe() {
	clear(s.key.StoredKey)
	clear(s.key.ServerKey)
	*s = Server{hash: s.hash, state: ended}
}
