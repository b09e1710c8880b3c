// Package scram implements the SASL mechanisms SCRAM-SHA-1 (RFC 5802),
// SCRAM-SHA-256 (RFC 7677) and SCRAM-SHA-512, their variants with channel
// binding (-PLUS; RFC 5929, RFC 9266, XEP-0440 version 1.0.0), and PLAIN (RFC
// 4616), for servers and clients. The credentials that servers check follow
// XEP-0438: Best Practices for Password Hashing and Storage, version 0.2.0. What a
// server lists is protected by XEP-0474: SASL SCRAM Downgrade Protection, version
// 0.5.0, and XEP-0515, version 0.1.0; XEP-0480: SASL Upgrade Tasks, version
// 0.2.0, add keys for stronger hashes.
//
// It knows neither XML nor networks, so it serves any protocol with SASL; only
// [Features] and [Mechanisms] are for clients over mellium's sessions.
//
// # Use
//
// [New] makes an [Authenticator] over a [Store]; [Authenticator.On] says what it
// offers on a connection, and [Offer.Start] begins one [Exchange], which is fed
// the decoded messages of the client until it is done and then names the account.
// Where there is no TLS, or somebody else ends it, [Authenticator.Start] does.
// The client's side is [Choose] and [NewClient].
//
// Below it lie pure parts that perform no I/O: [Server] is the state machine of
// one SCRAM exchange, [Key] what is kept of a password, [BindingData] and
// [ListHash] what channel binding and the protection of lists compare,
// [PreparePassword] and [PrepareName] the preparation of what people type,
// [Decoys] the records of accounts that do not exist.
//
// # Security
//
// Only salt, iteration count, StoredKey and ServerKey are kept, never the
// password, SaltedPassword or ClientKey (RFC 5802 §9). StoredKey still allows
// guessing offline and ServerKey allows posing as the server, so a store
// deserves protection nevertheless.
//
// An exchange does not tell whether an account exists: unknown users get a
// salt and an iteration count that stay the same at every try, the same work
// is done for them to the end, and then the same not-authorized. For that
// [Options.Secret] must be kept across restarts, and [Options.Classes] and
// [Options.HashSets] must describe the real records: a login with PLAIN takes the
// time of the strongest key an account has, and for unknown users that of one
// drawn from there.
//
// Channel binding is of use if clients insist on it. A client that claims that it
// could bind if only the server could ('y') is refused where the server can, since
// somebody has shortened the list in between; [Options.LenientY] gives that up for
// clients that know none of the types on offer and are wrong about it.
//
// PLAIN shows the server the password; offer it inside TLS only. This package
// cannot see the transport and leaves that check, as well as the limits on
// attempts and on time per step, to its caller.
package scram

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// Plain is the name of the PLAIN mechanism (RFC 4616).
const Plain = "PLAIN"

// Hash is one of the hash functions SCRAM is defined with. Stronger ones
// compare greater. The zero value is none.
type Hash uint8

// The hash functions, weakest first. SHA-512 has no RFC; it is the same
// algorithm and widely deployed.
const (
	SHA1   Hash = iota + 1 // RFC 5802
	SHA256                 // RFC 7677
	SHA512                 // draft-melnikov-scram-sha-512
)

// hashes lists all, strongest first.
var hashes = [...]Hash{SHA512, SHA256, SHA1}

// Hashes returns all hash functions of this package, strongest first.
func Hashes() []Hash {
	h := hashes
	return h[:]
}

// Mechanism returns the name of the SASL mechanism with this hash and without
// channel binding, such as SCRAM-SHA-256; the empty string if h is none of
// the constants.
func (h Hash) Mechanism() string {
	switch h {
	case SHA1:
		return "SCRAM-SHA-1"
	case SHA256:
		return "SCRAM-SHA-256"
	case SHA512:
		return "SCRAM-SHA-512"
	}
	return ""
}

// String returns the name of the hash function, such as SHA-256.
func (h Hash) String() string {
	if name := h.Mechanism(); name != "" {
		return name[len("SCRAM-"):]
	}
	return "unknown hash"
}

// Size returns the length of the hash in octets, 0 if h is none of the
// constants.
func (h Hash) Size() int {
	switch h {
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case SHA512:
		return sha512.Size
	}
	return 0
}

// states make the states of hash functions.
var states = [...]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New, SHA512: sha512.New}

// new returns a hash state; h must be valid.
func (h Hash) new() hash.Hash { return states[h]() }

// ParseMechanism returns the hash of the SCRAM mechanism of that name and
// whether there is one. Names are compared exactly (RFC 6120 §6.3.3); those
// with channel binding are unknown here.
func ParseMechanism(name string) (Hash, bool) {
	for _, h := range hashes {
		if h.Mechanism() == name {
			return h, true
		}
	}
	return 0, false
}
