package scram

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"fmt"
	"strconv"
)

// ClientKeys stand in for a password with one account, hash, salt and iteration
// count, so that a client can forget the password (XEP-0438 §5.2). Whoever has
// them can log in: keep them as protected as a password. It is a value whose
// slices are shared between copies and must not be modified.
type ClientKeys struct {
	Hash       Hash
	Salt       []byte
	Iterations int
	ClientKey  []byte
	ServerKey  []byte
}

// NewClientKeys derives keys from a password that went through
// [PreparePassword], as [SaltPassword] does. The salt is kept.
func NewClientKeys(ctx context.Context, h Hash, prepared string, salt []byte, iterations int) (ClientKeys, error) {
	salted, err := SaltPassword(ctx, h, prepared, salt, iterations)
	if err != nil {
		return ClientKeys{}, err
	}
	defer clear(salted)
	return ClientKeysOf(h, salted, salt, iterations)
}

// ClientKeysOf makes the keys of a SaltedPassword. The salt is kept. The error
// wraps [ErrKey]: unknown hash, or wrong length.
func ClientKeysOf(h Hash, salted, salt []byte, iterations int) (ClientKeys, error) {
	if h.Size() == 0 || len(salted) != h.Size() {
		return ClientKeys{}, fmt.Errorf("%w: hash and length of SaltedPassword do not fit", ErrKey)
	}
	return ClientKeys{
		Hash: h, Salt: salt, Iterations: iterations,
		ClientKey: mac(h, salted, clientKeyLabel),
		ServerKey: mac(h, salted, serverKeyLabel),
	}, nil
}

// roundsPerCheck is how many rounds are made between two looks at the context:
// half a millisecond with SHA-512 on a desktop computer.
const roundsPerCheck = 1024

// SaltPassword computes SaltedPassword (RFC 5802 §2.2, Hi): PBKDF2 with one
// block of output, over a password that went through [PreparePassword]. It gives
// up with the error of the context once that is done. Other errors wrap [ErrKey].
func SaltPassword(ctx context.Context, h Hash, prepared string, salt []byte, iterations int) ([]byte, error) {
	if h.Size() == 0 || iterations < 1 {
		return nil, fmt.Errorf("%w: unknown hash or %d iterations", ErrKey, iterations)
	}
	prf := hmac.New(h.new, []byte(prepared))
	prf.Write(salt)
	prf.Write([]byte{0, 0, 0, 1}) // INT(1): the first block
	u := prf.Sum(nil)
	defer clear(u)
	salted := bytes.Clone(u)
	for n := 1; n < iterations; n++ {
		if n%roundsPerCheck == 0 && ctx.Err() != nil {
			clear(salted)
			return nil, ctx.Err()
		}
		prf.Reset()
		prf.Write(u)
		u = prf.Sum(u[:0])
		subtle.XORBytes(salted, salted, u)
	}
	return salted, nil
}

// fits reports whether the keys are for these parameters, and complete.
func (k ClientKeys) fits(h Hash, salt []byte, iterations int) bool {
	return k.Hash == h && k.Iterations == iterations && bytes.Equal(k.Salt, salt) &&
		len(k.ClientKey) == h.Size() && len(k.ServerKey) == h.Size()
}

// proof is what shows the server that the client has the keys (RFC 5802 §3).
func (k ClientKeys) proof(signed []byte) []byte {
	p := mac(k.Hash, digest(k.Hash, k.ClientKey), signed)
	subtle.XORBytes(p, p, k.ClientKey)
	return p
}

func (k ClientKeys) clone() ClientKeys {
	k.Salt = bytes.Clone(k.Salt)
	k.ClientKey = bytes.Clone(k.ClientKey)
	k.ServerKey = bytes.Clone(k.ServerKey)
	return k
}

// String names hash and iteration count only, so that keys printed by accident
// give nothing away.
func (k ClientKeys) String() string {
	return k.Hash.Mechanism() + "$" + strconv.Itoa(k.Iterations)
}

// GoString is String, for %#v.
func (k ClientKeys) GoString() string { return k.String() }
