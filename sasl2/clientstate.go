package sasl2

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"
)

// ClientState is what a client keeps of an account, in any form it likes; fields
// are exported for that. It is as secret as a password, and must not go to another
// installation, nor into backups (XEP-0484 §6). It is a value whose slices are not
// modified.
type ClientState struct {
	// Agent is the id of the installation with this account, a random UUID that is
	// made at the first login (XEP-0388 §2.3).
	Agent string `json:",omitempty"`
	// Tokens are those that may work, newest first.
	Tokens []ClientToken `json:",omitempty"`
	// SASL2 says that the server had this profile.
	SASL2 bool `json:",omitempty"`
	// Offer is what the server listed last, if it is of use (XEP-0509).
	Offer *Offer `json:",omitempty"`
}

// ClientToken is a token to log in with.
type ClientToken struct {
	Mechanism string
	Secret    string
	Expires   time.Time
	Count     int64 // how often it was sent
}

// String names the mechanism only.
func (t ClientToken) String() string { return t.Mechanism }

// GoString is String, for %#v.
func (t ClientToken) GoString() string { return t.Mechanism }

// keptTokens is how many tokens are kept: the new one, and the one before until the
// new one has worked (auth-register FT-15).
const keptTokens = 2

// without leaves out a token.
func (s ClientState) without(t ClientToken) ClientState {
	s.Tokens = slices.DeleteFunc(slices.Clone(s.Tokens), func(o ClientToken) bool { return o.Secret == t.Secret })
	return s
}

// using counts one use of a token, which is returned as it is then.
func (s ClientState) using(t ClientToken) (ClientState, ClientToken) {
	s.Tokens = slices.Clone(s.Tokens)
	for i := range s.Tokens {
		if s.Tokens[i].Secret == t.Secret {
			s.Tokens[i].Count++
			return s, s.Tokens[i]
		}
	}
	return s, t
}

// worked leaves of the tokens the one that was used, which has made the others void
// (XEP-0484 §3.5).
func (s ClientState) worked(t ClientToken) ClientState {
	s.Tokens = []ClientToken{t}
	return s
}

// with adds a new token.
func (s ClientState) with(t ClientToken) ClientState {
	s.Tokens = append([]ClientToken{t}, s.Tokens...)
	s.Tokens = s.Tokens[:min(len(s.Tokens), keptTokens)]
	return s
}

// newAgent makes a UUID of version 4 (RFC 9562 §5.4).
func newAgent() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
