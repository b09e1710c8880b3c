package sasl2

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"
	"sync/atomic"

	"github.com/propolis-im/propolis/mux"
)

// keys are separate for each purpose (auth-register PW-15).
type keys struct{ client, session, token, resource, version key }

// key makes HMACs. What they need is kept for the next one.
type key struct{ macs *sync.Pool }

func newKey(secret []byte) key {
	return key{&sync.Pool{New: func() any { return &keyMAC{Hash: hmac.New(sha256.New, secret)} }}}
}

// keyMAC is an HMAC, with room for what it is of, for itself and for its text.
type keyMAC struct {
	hash.Hash
	in   []byte
	sum  [sha256.Size]byte
	text [44]byte // base64 of a whole one
}

func deriveKeys(secret [32]byte) (k keys) {
	base := newKey(secret[:])
	for label, key := range map[string]*key{"client": &k.client, "session": &k.session, "token": &k.token, "resource": &k.resource, "version": &k.version} {
		*key = newKey(base.mac(nil, "sasl2 "+label))
	}
	return k
}

// mac is an HMAC over parts, none of which can be taken for another. The last one
// is octets, nil for none.
func (k key) mac(last []byte, parts ...string) []byte {
	h := k.macs.Get().(*keyMAC)
	defer k.macs.Put(h)
	return bytes.Clone(h.of(last, parts))
}

// of is the HMAC, in h.
func (h *keyMAC) of(last []byte, parts []string) []byte {
	h.Reset()
	h.in = h.in[:0]
	for _, p := range parts {
		h.in = append(append(h.in, p...), 0) // is in no address, name or XML text
	}
	h.Write(h.in)
	if last != nil {
		h.Write(last)
		h.Write(zero[:])
	}
	return h.Sum(h.sum[:0])
}

var zero [1]byte

// text is n octets of the HMAC as a text.
func (k key) text(coding *base64.Encoding, n int, last []byte, parts ...string) string {
	h := k.macs.Get().(*keyMAC)
	defer k.macs.Put(h)
	return string(coding.AppendEncode(h.text[:0], h.of(last, parts)[:n]))
}

// clientID is what an installation is known by: its own id must not be seen by
// anybody (XEP-0388 §2.3, XEP-0386 §3.2.1).
func (k *keys) clientID(account mux.Address, agent string) string {
	return k.client.text(base64.RawURLEncoding, 18, nil, account.String(), agent)
}

// secretOf is the token with a slot id (auth-register FT-4): the store has the id
// only.
func (k *keys) secretOf(account mux.Address, client string, slot string) string {
	return k.token.text(base64.RawURLEncoding, 32, nil, account.String(), client, slot)
}

// serverPart is the part of a resource that does not change for an installation
// with the same tag.
func (k *keys) serverPart(account mux.Address, client, tag string) string {
	return k.resource.text(base64.RawURLEncoding, 9, nil, account.String(), client, tag)
}

// randomPart is the same for who has no installation.
func randomPart() string { return rand.Text()[:16] }

// versionOf is the version of what is offered (XEP-0509 §2.3), of which that is the
// digest.
func (k *keys) versionOf(domain, from string, features []byte) string {
	return k.version.text(base64.StdEncoding, 18, features, domain, from)
}

// digests remembers the hash of the features that were sent last: they are long, and
// the same on most streams.
type digests struct{ last atomic.Pointer[digest] }

type digest struct {
	text string
	sum  [sha256.Size]byte
}

func (d *digests) of(features []byte) []byte {
	if last := d.last.Load(); last != nil && last.text == string(features) {
		return last.sum[:]
	}
	now := &digest{string(features), sha256.Sum256(features)}
	d.last.Store(now)
	return now.sum[:]
}
