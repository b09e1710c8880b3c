package scram_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// FuzzServerFirst: what is accepted continues the own nonce, has parameters within
// bounds, and is answered by a proof for exactly these octets.
func FuzzServerFirst(f *testing.F) {
	for _, v := range clientVectors() {
		f.Add([]byte(v.challenge))
	}
	for _, s := range []string{
		"r=" + fullNonce + parametersSHA256 + ",", "r=" + fullNonce + parametersSHA256 + ",=", "m=1,r=a,s=b,i=1",
		"r=" + fullNonce + ",s=QSXCR+Q6sek8bf92,i=4097,x=,", "r=,s=,i=", "e=other-error", ",,,", "r=\x00,s=AA==,i=0",
	} {
		f.Add([]byte(s))
	}
	v := clientVectors()[1]
	salt := mustKey(f, keySHA256).Salt
	keys, err := scram.NewClientKeys(f.Context(), scram.SHA256, "pencil", salt, 4096)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := v.client(t, func(o *scram.ClientOptions) { o.Password, o.Keys = nil, []scram.ClientKeys{keys} })
		if _, err := c.First(); err != nil {
			t.Fatal(err)
		}
		final, err := c.Next(t.Context(), in)
		if err != nil {
			if final != nil || c.Verify([]byte(v.success)) == nil {
				t.Fatal("an exchange that failed goes on")
			}
			return
		}
		text := string(in)
		if !strings.HasPrefix(text, "r="+clientNonce) || !strings.Contains(text, parametersSHA256) ||
			strings.Contains(text, ",m=") || strings.HasSuffix(text, ",") {
			t.Fatalf("accepted %q", in)
		}
		success, ok := judge(t, mustKey(t, keySHA256), "n=user,r="+clientNonce, text, string(final))
		if !ok {
			t.Fatalf("wrong proof for %q", in)
		}
		if err := c.Verify([]byte(success)); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzServerFinal: only the right signature is accepted, with attributes behind it
// or not.
func FuzzServerFinal(f *testing.F) {
	v := clientVectors()[1]
	for _, s := range []string{v.success, v.success + ",x=y", v.success + ",", "v=", "e=invalid-proof", "e=", "", "=", "m=x," + v.success, v.final} {
		f.Add([]byte(s))
	}
	keys, err := scram.NewClientKeys(f.Context(), scram.SHA256, "pencil", mustKey(f, keySHA256).Salt, 4096)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := v.client(t, func(o *scram.ClientOptions) { o.Password, o.Keys = nil, []scram.ClientKeys{keys} })
		if _, err := c.First(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Next(t.Context(), []byte(v.challenge)); err != nil {
			t.Fatal(err)
		}
		right := string(in) == v.success || bytes.HasPrefix(in, []byte(v.success+","))
		switch err := c.Verify(in); {
		case err == nil && !right:
			t.Fatalf("accepted %q", in)
		case err != nil && !errors.Is(err, scram.ErrServerNotAuthenticated):
			t.Fatal(err)
		case err != nil && string(in) == v.success:
			t.Fatalf("refused the right one: %v", err)
		}
	})
}
