package sasl2

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"

	"github.com/propolis-im/propolis/mux"
)

// keys are separate for each purpose (auth-register PW-15).
type keys struct{ client, token, resource, version key }

// key makes HMACs. What they need is kept for the next one.
type key struct{ macs *sync.Pool }

func newKey(secret []byte) key {
	return key{&sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

func deriveKeys(secret [32]byte) (k keys) {
	base := newKey(secret[:])
	for label, key := range map[string]*key{"client": &k.client, "token": &k.token, "resource": &k.resource, "version": &k.version} {
		*key = newKey(base.mac(nil, "sasl2 "+label))
	}
	return k
}

// mac is an HMAC over parts, none of which can be taken for another. The last one
// is octets, nil for none.
func (k key) mac(last []byte, parts ...string) []byte {
	h := k.macs.Get().(hash.Hash)
	defer k.macs.Put(h)
	h.Reset()
	b := make([]byte, 0, 256)
	for _, p := range parts {
		b = append(append(b, p...), 0) // is in no address, name or XML text
	}
	h.Write(b)
	if last != nil {
		h.Write(last)
		h.Write([]byte{0})
	}
	return h.Sum(b[:0])
}

func (k key) text(n int, last []byte, parts ...string) string {
	return base64.RawURLEncoding.EncodeToString(k.mac(last, parts...)[:n])
}

// clientID is what an installation is known by: its own id must not be seen by
// anybody (XEP-0388 §2.3, XEP-0386 §3.2.1).
func (k *keys) clientID(account mux.Address, agent string) string {
	return k.client.text(18, nil, account.String(), agent)
}

// secretOf is the token with a slot id (auth-register FT-4): the store has the id
// only.
func (k *keys) secretOf(account mux.Address, client string, slot string) string {
	return k.token.text(32, nil, account.String(), client, slot)
}

// serverPart is the part of a resource that does not change for an installation
// with the same tag.
func (k *keys) serverPart(account mux.Address, client, tag string) string {
	return k.resource.text(9, nil, account.String(), client, tag)
}

// randomPart is the same for who has no installation.
func randomPart() string { return rand.Text()[:16] }

// versionOf is the version of what is offered (XEP-0509 §2.3).
func (k *keys) versionOf(domain, from string, features []byte) string {
	return base64.StdEncoding.EncodeToString(k.version.mac(features, domain, from)[:18])
}
