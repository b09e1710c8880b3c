package scram

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"strings"
	"testing"
)

// TestMAC compares with crypto/hmac, for keys as long as a hash and others.
func TestMAC(t *testing.T) {
	t.Parallel()
	for _, h := range hashes {
		for _, n := range []int{0, 1, h.Size(), 63, 64, 65, 127, 128, 129, 300} {
			key := bytes.Repeat([]byte{byte(n), 0x5c, 0x36}, n)[:n]
			for _, message := range []string{"", "Client Key", string(make([]byte, 1000))} {
				want := hmac.New(h.new, key)
				want.Write([]byte(message))
				if got := mac(h, key, []byte(message)); !bytes.Equal(got, want.Sum(nil)) {
					t.Errorf("%v, key of %d octets, message of %d: got %x", h, n, len(message), got)
				}
			}
		}
	}
}

// TestMACLeavesNothing: the key is not in what is kept for the next one.
func TestMACLeavesNothing(t *testing.T) {
	t.Parallel()
	m := &macState{Hash: SHA256.new()}
	m.begin(bytes.Repeat([]byte{7}, 32), 0x36)
	m.Sum(m.sum[:0])
	m.wipe()
	if *m != (macState{Hash: m.Hash}) || !bytes.Equal(m.Sum(nil), SHA256.new().Sum(nil)) {
		t.Error("something is left of a key")
	}
}

// TestMACLeavesNothingInHash: nor is it in the block that a hash has begun, which Reset
// leaves as it is.
func TestMACLeavesNothingInHash(t *testing.T) {
	t.Parallel()
	for _, h := range hashes {
		m := &macState{Hash: h.new()}
		key := bytes.Repeat([]byte{'k'}, h.Size()) // the same in all
		m.Write(key)
		is := func() bool { return strings.Contains(fmt.Sprint(m.Hash), strings.Trim(fmt.Sprint(key), "[]")) }
		if !is() {
			t.Fatalf("%v: a hash looks different: %v", h, m.Hash)
		}
		if m.wipe(); is() {
			t.Errorf("%v: a key is left in %v", h, m.Hash)
		}
	}
}
