package scram_test

import (
	"crypto/hmac"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// judge is a server that signs whatever was sent: it says whether the proof of a
// client-final-message is right, and what the server-final-message is. It is written
// from RFC 5802 alone.
func judge(t testing.TB, k scram.Key, bare, challenge, final string) (success string, ok bool) {
	t.Helper()
	without, proof, found := strings.Cut(final, ",p=")
	if !found {
		t.Fatalf("no proof in %q", final)
	}
	p, err := base64.StdEncoding.DecodeString(proof)
	if err != nil {
		t.Fatal(err)
	}
	h := testHashes[k.Hash.Mechanism()]
	signed := []byte(bare + "," + challenge + "," + without)
	m := hmac.New(h, k.StoredKey)
	m.Write(signed)
	for i, b := range m.Sum(nil) {
		if i < len(p) {
			p[i] ^= b
		}
	}
	stored := h()
	stored.Write(p)
	s := hmac.New(h, k.ServerKey)
	s.Write(signed)
	return "v=" + base64.StdEncoding.EncodeToString(s.Sum(nil)), string(stored.Sum(nil)) == string(k.StoredKey)
}
