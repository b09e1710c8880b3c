package sasl2

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/propolis-im/propolis/mux"
)

// keys are separate for each purpose (auth-register PW-15).
type keys struct{ client, token, resource, version [32]byte }

func deriveKeys(secret [32]byte) (k keys) {
	for label, key := range map[string]*[32]byte{"client": &k.client, "token": &k.token, "resource": &k.resource, "version": &k.version} {
		copy(key[:], mac(secret, "sasl2 "+label))
	}
	return k
}

// mac is an HMAC over parts, none of which can be taken for another.
func mac(key [32]byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0}) // is in no address, name or XML text
	}
	return h.Sum(nil)
}

func macText(n int, key [32]byte, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString(mac(key, parts...)[:n])
}

// clientID is what an installation is known by: its own id must not be seen by
// anybody (XEP-0388 §2.3, XEP-0386 §3.2.1).
func (k *keys) clientID(account mux.Address, agent string) string {
	return macText(18, k.client, account.String(), agent)
}

// secretOf is the token with a slot id (auth-register FT-4): the store has the id
// only.
func (k *keys) secretOf(account mux.Address, client string, slot string) string {
	return macText(32, k.token, account.String(), client, slot)
}

// serverPart is the part of a resource that does not change for an installation
// with the same tag.
func (k *keys) serverPart(account mux.Address, client, tag string) string {
	return macText(9, k.resource, account.String(), client, tag)
}

// randomPart is the same for who has no installation.
func randomPart() string { return rand.Text()[:16] }

// versionOf is the version of what is offered (XEP-0509 §2.3).
func (k *keys) versionOf(domain, from string, features []byte) string {
	return base64.StdEncoding.EncodeToString(mac(k.version, domain, from, string(features))[:18])
}
