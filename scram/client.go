package scram

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ClientOptions are what a client knows of an account and what it may settle for.
// Make them anew for each connection: a login changes Pins and Keys.
type ClientOptions struct {
	// Username is the account's name, prepared by PrepareName. In XMPP it is
	// the localpart of the JID, and empty means that of the session.
	Username string
	// Authzid is who to act for; empty, as nearly always, means the user.
	Authzid string
	// Password is asked for the password when no Keys fit. Nil means that
	// there is none: [ErrNeedPassword]. [FixedPassword] makes one.
	Password func(context.Context) (string, error)
	// Keys are those of earlier logins; more than one, for different hashes,
	// is fine.
	Keys []ClientKeys

	Policy ClientPolicy
	Pins   Pins

	// MinIterations is the least iteration count that is accepted; below 4096
	// means 4096.
	MinIterations int
	// MaxIterations is the most; 0 or less means 5,000,000, which takes from
	// one second to one minute.
	MaxIterations int

	// PrepareName prepares Username; nil means SASLprep (RFC 5802 §5.1), where
	// that allows the name, and then [PrepareLocalpart].
	PrepareName func(string) (string, error)
	// Nonce returns the client's part of the nonce: printable ASCII without
	// comma, never the same twice. Nil means 18 random octets in base64;
	// anything else is for tests.
	Nonce func() string

	// Save is called when a login is complete and the server verified, before
	// the caller learns of it: what it has to keep should be durable when it
	// returns. Its error ends the login. Nil keeps nothing. [Client] itself does
	// not call it; [Mechanisms] and [Features] do.
	Save func(context.Context, Login) error
}

// FixedPassword always returns the same password.
func FixedPassword(password string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return password, nil }
}

// Login is how a login went.
type Login struct {
	Mechanism   string
	BindingType string // empty without channel binding
	// ListVerified says that the server has signed the lists received
	// (XEP-0474).
	ListVerified bool
	Iterations   int        // 0 for PLAIN and EXTERNAL
	Keys         ClientKeys // to log in without the password; zero for PLAIN and EXTERNAL
	Pins         Pins       // to be kept with the account
	LostSASL2    bool       // see [Choice]
}

// Client is the client's side of one SCRAM exchange, and performs no I/O. Three
// calls follow each other: [Client.First] makes the client-first-message,
// [Client.Next] answers the server-first-message, [Client.Verify] checks the
// server-final-message. Only after Verify has returned nil is the server known to
// be the account's. After an error a Client fails every call; tell the server with
// an abort. It must not be used by several goroutines at once.
type Client struct {
	o      ClientOptions
	choice Choice
	state  clientState

	header, bare, nonce string
	keys                ClientKeys
	signed              []byte // AuthMessage
	listVerified        bool
}

type clientState uint8

const (
	clientStart clientState = iota
	clientAwaitFirst
	clientAwaitFinal
	clientDone
	clientFailed
)

var errClientOrder = errors.New("scram: client called out of turn")

// NewClient returns the client's side of an exchange as chosen. It does not
// derive keys. The error wraps [ErrNoMechanism], if the choice is not of SCRAM, or
// [ErrName].
func NewClient(choice Choice, options *ClientOptions) (*Client, error) {
	if choice.Hash == 0 {
		return nil, fmt.Errorf("%w: not a choice of SCRAM", ErrNoMechanism)
	}
	c := &Client{o: ClientOptions{}, choice: choice}
	if options != nil {
		c.o = *options
	}
	c.o.MinIterations = max(c.o.MinIterations, MinIterations)
	if c.o.MaxIterations <= 0 {
		c.o.MaxIterations = MaxIterations
	}
	if c.o.Nonce == nil {
		c.o.Nonce = randomNonce
	}
	if c.o.PrepareName == nil {
		c.o.PrepareName = prepareUsername
	}
	name, err := c.o.PrepareName(c.o.Username)
	if err != nil {
		return nil, err
	}
	if name == "" || strings.IndexByte(name, 0) >= 0 || len(name) > MaxLocalpart || len(c.o.Authzid) > 3*MaxLocalpart {
		return nil, fmt.Errorf("%w: empty, too long or with NUL", ErrName)
	}
	c.header = gs2Header(choice, c.o.Authzid)
	c.bare = "n=" + escapeName(name)
	return c, nil
}

