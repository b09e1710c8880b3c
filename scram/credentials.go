package scram

import (
	"crypto/rand"
	"slices"
	"time"
)

// Credentials is everything kept to authenticate one account. It is a value:
// its keys are shared between copies and must not be modified.
type Credentials struct {
	// Keys holds at most one key for each hash function. An account without
	// keys exists but cannot log in by password.
	Keys []Key
	// Generation is different after every Update, and stays when keys of the same
	// password are added or renewed. It is set by the store; a name that was
	// removed and created again does not get an old one back. Compare for equality
	// only.
	Generation int64
	// Disabled refuses login, which shows only to those who know the password.
	Disabled bool
	// Closing is when the account is to be removed, with all that it has: at that
	// moment or as soon as possible after it. Until then nobody can log in, whatever
	// Disabled says. Zero means that it stays.
	Closing time.Time
	// Created and Updated are set by the store. Create keeps a Created that
	// is not zero, for imports.
	Created, Updated time.Time
}

// Key returns the key for a hash function and whether there is one.
func (c Credentials) Key(h Hash) (Key, bool) {
	for _, k := range c.Keys {
		if k.Hash == h {
			return k, true
		}
	}
	return Key{}, false
}

// Strongest returns the key with the strongest hash function, and false if
// there are no keys.
func (c Credentials) Strongest() (Key, bool) {
	if len(c.Keys) == 0 {
		return Key{}, false
	}
	return slices.MaxFunc(c.Keys, func(a, b Key) int { return int(a.Hash) - int(b.Hash) }), true
}

// Refuses reports whether nobody is let in, whatever the password.
func (c Credentials) Refuses() bool { return c.Disabled || !c.Closing.IsZero() }

// Clone returns a copy that shares nothing with c.
func (c Credentials) Clone() Credentials {
	n := 0
	for _, k := range c.Keys {
		n += k.octets()
	}
	all := make([]byte, 0, n) // one piece of memory for all octets
	c.Keys = slices.Clone(c.Keys)
	for i, k := range c.Keys {
		c.Keys[i], all = k.copyInto(all)
	}
	return c
}

// Defaults of [Policy].
const (
	DefaultIterations = 100_000
	DefaultFloor      = 10_000 // XEP-0438 §6.2
	DefaultSaltLength = 16     // octets
)

// Policy says how keys are derived from passwords. The zero value is ready to
// use.
type Policy struct {
	// Iterations of PBKDF2 for each hash; 0 means DefaultIterations. Values
	// outside Floor to MaxIterations are moved to the nearer end.
	Iterations int
	// Floor is the least number of iterations; 0 means DefaultFloor. Below
	// MinIterations it cannot be.
	Floor int
	// SaltLength in octets; 0 means DefaultSaltLength, which is also the
	// least; more than MaxSalt is cut to that.
	SaltLength int
	// Hashes are those a key is kept for; none means all.
	Hashes []Hash
}

// normal returns the policy with defaults in place and bounds enforced.
func (p Policy) normal() Policy {
	if p.Iterations == 0 {
		p.Iterations = DefaultIterations
	}
	if p.Floor == 0 {
		p.Floor = DefaultFloor
	}
	p.Iterations = min(max(p.Iterations, p.Floor, MinIterations), MaxIterations)
	p.SaltLength = min(max(p.SaltLength, DefaultSaltLength), MaxSalt)
	var known []Hash
	for _, h := range hashes {
		if slices.Contains(p.Hashes, h) {
			known = append(known, h)
		}
	}
	if len(known) == 0 {
		known = Hashes()
	}
	p.Hashes = known
	return p
}

// NewCredentials derives keys for every hash of the policy, each with a salt
// of its own, from a password as it was typed; it is prepared here but not
// judged, see [PasswordRules]. The error wraps [ErrPassword] if the password
// cannot be used. It costs one [NewKey] for each hash.
func NewCredentials(password string, p Policy) (Credentials, error) {
	prepared, err := PreparePassword(password)
	if err != nil {
		return Credentials{}, err
	}
	keys, err := Credentials{}.lacking(prepared, p.normal())
	return Credentials{Keys: keys}, err
}

// without returns a copy of the keys for all hashes but one.
func (c Credentials) without(h Hash) []Key {
	return slices.DeleteFunc(slices.Clone(c.Keys), func(k Key) bool { return k.Hash == h })
}

// stale reports whether any key is lacking.
func (c Credentials) stale(p Policy) bool {
	return slices.ContainsFunc(p.Hashes, func(h Hash) bool { return c.needs(h, p) })
}

// needs reports whether the key for h is missing or below the policy.
func (c Credentials) needs(h Hash, p Policy) bool {
	k, ok := c.Key(h)
	return !ok || k.Iterations < p.Iterations
}

// lacking returns new keys where the policy finds them missing or too weak
// (XEP-0438 §6.2). The policy must be normal.
func (c Credentials) lacking(prepared string, p Policy) ([]Key, error) {
	var keys []Key
	for _, h := range p.Hashes {
		if !c.needs(h, p) {
			continue
		}
		salt := make([]byte, p.SaltLength)
		rand.Read(salt) // never fails; a salt for each hash and account (RFC 5802 §4)
		k, err := NewKey(h, prepared, salt, p.Iterations)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
