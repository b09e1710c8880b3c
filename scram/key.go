package scram

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/subtle"
	"errors"
	"fmt"
)

// Bounds of what a [Key] may hold.
const (
	MinIterations = 4096      // RFC 5802 §5.1 and RFC 7677 §4 ask servers for no less
	MaxIterations = 5_000_000 // about a second of work, so that no record can stall a server
	MinSalt       = 8         // octets
	MaxSalt       = 1024      // octets
)

// Key is what a server keeps of one password for one hash function (RFC 5802
// §3). It is a value: its slices are shared between copies and must not be
// modified.
type Key struct {
	Hash       Hash
	Salt       []byte // MinSalt to MaxSalt octets
	Iterations int    // MinIterations to MaxIterations
	StoredKey  []byte // Hash.Size octets
	ServerKey  []byte // Hash.Size octets
}

// ErrKey is wrapped by every error about a key that breaks the bounds or is
// no key at all.
var ErrKey = errors.New("scram: invalid key")

// NewKey derives the key of a password that went through [PreparePassword].
// It does iterations rounds of PBKDF2, about 16 ms of one core at 100,000
// with SHA-256; [Pool] bounds how many of those run at a time. The error
// wraps [ErrKey] if a parameter is out of bounds. The salt is kept.
func NewKey(h Hash, prepared string, salt []byte, iterations int) (Key, error) {
	k := Key{Hash: h, Salt: salt, Iterations: iterations}
	if err := k.checkParameters(); err != nil {
		return Key{}, err
	}
	salted, err := pbkdf2.Key(h.new, prepared, salt, iterations, h.Size())
	if err != nil {
		return Key{}, fmt.Errorf("scram: derive key: %w", err)
	}
	k.setSalted(salted)
	clear(salted) // RFC 5802 §9: it stands in for the password
	return k, nil
}

// setSalted makes the keys that are kept of a SaltedPassword (RFC 5802 §3).
func (k *Key) setSalted(salted []byte) {
	clientKey := mac(k.Hash, salted, clientKeyLabel)
	k.StoredKey = digest(k.Hash, clientKey)
	k.ServerKey = mac(k.Hash, salted, serverKeyLabel)
	clear(clientKey) // RFC 5802 §9, as well
}

// RFC 5802 §3.
var (
	clientKeyLabel = []byte("Client Key")
	serverKeyLabel = []byte("Server Key")
)

// Matches reports whether the key was derived from this password, which must
// have gone through [PreparePassword]. It costs as much as [NewKey]; the
// comparison takes constant time.
func (k Key) Matches(prepared string) (bool, error) {
	if err := k.Check(); err != nil {
		return false, err
	}
	got, err := NewKey(k.Hash, prepared, k.Salt, k.Iterations)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got.StoredKey, k.StoredKey) == 1, nil
}

// Check returns an error that wraps [ErrKey] if the key is not complete and
// within bounds.
func (k Key) Check() error {
	if err := k.checkParameters(); err != nil {
		return err
	}
	if size := k.Hash.Size(); len(k.StoredKey) != size || len(k.ServerKey) != size {
		return fmt.Errorf("%w: StoredKey or ServerKey is not %d octets long", ErrKey, size)
	}
	return nil
}

func (k Key) checkParameters() error {
	switch {
	case k.Hash.Size() == 0:
		return fmt.Errorf("%w: unknown hash function", ErrKey)
	case k.Iterations < MinIterations || k.Iterations > MaxIterations:
		return fmt.Errorf("%w: %d iterations", ErrKey, k.Iterations)
	case len(k.Salt) < MinSalt || len(k.Salt) > MaxSalt:
		return fmt.Errorf("%w: salt of %d octets", ErrKey, len(k.Salt))
	}
	return nil
}

// Equal reports whether both are the same key. It takes constant time for
// keys of the same lengths.
func (k Key) Equal(o Key) bool {
	same := subtle.ConstantTimeCompare(k.StoredKey, o.StoredKey) &
		subtle.ConstantTimeCompare(k.ServerKey, o.ServerKey)
	return same == 1 && k.Hash == o.Hash && k.Iterations == o.Iterations && bytes.Equal(k.Salt, o.Salt)
}

// clone returns a copy that shares nothing with k.
func (k Key) clone() Key {
	k, _ = k.copyInto(make([]byte, 0, k.octets()))
	return k
}

// octets is how many a copy needs.
func (k Key) octets() int { return len(k.Salt) + len(k.StoredKey) + len(k.ServerKey) }

// copyInto returns a copy whose octets are behind those of all, where room for them is.
func (k Key) copyInto(all []byte) (Key, []byte) {
	for _, part := range [...]*[]byte{&k.Salt, &k.StoredKey, &k.ServerKey} {
		from := len(all)
		all = append(all, *part...)
		*part = all[from:len(all):len(all)]
	}
	return k, all
}

// verify checks the client's proof against the message both sides signed
// (RFC 5802 §3): the proof is ClientKey XOR HMAC(StoredKey, AuthMessage), and
// StoredKey is H(ClientKey). The key must be complete.
func (k Key) verify(authMessage, proof []byte) bool {
	if len(proof) != k.Hash.Size() {
		return false
	}
	clientKey := mac(k.Hash, k.StoredKey, authMessage)
	subtle.XORBytes(clientKey, clientKey, proof)
	stored := digest(k.Hash, clientKey)
	clear(clientKey)
	return subtle.ConstantTimeCompare(stored, k.StoredKey) == 1
}

// serverSignature is what proves to the client that the server holds the key.
func (k Key) serverSignature(authMessage []byte) []byte {
	return mac(k.Hash, k.ServerKey, authMessage)
}
