package scram_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"hash"
	"strconv"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// testClient is a SCRAM client written from RFC 5802 alone, which does what
// it is told, right or wrong.
type testClient struct {
	mechanism string
	password  string
	header    string // gs2-header; default n,,
	bare      string // client-first-message-bare
	binding   string // sent in c=; default header
	nonce     string // sent in r= of the last message; default the server's
	extra     string // extensions of the last message, with a leading comma
}

var testHashes = map[string]func() hash.Hash{
	"SCRAM-SHA-1": sha1.New, "SCRAM-SHA-256": sha256.New, "SCRAM-SHA-512": sha512.New,
}

func (c *testClient) first() []byte {
	if c.header == "" {
		c.header = "n,,"
	}
	if c.bare == "" {
		c.bare = "n=user,r=" + clientNonce
	}
	return []byte(c.header + c.bare)
}

// final answers a challenge, and returns what the server has to send then.
func (c *testClient) final(t testing.TB, challenge []byte) (message []byte, success string) {
	t.Helper()
	parts := strings.Split(string(challenge), ",")
	if len(parts) < 3 || parts[0][:2] != "r=" || parts[1][:2] != "s=" || parts[2][:2] != "i=" {
		t.Fatalf("wrong challenge %q", challenge)
	}
	salt, err := base64.StdEncoding.DecodeString(parts[1][2:])
	if err != nil {
		t.Fatal(err)
	}
	i, err := strconv.Atoi(parts[2][2:])
	if err != nil {
		t.Fatal(err)
	}
	h := testHashes[c.mechanism]
	salted, err := pbkdf2.Key(h, c.password, salt, i, h().Size())
	if err != nil {
		t.Fatal(err)
	}
	sum := func(key []byte, message string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(message))
		return m.Sum(nil)
	}
	proof := sum(salted, "Client Key")
	stored := h()
	stored.Write(proof)
	binding, nonce := c.binding, c.nonce
	if binding == "" {
		binding = c.header
	}
	if nonce == "" {
		nonce = parts[0][2:]
	}
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(binding)) + ",r=" + nonce + c.extra
	signed := c.bare + "," + string(challenge) + "," + without
	for i, b := range sum(stored.Sum(nil), signed) {
		proof[i] ^= b
	}
	message = []byte(without + ",p=" + base64.StdEncoding.EncodeToString(proof))
	return message, "v=" + base64.StdEncoding.EncodeToString(sum(sum(salted, "Server Key"), signed))
}

// run goes through an exchange and returns how it failed.
func (c *testClient) run(t testing.TB, e *scram.Exchange) error {
	t.Helper()
	challenge, done, err := e.Step(t.Context(), c.first())
	if err != nil {
		return err
	}
	if done {
		t.Fatal("done after the first message")
	}
	message, want := c.final(t, challenge)
	success, done, err := e.Step(t.Context(), message)
	if err != nil {
		return err
	}
	if !done || string(success) != want {
		t.Fatalf("got done %v, %q, want %q", done, success, want)
	}
	return nil
}

// condition returns the condition of a failure, and the empty string for no
// error. Any other error ends the test.
func condition(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	f, ok := errors.AsType[*scram.Failure](err)
	if !ok {
		t.Fatalf("got error %v, want a Failure", err)
	}
	return f.Condition
}

func wantCondition(t testing.TB, err error, want string) {
	t.Helper()
	if got := condition(t, err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}