// prepareUsername applies both preparations; where SASLprep forbids a name, such as
// one with younger characters, that of JIDs decides alone.
func prepareUsername(name string) (string, error) {
	if s, err := saslprep(name); err == nil {
		name = s
	}
	return PrepareLocalpart(name)
}

func gs2Header(choice Choice, authzid string) string {
	header := string(choice.Flag)
	if choice.Flag == 'p' {
		header += "=" + choice.Binding.Type
	}
	if authzid != "" {
		return header + ",a=" + escapeName(authzid) + ","
	}
	return header + ",,"
}

// Mechanism is the name of the mechanism.
func (c *Client) Mechanism() string { return c.choice.Mechanism }

// Listed replaces the lists that the server's signature is checked against. It is
// for clients that have chosen by lists of an earlier connection, and see those of
// this one later (XEP-0509).
func (c *Client) Listed(o Listing) { c.choice.offer = o.clone() }

// First returns the client-first-message.
func (c *Client) First() ([]byte, error) {
	if c.state != clientStart {
		return nil, c.fail(errClientOrder)
	}
	if c.nonce = c.o.Nonce(); len(c.nonce) < minClientNonce || !isPrintable(c.nonce) {
		return nil, c.fail(errors.New("scram: no nonce"))
	}
	c.bare += ",r=" + c.nonce
	c.state = clientAwaitFirst
	return []byte(c.header + c.bare), nil
}

// Next takes the server-first-message and returns the client-final-message. All
// that the message can give away is checked before a key is derived or used. The
// context bounds the derivation of keys.
func (c *Client) Next(ctx context.Context, in []byte) ([]byte, error) {
	if c.state != clientAwaitFirst {
		return nil, c.fail(errClientOrder)
	}
	m, err := parseServerFirst(in)
	if err != nil {
		return nil, c.fail(fmt.Errorf("%w: %w", ErrServerMessage, err))
	}
	if err := c.check(m); err != nil {
		return nil, c.fail(err)
	}
	if c.keys, err = c.findKeys(ctx, m); err != nil {
		return nil, c.fail(err)
	}
	without := finalWithoutProof(c.header, c.choice.Binding.Data, m.nonce)
	// RFC 5802 §3: the octets on the wire are signed.
	c.signed = slices.Concat([]byte(c.bare), []byte{','}, in, []byte{','}, []byte(without))
	c.state = clientAwaitFinal
	return base64.StdEncoding.AppendEncode([]byte(without+",p="), c.keys.proof(c.signed)), nil
}

// Verify takes the server-final-message. Without error, the server has the keys of
// the account. Every error wraps [ErrServerNotAuthenticated].
func (c *Client) Verify(in []byte) error {
	if c.state != clientAwaitFinal {
		return c.fail(fmt.Errorf("%w: %w", ErrServerNotAuthenticated, errClientOrder))
	}
	signature, err := parseServerFinal(in)
	if err != nil {
		return c.fail(fmt.Errorf("%w: %w", ErrServerNotAuthenticated, err))
	}
	want := mac(c.choice.Hash, c.keys.ServerKey, c.signed)
	if len(signature) != len(want) || !equal(signature, want) {
		return c.fail(fmt.Errorf("%w: %w", ErrServerNotAuthenticated, errSignature))
	}
	c.state, c.signed = clientDone, nil
	return nil
}

// Login says how it went, once Verify has returned nil; before, it is zero.
func (c *Client) Login() Login {
	if c.state != clientDone {
		return Login{}
	}
	l := c.choice.login(c.o.Pins, c.keys.Iterations, c.listVerified)
	l.Keys = c.keys.clone()
	return l
}

// login is a completed login.
func (c Choice) login(pins Pins, iterations int, listVerified bool) Login {
	return Login{
		Mechanism: c.Mechanism, BindingType: c.Binding.Type, ListVerified: listVerified,
		Iterations: iterations, Pins: pins.after(c, iterations, listVerified), LostSASL2: c.LostSASL2,
	}
}

// fail leaves nothing that a second message could be answered with.
func (c *Client) fail(err error) error {
	clear(c.keys.ClientKey)
	clear(c.keys.ServerKey)
	*c = Client{state: clientFailed, choice: Choice{Mechanism: c.choice.Mechanism}}
	return err
}
