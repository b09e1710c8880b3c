package smacks

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"github.com/propolis-im/propolis/mux"
)

// A token is what a client resumes with: the ID of the session, to find it by, and
// a secret of 128 bits (smacks SM-17).
const tokenSize = 32

// newToken makes the token of a session, and what is kept of it.
func newToken(id mux.SessionID) (token string, secret [32]byte) {
	var b [tokenSize]byte
	copy(b[:], id[:])
	_, _ = rand.Read(b[len(id):]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:]), sha256.Sum256(b[len(id):])
}

// parseToken takes a token apart. What is none belongs to no session.
func parseToken(s string) (id mux.SessionID, secret [32]byte, ok bool) {
	if len(s) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return id, secret, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != tokenSize {
		return id, secret, false
	}
	copy(id[:], b)
	return id, sha256.Sum256(b[len(id):]), true
}

func sameSecret(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
