package scram

import (
	"context"
	"strings"

	"mellium.im/xmpp/jid"
)

// Exchange is one run of a mechanism. It must not be used by several
// goroutines at once.
type Exchange struct {
	a         *Authenticator
	host      string
	mechanism string
	asked     bool     // the client was asked for its first message
	next      stepFunc // nil after the end

	claimed    string
	account    string
	generation int64
	binding    string
}

// stepFunc is what is done with the next message. It sets Exchange.next if
// another one is to come.
type stepFunc func(ctx context.Context, in []byte) (out []byte, done bool, err error)

// Step takes the next message of the client and returns the answer. With
// done, the client is authenticated and out goes with the success; it is nil
// if there is nothing to send. Without, out is the next challenge, which may
// be empty: nil for in means that the client sent no initial response, and is
// answered by an empty challenge once.
//
// The error is a [*Failure]. After it, and after done, the exchange is over
// and every further message is malformed.
func (e *Exchange) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	next := e.next
	if next == nil {
		return nil, false, fail(MalformedRequest, errOrder)
	}
	if in == nil && !e.asked {
		e.asked = true
		return []byte{}, false, nil
	}
	e.asked, e.next = true, nil
	out, done, err = next(ctx, in)
	if err != nil {
		e.next = nil
		return nil, false, err
	}
	return out, done, nil
}

// Mechanism returns the name of the mechanism.
func (e *Exchange) Mechanism() string { return e.mechanism }

// Account returns the bare JID of the account that was authenticated, and the
// empty string as long as none was. It is the only identity an exchange
// proves.
func (e *Exchange) Account() string { return e.account }

// Claimed returns the bare JID of the account that the client wants to be, whether
// there is one or not, and the empty string as long as it has named none. It proves
// nothing, and is for counting failures.
func (e *Exchange) Claimed() string { return e.claimed }

// Generation returns the generation of the credentials that were in force at
// the end of the exchange. It is 0 as long as Account is empty.
func (e *Exchange) Generation() int64 { return e.generation }

// ChannelBinding returns the type of the channel binding that the login is bound
// to: the client has proved its password to this end of this very connection. It
// is the empty string if there is none, and as long as Account is empty.
func (e *Exchange) ChannelBinding() string { return e.binding }

// name returns the account that a username means on this host. A name that
// cannot be anybody's is refused at once, since that tells nothing.
func (e *Exchange) name(username string) (string, error) {
	local, err := PrepareLocalpart(username)
	if err != nil {
		return "", fail(NotAuthorized, err)
	}
	e.claimed = local + "@" + e.host
	return e.claimed, nil
}

// finish ends the exchange successfully, unless the client wants to act for
// somebody else (RFC 6120 §6.3.8). It must be called after the password was
// verified only.
func (e *Exchange) finish(account string, generation int64, authzid string) error {
	if authzid != "" && bareJID(authzid) != account {
		return fail(InvalidAuthzid, errAuthzid)
	}
	e.account, e.generation = account, generation
	return nil
}

// bareJID prepares an authorization identity, and returns the empty string if
// it is not a bare JID with a localpart.
func bareJID(authzid string) string {
	j, err := jid.Parse(authzid)
	if err != nil || j.Resourcepart() != "" {
		return ""
	}
	local, err := PrepareLocalpart(j.Localpart())
	if err != nil {
		return ""
	}
	return local + "@" + strings.ToLower(j.Domainpart())
}

// scramRun is an exchange with SCRAM.
type scramRun struct {
	e          *Exchange
	hash       Hash
	server     *Server
	account    string
	authzid    string
	binding    string
	generation int64
	refusal    error // why the account cannot log in whatever the proof; nil if it can
}

// first handles the client-first-message.
func (r *scramRun) first(ctx context.Context, in []byte) ([]byte, bool, error) {
	m, err := r.server.First(in)
	if err != nil {
		return nil, false, err
	}
	r.authzid, r.binding = m.Authzid, m.Binding
	if r.account, err = r.e.name(m.Username); err != nil {
		return nil, false, err
	}
	c, known, err := r.e.a.lookup(ctx, r.account)
	if err != nil {
		return nil, false, err
	}
	// Made for everybody, so that it takes its time for everybody.
	decoy := r.e.a.decoys.Key(r.hash, r.account)
	key, ok := c.Key(r.hash)
	switch {
	case !known:
		key, r.refusal = decoy, errUnknownUser
	case !ok:
		key, r.refusal = decoy, errNoKey
	}
	r.generation = c.Generation
	out, err := r.server.Challenge(key)
	if err != nil {
		return nil, false, err
	}
	r.e.next = r.final
	return out, false, nil
}

// final handles the client-final-message.
func (r *scramRun) final(ctx context.Context, in []byte) ([]byte, bool, error) {
	out, err := r.server.Final(in)
	if err != nil {
		return nil, false, err
	}
	if r.refusal != nil {
		return nil, false, fail(NotAuthorized, r.refusal)
	}
	if err := r.e.a.confirm(ctx, r.account, r.generation); err != nil {
		return nil, false, err
	}
	if err := r.e.finish(r.account, r.generation, r.authzid); err != nil {
		return nil, false, err
	}
	r.e.binding = r.binding
	return out, true, nil
}
