package sasl2

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"testing"
	"time"
)

// TestSlots: what becomes of a client's two tokens (XEP-0484 §3.4 to §3.6, §5.1;
// auth-register FT-3, FT-5, FT-6, FT-8, FT-10, FT-11).
func TestSlots(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_700_000_000_000_000)
	const expr, none = "HT-SHA-256-EXPR", "HT-SHA-256-NONE"
	older := Token{Slot: "older", Mechanism: expr, Generation: 5, Issued: now.Add(-48 * time.Hour), Expires: now.Add(time.Hour), Least: 4}
	newer := Token{Slot: "newer", Mechanism: expr, Generation: 5, Issued: now.Add(-time.Minute), Expires: now.Add(2 * time.Hour)}
	counted := func(t Token, least int64) Token { t.Least = least; return t }
	with := func(t Token, f func(t *Token)) Token { f(&t); return t }
	both := Client{New: newer, Current: older}
	for _, tt := range []struct {
		name string
		was  Client
		use  use
		v    verdict
		used string
		want Client // if accepted
	}{
		{"neither", both, use{}, refused, "", both},
		{"no tokens, whatever matches", Client{}, use{isNew: true, isCurrent: true}, refused, "", Client{}},
		{"the new one", both, use{isNew: true, count: -1}, accepted, "newer", Client{Current: newer}},
		{"the new one, counted", both, use{isNew: true, count: 1}, accepted, "newer", Client{Current: counted(newer, 2)}},
		{"the first one", Client{New: newer}, use{isNew: true, count: 0}, accepted, "newer", Client{Current: counted(newer, 1)}},
		{"the old one leaves the new", both, use{isCurrent: true, count: -1}, accepted, "older", both},
		{"the old one, counted", both, use{isCurrent: true, count: 9}, accepted, "older", Client{New: newer, Current: counted(older, 10)}},
		{"count is not above", both, use{isCurrent: true, count: 3}, refused, "older", both},
		{"count is above", both, use{isCurrent: true, count: 4}, accepted, "older", Client{New: newer, Current: counted(older, 5)}},
		{"the new one has a count of its own", both, use{isNew: true, count: 0}, accepted, "newer", Client{Current: counted(newer, 1)}},
		{"invalidated", both, use{isNew: true, count: -1, invalidate: true}, accepted, "newer", Client{}},
		{"the old one invalidated", both, use{isCurrent: true, count: -1, invalidate: true}, accepted, "older", Client{New: newer}},
		{"another mechanism", both, use{isNew: true, count: -1, mechanism: none}, refused, "", both},
		{"another mechanism, the old one", both, use{isCurrent: true, count: -1, mechanism: none}, refused, "", both},
		{"two mechanisms", Client{New: with(newer, func(t *Token) { t.Mechanism = none }), Current: older}, use{isNew: true, isCurrent: true, count: -1}, accepted, "older",
			Client{New: with(newer, func(t *Token) { t.Mechanism = none }), Current: older}},
		{"expired", both, use{isCurrent: true, count: -1, at: now.Add(time.Hour)}, expired, "older", both},
		{"about to expire", both, use{isCurrent: true, count: -1, at: now.Add(time.Hour - 1)}, accepted, "older", both},
		{"of an older password", both, use{isNew: true, count: -1, generation: 6}, expired, "newer", both},
		{"of a newer password", both, use{isNew: true, count: -1, generation: 4}, expired, "newer", both},
		{"expired and counted low", both, use{isCurrent: true, count: 0, at: now.Add(time.Hour)}, expired, "older", both},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.use.mechanism == "" {
				tt.use.mechanism = expr
			}
			if tt.use.generation == 0 {
				tt.use.generation = 5
			}
			if tt.use.at.IsZero() {
				tt.use.at = now
			}
			c := tt.was
			used, v := c.use(tt.use)
			if v != tt.v || used.Slot != tt.used {
				t.Errorf("verdict %d with %q, want %d with %q", v, used.Slot, tt.v, tt.used)
			}
			if v == accepted && c != tt.want {
				t.Errorf("afterwards %+v, want %+v", c, tt.want)
			}
			if v != accepted && c != tt.was {
				t.Errorf("changed to %+v", c)
			}
		})
	}
}

// TestIssue: a new token replaces one that was not used, and nothing else.
func TestIssue(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_700_000_000_000_000)
	c := Client{New: Token{Slot: "unused", Least: 3}, Current: Token{Slot: "current"}}
	c.issue("new", "HT-SHA-256-NONE", 5, now, time.Hour)
	want := Client{New: Token{Slot: "new", Mechanism: "HT-SHA-256-NONE", Generation: 5, Issued: now, Expires: now.Add(time.Hour)}, Current: Token{Slot: "current"}}
	if c != want {
		t.Errorf("got %+v", c)
	}
}

// TestSecrets: tokens and ids differ for whatever they are bound to, and each
// purpose has a key of its own.
func TestSecrets(t *testing.T) {
	t.Parallel()
	k, other := deriveKeys([32]byte{1}), deriveKeys([32]byte{2})
	romeo, juliet := account("romeo@example.net"), account("juliet@example.net")
	seen := make(map[string]bool)
	for _, s := range []string{
		k.secretOf(romeo, "a", "b"), k.secretOf(romeo, "ab", ""), k.secretOf(romeo, "a", "c"), k.secretOf(juliet, "a", "b"), other.secretOf(romeo, "a", "b"),
		k.clientID(romeo, "a"), k.clientID(juliet, "a"), k.clientID(romeo, "b"), other.clientID(romeo, "a"),
		k.serverPart(romeo, "a", "b"), k.serverPart(romeo, "ab", ""), other.serverPart(romeo, "a", "b"),
		k.versionOf("a", "b", nil), k.versionOf("ab", "", nil), other.versionOf("a", "b", nil),
	} {
		if seen[s] {
			t.Errorf("%s twice", s)
		}
		seen[s] = true
	}
	if n := len(k.secretOf(romeo, "a", "b")); n != 43 {
		t.Errorf("a token has %d characters, want 43 for 256 bits", n)
	}
	for _, key := range []key{k.client, k.token, k.resource, k.version} {
		s := key.text(base64.RawURLEncoding, 32, nil, "the same")
		if seen[s] {
			t.Error("keys are the same")
		}
		seen[s] = true
	}
}

// TestDigests: what was remembered is not taken for anything else.
func TestDigests(t *testing.T) {
	t.Parallel()
	var d digests
	for _, text := range []string{"a", "a", "b", "a", "", "ab"} {
		if got, want := d.of([]byte(text)), sha256.Sum256([]byte(text)); !bytes.Equal(got, want[:]) {
			t.Errorf("digest of %q is %x", text, got)
		}
	}
}
