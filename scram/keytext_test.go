package scram_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

func TestKeyText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{keySHA1, keySHA256, keySHA512} {
		k := mustKey(t, text)
		if got, err := k.MarshalText(); err != nil || string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
		for _, printed := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v", k, &k, k), fmt.Sprintf("%+v", scram.Credentials{Keys: []scram.Key{k}})} {
			if i := strings.LastIndexByte(text, '$'); strings.Contains(printed, text[i+1:i+9]) || strings.Contains(printed, "StoredKey") {
				t.Errorf("printing a key shows it: %s", printed)
			}
		}
	}
	if _, err := (scram.Key{}).MarshalText(); !errors.Is(err, scram.ErrKey) {
		t.Errorf("no key: got %v", err)
	}
}

func TestParseKeyErrors(t *testing.T) {
	t.Parallel()
	const salt, stored, server = "W22ZaJ0SNY7soEsUEjb6gQ==", "6dlGYMOdZcOPutkcNY8U2g7vK9Y=", "D+CSWLOshSulAsxiupA+qs2/fTE="
	tail := ":" + salt + "$" + stored + ":" + server
	for name, text := range map[string]string{
		"empty":                    "",
		"scheme only":              "SCRAM-SHA-1",
		"unknown scheme":           "SCRAM-MD5$4096" + tail,
		"scheme in lower case":     "scram-sha-1$4096" + tail,
		"with channel binding":     "SCRAM-SHA-1-PLUS$4096" + tail,
		"hash of another length":   "SCRAM-SHA-256$4096" + tail,
		"no count":                 "SCRAM-SHA-1$" + tail,
		"count below 4096":         "SCRAM-SHA-1$4095" + tail,
		"count above the bound":    "SCRAM-SHA-1$5000001" + tail,
		"count beyond all numbers": "SCRAM-SHA-1$99999999999999999999" + tail,
		"count with a sign":        "SCRAM-SHA-1$+4096" + tail,
		"count with a zero":        "SCRAM-SHA-1$04096" + tail,
		"negative count":           "SCRAM-SHA-1$-4096" + tail,
		"no salt":                  "SCRAM-SHA-1$4096:$" + stored + ":" + server,
		"salt of 7 octets":         "SCRAM-SHA-1$4096:" + b64("1234567") + "$" + stored + ":" + server,
		"salt of 1025 octets":      "SCRAM-SHA-1$4096:" + b64(strings.Repeat("x", 1025)) + "$" + stored + ":" + server,
		"salt is no base64":        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ$" + stored + ":" + server,
		"no server key":            "SCRAM-SHA-1$4096:" + salt + "$" + stored,
		"stored key short":         "SCRAM-SHA-1$4096:" + salt + "$" + b64("short") + ":" + server,
		"server key short":         "SCRAM-SHA-1$4096:" + salt + "$" + stored + ":" + b64("short"),
		"more behind it":           "SCRAM-SHA-1$4096" + tail + ":x",
		"line break":               "SCRAM-SHA-1$4096" + tail + "\n",
		"endless":                  strings.Repeat("SCRAM-SHA-1$4096", 1000),
	} {
		if k, err := scram.ParseKey(text); !errors.Is(err, scram.ErrKey) {
			t.Errorf("%s: got %v, error %v", name, k, err)
		}
		k := mustKey(t, keySHA256)
		if err := k.UnmarshalText([]byte(text)); err == nil || !k.Equal(mustKey(t, keySHA256)) {
			t.Errorf("%s: UnmarshalText changed the key, error %v", name, err)
		}
	}
}

func TestNewKeyBounds(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef")
	for name, c := range map[string]struct {
		hash scram.Hash
		salt []byte
		i    int
	}{
		"no hash":        {0, salt, 4096},
		"unknown hash":   {99, salt, 4096},
		"few iterations": {scram.SHA256, salt, 4095},
		"many":           {scram.SHA256, salt, scram.MaxIterations + 1},
		"short salt":     {scram.SHA256, salt[:7], 4096},
		"long salt":      {scram.SHA256, make([]byte, 1025), 4096},
	} {
		if _, err := scram.NewKey(c.hash, "pencil", c.salt, c.i); !errors.Is(err, scram.ErrKey) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// TestFloor: SC-16, what an operator may choose at the least.
func TestFloor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ iterations, floor, want int }{
		{1, 0, 10_000}, {9999, 0, 10_000}, {12_000, 0, 12_000}, {1, 1, 4096}, {5000, 4096, 5000}, {1, 20_000, 20_000}, {4096, -1, 4096},
	} {
		got, err := scram.NewCredentials("pencil", scram.Policy{Iterations: c.iterations, Floor: c.floor, Hashes: []scram.Hash{scram.SHA1}})
		if err != nil || got.Keys[0].Iterations != c.want {
			t.Errorf("%d with floor %d: got %v, %v, want %d", c.iterations, c.floor, got.Keys, err, c.want)
		}
	}
}

// TestDefaultPolicy: auth-register SC-16, §5.
func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	c, err := scram.NewCredentials("pencil", scram.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range scram.Hashes() {
		if k, ok := c.Key(h); !ok || k.Iterations != 100_000 || len(k.Salt) != 16 {
			t.Errorf("%v: %v with a salt of %d octets", h, k, len(k.Salt))
		}
	}
}

func TestNewCredentials(t *testing.T) {
	t.Parallel()
	c, err := scram.NewCredentials("pa\u00a0ss", scram.Policy{Iterations: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Keys) != 3 {
		t.Fatalf("got %d keys, want one for each hash (PW-10)", len(c.Keys))
	}
	salts := make(map[string]bool)
	for _, k := range c.Keys {
		salts[string(k.Salt)] = true
		if k.Iterations != scram.DefaultFloor || len(k.Salt) != scram.DefaultSaltLength {
			t.Errorf("got %v with a salt of %d octets", k, len(k.Salt))
		}
		if ok, err := k.Matches("pa ss"); err != nil || !ok {
			t.Errorf("%v: prepared password does not match: %v", k, err)
		}
	}
	if len(salts) != 3 {
		t.Error("hashes share a salt (SC-16)")
	}
	if strongest, ok := c.Strongest(); !ok || strongest.Hash != scram.SHA512 {
		t.Errorf("got strongest %v", strongest)
	}
	if _, err := scram.NewCredentials("\a", scram.Policy{}); !errors.Is(err, scram.ErrPassword) {
		t.Errorf("forbidden password: got %v", err)
	}
	again, err := scram.NewCredentials("pa\u00a0ss", scram.Policy{Iterations: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range again.Keys {
		if salts[string(k.Salt)] {
			t.Error("accounts share a salt (SC-16)")
		}
	}
	c, err = scram.NewCredentials("pencil", scram.Policy{Hashes: []scram.Hash{scram.SHA1}, SaltLength: 32})
	if err != nil || len(c.Keys) != 1 || c.Keys[0].Iterations != scram.DefaultIterations || len(c.Keys[0].Salt) != 32 {
		t.Errorf("got %v, %v", c.Keys, err)
	}
}
