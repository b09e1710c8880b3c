package scram

import (
	"crypto/sha512"
	"hash"
	"sync"
)

// macState makes an HMAC (RFC 2104) with a key that is used once. That is what SCRAM
// needs them for, and crypto/hmac would take new memory for each key.
type macState struct {
	hash.Hash
	block [sha512.BlockSize]byte // the key with a pad
	sum   [sha512.Size]byte
}

// macStates are for each hash function. Nothing of a key is left in them.
var macStates = [...]*sync.Pool{SHA1: statesOf(SHA1), SHA256: statesOf(SHA256), SHA512: statesOf(SHA512)}

func statesOf(h Hash) *sync.Pool {
	return &sync.Pool{New: func() any { return &macState{Hash: h.new()} }}
}

// mac is the HMAC of a message.
func mac(h Hash, key, message []byte) []byte {
	m := macStates[h].Get().(*macState)
	defer m.free(h)
	if len(key) > m.BlockSize() {
		key = digest(h, key)
	}
	m.begin(key, 0x36)
	m.Write(message)
	inner := m.Sum(m.sum[:0])
	m.begin(key, 0x5c)
	m.Write(inner)
	return m.Sum(make([]byte, 0, h.Size()))
}

// begin begins a hash with the key, each octet of whose block is changed by pad.
func (m *macState) begin(key []byte, pad byte) {
	block := m.block[:m.BlockSize()]
	for i := range block {
		block[i] = pad
	}
	for i, b := range key {
		block[i] ^= b
	}
	m.Reset()
	m.Write(block)
}

// free leaves the state to others.
func (m *macState) free(h Hash) {
	m.wipe()
	macStates[h].Put(m)
}

// wipe leaves nothing of a key. A hash that is reset still has what did not fill a block,
// such as a ClientKey: that is written over.
func (m *macState) wipe() {
	clear(m.block[:])
	clear(m.sum[:])
	block := m.block[:m.BlockSize()]
	m.Reset()
	m.Write(block[:1])
	m.Write(block)
	m.Reset()
}

// digest is the hash of a message.
func digest(h Hash, message []byte) []byte {
	m := macStates[h].Get().(*macState)
	defer m.free(h)
	m.Write(message)
	return m.Sum(make([]byte, 0, h.Size()))
}
