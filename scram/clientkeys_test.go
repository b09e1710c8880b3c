package scram_test

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"errors"
	"fmt"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// TestSaltPassword compares with the PBKDF2 of the standard library.
func TestSaltPassword(t *testing.T) {
	t.Parallel()
	salts := [][]byte{[]byte("12345678"), bytes.Repeat([]byte("salt"), 256)}
	for _, h := range scram.Hashes() {
		for _, password := range []string{"p", "pencil", string(bytes.Repeat([]byte("long"), 100))} {
			for i, salt := range salts {
				for _, n := range []int{1, 2, 1023, 1024, 1025, 4096} {
					got, err := scram.SaltPassword(t.Context(), h, password, salt, n)
					want, err2 := pbkdf2.Key(testHashes[h.Mechanism()], password, salt, n, h.Size())
					if err != nil || err2 != nil || !bytes.Equal(got, want) {
						t.Errorf("%v, salt %d, %d rounds: got %x, %v, want %x, %v", h, i, n, got, err, want, err2)
					}
				}
			}
		}
	}
	if _, err := scram.SaltPassword(t.Context(), 0, "p", salts[0], 1); !errors.Is(err, scram.ErrKey) {
		t.Errorf("no hash: got %v", err)
	}
	if _, err := scram.SaltPassword(t.Context(), scram.SHA1, "p", salts[0], 0); !errors.Is(err, scram.ErrKey) {
		t.Errorf("no rounds: got %v", err)
	}
}

// lasting is a context that has ended when it was asked so many times.
type lasting struct {
	context.Context
	asked, ends int
}

func (l *lasting) Err() error {
	if l.asked++; l.asked < l.ends {
		return nil
	}
	return context.Canceled
}

// TestSaltPasswordCancel: the derivation ends with the context, which is looked at each
// thousand rounds, that is within milliseconds.
func TestSaltPasswordCancel(t *testing.T) {
	t.Parallel()
	for _, h := range scram.Hashes() {
		ctx := &lasting{Context: t.Context(), ends: 3}
		if _, err := scram.SaltPassword(ctx, h, "pencil", []byte("12345678"), 1<<30); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: got %v", h, err)
		}
		ctx = &lasting{Context: t.Context(), ends: 10}
		if _, err := scram.SaltPassword(ctx, h, "pencil", []byte("12345678"), 11_000); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %d looks at the context in 11,000 rounds", h, ctx.asked)
		}
	}
}

func TestClientKeys(t *testing.T) {
	t.Parallel()
	for _, text := range []string{keySHA1, keySHA256, keySHA512} {
		want := mustKey(t, text)
		salted, err := scram.SaltPassword(t.Context(), want.Hash, "pencil", want.Salt, want.Iterations)
		if err != nil {
			t.Fatal(err)
		}
		k, err := scram.ClientKeysOf(want.Hash, salted, want.Salt, want.Iterations)
		if err != nil || !bytes.Equal(k.ServerKey, want.ServerKey) {
			t.Errorf("%v: got another ServerKey, %v", want.Hash, err)
		}
		if _, err := scram.ClientKeysOf(want.Hash, salted[1:], want.Salt, want.Iterations); !errors.Is(err, scram.ErrKey) {
			t.Errorf("too short: got %v", err)
		}
		if got := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); bytes.Contains([]byte(got), []byte("Key")) || len(got) > 100 {
			t.Errorf("printed as %s", got)
		}
	}
}

// TestClientNeedsPassword: kept keys are for one hash, salt and iteration count.
func TestClientNeedsPassword(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	k, err := scram.NewClientKeys(t.Context(), scram.SHA256, "pencil", mustKey(t, keySHA256).Salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	short := k
	short.ClientKey = short.ClientKey[1:]
	other := k
	other.Hash = scram.SHA512
	tests := []struct {
		name      string
		challenge string
		keys      []scram.ClientKeys
	}{
		{"none", v.challenge, nil},
		{"other salt", "r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gg==,i=4096", []scram.ClientKeys{k}},
		{"other count", "r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4097", []scram.ClientKeys{k}},
		{"other hash", v.challenge, []scram.ClientKeys{other}},
		{"damaged", v.challenge, []scram.ClientKeys{short}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := v.client(t, func(o *scram.ClientOptions) { o.Password, o.Keys = nil, tt.keys })
			if _, err := c.First(); err != nil {
				t.Fatal(err)
			}
			if out, err := c.Next(t.Context(), []byte(tt.challenge)); !errors.Is(err, scram.ErrNeedPassword) || out != nil {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}
