package scram

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"sync"
	"time"
)

// Class is a pair of salt length and iteration count that keys of real
// accounts have.
type Class struct {
	SaltLength int // octets, MinSalt to MaxSalt
	Iterations int // MinIterations to MaxIterations
}

// Decoys makes up keys for accounts that do not exist, or that lack a key for
// a hash, so that an exchange looks the same to the end (RFC 5802 §7,
// unknown-user). The same secret, hash and account always give the same key,
// on every server that shares the secret, unless they are [Decoys.After] others. It does
// not change and is safe for concurrent use.
type Decoys struct {
	macs    *sync.Pool // decoyMACs with the secret, to be used again
	classes []Class
	keys    [SHA512 + 1]Key // StoredKey and ServerKey for each hash, see Key

	earlier *Decoys       // nil for none, see After
	at      time.Time     // when they took the place of earlier
	life    time.Duration // until they show an account, on average
}

// NewDecoys returns decoys from a secret of 32 random octets, which must be
// kept across restarts and used for nothing else. A zero secret is replaced
// by a random one, with which salts change at every restart. Classes lists
// what the real keys look like, a class repeated in proportion to how many
// have it; those out of bounds are dropped, and without any, the defaults of
// [Policy] are taken.
func NewDecoys(secret [32]byte, classes []Class) *Decoys {
	if secret == [32]byte{} {
		rand.Read(secret[:])
	}
	d := &Decoys{macs: &sync.Pool{New: func() any { return &decoyMAC{Hash: hmac.New(sha512.New, secret[:])} }}}
	for _, c := range classes {
		k := Key{Hash: SHA1, Salt: make([]byte, max(c.SaltLength, 0)), Iterations: c.Iterations}
		if k.checkParameters() == nil {
			d.classes = append(d.classes, c)
		}
	}
	if len(d.classes) == 0 {
		d.classes = []Class{{DefaultSaltLength, DefaultIterations}}
	}
	for _, h := range hashes {
		d.keys[h].StoredKey = d.stream("stored key", h, "", h.Size())
		d.keys[h].ServerKey = d.stream("server key", h, "", h.Size())
	}
	return d
}

// decoyMAC is an HMAC, with room for what it is of.
type decoyMAC struct {
	hash.Hash
	in []byte
}

// Key returns the key to show for an account, named by its prepared bare JID.
// No password matches it: its StoredKey is not the hash of anything known. That and
// ServerKey are the same for all accounts: peers never see them, nor anything that is
// made of them, since who cannot prove a password gets no signature. So these two must not
// be modified. The hash must be one of this package's.
func (d *Decoys) Key(h Hash, account string) Key {
	d = d.of(account, time.Now())
	// One class for all hashes of an account: real keys of one account are
	// made together, and a name whose hashes differ would stand out.
	c := d.classes[d.drawn("class", account, len(d.classes))]
	k := d.keys[h]
	k.Hash, k.Iterations = h, c.Iterations
	k.Salt = d.stream("salt", h, account, c.SaltLength)
	return k
}

// draw returns a number below n, the same at every time. What takes no time where
// there is nothing to draw takes none for anybody.
func (d *Decoys) draw(label, account string, n int) int {
	if n == 1 {
		return 0
	}
	d = d.of(account, time.Now())
	return d.drawn(label, account, n)
}

// drawn is draw of these decoys, whichever show the account.
func (d *Decoys) drawn(label, account string, n int) int {
	if n == 1 {
		return 0
	}
	drawn := d.stream(label, 0, account, 8)
	return int(binary.BigEndian.Uint64(drawn) % uint64(n))
}

// stream returns n octets of HMAC(secret, label, mechanism, account, block). NUL cannot
// occur in the first three, which keeps the input unambiguous.
func (d *Decoys) stream(label string, h Hash, account string, n int) []byte {
	m := d.macs.Get().(*decoyMAC)
	defer d.macs.Put(m)
	all := make([]byte, 0, n+sha512.Size-1) // with room for what is cut off
	for block := uint32(0); len(all) < n; block++ {
		m.in = append(append(m.in[:0], label...), 0)
		m.in = append(append(m.in, h.Mechanism()...), 0)
		m.in = append(binary.BigEndian.AppendUint32(m.in, block), account...)
		m.Reset()
		m.Write(m.in)
		all = m.Sum(all)
	}
	return all[:n:n]
}
