package scram_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// untouched fails the test if the password is asked for.
func untouched(t *testing.T) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		t.Error("the password was asked for")
		return "", errors.New("no")
	}
}

// refuses runs one exchange up to a server-first-message that must be refused
// before the password is touched.
func refuses(t *testing.T, v clientVector, challenge string, want error, change ...func(*scram.ClientOptions)) {
	t.Helper()
	c := v.client(t, append(change, func(o *scram.ClientOptions) { o.Password = untouched(t) })...)
	if _, err := c.First(); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Next(t.Context(), []byte(challenge)); !errors.Is(err, want) || out != nil {
		t.Errorf("got %q, %v, want %v", out, err, want)
	}
	if err := c.Verify([]byte(v.success)); !errors.Is(err, scram.ErrServerNotAuthenticated) {
		t.Errorf("Verify afterwards: got %v", err)
	}
	if _, err := c.Next(t.Context(), []byte(v.challenge)); err == nil {
		t.Error("Next afterwards succeeded")
	}
}

// TestServerFirst: what is wrong with a server-first-message is found before a key
// is derived.
func TestServerFirst(t *testing.T) {
	t.Parallel()
	const s = ",s=W22ZaJ0SNY7soEsUEjb6gQ=="
	long := base64.StdEncoding.EncodeToString(make([]byte, 1025))
	tests := []struct {
		name, challenge string
		want            error
	}{
		{"empty", "", scram.ErrServerMessage},
		{"mandatory extension first", "m=x,r=" + fullNonce + s + ",i=4096", scram.ErrServerMessage},
		{"mandatory extension last", "r=" + fullNonce + s + ",i=4096,m=x", scram.ErrServerMessage},
		{"trailing comma", "r=" + fullNonce + s + ",i=4096,", scram.ErrServerMessage}, // mellium.im/sasl spins here
		{"empty field", "r=" + fullNonce + ",," + s[1:] + ",i=4096", scram.ErrServerMessage},
		{"equals sign alone", "r=" + fullNonce + s + ",i=4096,=", scram.ErrServerMessage},
		{"one octet", "r=" + fullNonce + s + ",i=4096,x", scram.ErrServerMessage},
		{"no value", "r=" + fullNonce + s + ",i=4096,x=", scram.ErrServerMessage},
		{"NUL", "r=" + fullNonce + s + ",i=4096,x=\x00", scram.ErrServerMessage},
		{"not UTF-8", "r=" + fullNonce + s + ",i=4096,x=\xff", scram.ErrServerMessage},
		{"count missing", "r=" + fullNonce + s, scram.ErrServerMessage},
		{"order", "r=" + fullNonce + ",i=4096" + s, scram.ErrServerMessage},
		{"nonce twice", "r=" + fullNonce + s + ",i=4096,r=" + fullNonce, scram.ErrServerMessage},
		{"list hash twice", "r=" + fullNonce + s + ",i=4096,h=a,h=a", scram.ErrServerMessage},
		{"version twice", "r=" + fullNonce + s + ",i=4096,t=0304,t=0304", scram.ErrServerMessage},
		{"8 KiB", "r=" + fullNonce + s + ",i=4096,x=" + strings.Repeat("x", 8<<10), scram.ErrServerMessage},
		{"no server nonce", "r=" + clientNonce + s + ",i=4096", scram.ErrServerMessage},
		{"short server nonce", "r=" + clientNonce + "1234567" + s + ",i=4096", scram.ErrServerMessage},
		{"foreign nonce", "r=x" + fullNonce + s + ",i=4096", scram.ErrServerMessage},
		{"long nonce", "r=" + clientNonce + strings.Repeat("n", 500) + s + ",i=4096", scram.ErrServerMessage},
		{"nonce with space", "r=" + fullNonce + " " + s + ",i=4096", scram.ErrServerMessage},
		{"salt not base64", "r=" + fullNonce + ",s=W22Z!,i=4096", scram.ErrServerMessage},
		{"salt without padding", "r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096", scram.ErrServerMessage},
		{"salt of 7 octets", "r=" + fullNonce + ",s=" + base64.StdEncoding.EncodeToString([]byte("1234567")) + ",i=4096", scram.ErrWeakParameters},
		{"salt of 1025 octets", "r=" + fullNonce + ",s=" + long + ",i=4096", scram.ErrWeakParameters},
		{"count with sign", "r=" + fullNonce + s + ",i=+4096", scram.ErrServerMessage},
		{"count with zero in front", "r=" + fullNonce + s + ",i=04096", scram.ErrServerMessage},
		{"count in other digits", "r=" + fullNonce + s + ",i=٤٠٩٦", scram.ErrServerMessage},
		{"count with space", "r=" + fullNonce + s + ",i=4096 ", scram.ErrServerMessage},
		{"count of ten digits", "r=" + fullNonce + s + ",i=1000000000", scram.ErrServerMessage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			refuses(t, clientVectors()[1], tt.challenge, tt.want)
		})
	}
}

// TestClientIgnoresExtensions: unknown attributes, such as the d of older versions of
// XEP-0474, are signed and otherwise ignored. The server of the test signs what it
// has sent.
func TestClientIgnoresExtensions(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	c := v.client(t)
	first, err := c.First()
	if err != nil {
		t.Fatal(err)
	}
	challenge := v.challenge + ",d=abc,x=y=z,q=\u00fc"
	final, err := c.Next(t.Context(), []byte(challenge))
	if err != nil {
		t.Fatal(err)
	}
	success, ok := judge(t, mustKey(t, keySHA256), string(first[len("n,,"):]), challenge, string(final))
	if !ok {
		t.Error("wrong proof")
	}
	if err := c.Verify([]byte(success)); err != nil {
		t.Error(err)
	}
}

// TestAttack9 is a false server that wants weak keys, or work without end.
func TestAttack9(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	for _, i := range []string{"1", "4095", "5000001", "999999999"} {
		refuses(t, v, "r="+fullNonce+",s=W22ZaJ0SNY7soEsUEjb6gQ==,i="+i, scram.ErrWeakParameters)
	}
	for _, i := range []string{"0", "-1", "2147483648", "99999999999"} {
		refuses(t, v, "r="+fullNonce+",s=W22ZaJ0SNY7soEsUEjb6gQ==,i="+i, scram.ErrServerMessage)
	}
	refuses(t, v, "r="+fullNonce+",s=c2FsdA==,i=4096", scram.ErrWeakParameters)
	refuses(t, v, "r="+clientNonce+parametersSHA256, scram.ErrServerMessage)
}

// TestClientBounds: the bounds of the iteration count are options, but the lower one
// does not go below that of the documents.
func TestClientBounds(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	count := func(i string) string { return "r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=" + i }
	refuses(t, v, count("9999"), scram.ErrWeakParameters, func(o *scram.ClientOptions) { o.MinIterations = 10_000 })
	refuses(t, v, count("1"), scram.ErrWeakParameters, func(o *scram.ClientOptions) { o.MinIterations = 1 })
	refuses(t, v, count("10001"), scram.ErrWeakParameters, func(o *scram.ClientOptions) { o.MaxIterations = 10_000 })
}

// TestClientIterationsDropped: fewer iterations than before are refused until the
// pin is removed; other hashes do not matter.
func TestClientIterationsDropped(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	pin := func(mechanism string) func(o *scram.ClientOptions) {
		return func(o *scram.ClientOptions) { o.Pins.Iterations = map[string]int{mechanism: 4097} }
	}
	refuses(t, v, v.challenge, scram.ErrIterationsDropped, pin("SCRAM-SHA-256"))
	refuses(t, v, v.challenge, scram.ErrWeakParameters, pin("SCRAM-SHA-256"))
	c := v.client(t, pin("SCRAM-SHA-512"))
	if _, err := c.First(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(t.Context(), []byte(v.challenge)); err != nil {
		t.Error(err)
	}
}

// TestClientCancelled: the context ends the derivation of keys.
func TestClientCancelled(t *testing.T) {
	t.Parallel()
	c := clientVectors()[1].client(t)
	if _, err := c.First(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out, err := c.Next(ctx, []byte(clientVectors()[1].challenge)); !errors.Is(err, context.Canceled) || out != nil {
		t.Errorf("got %q, %v", out, err)
	}
}

// TestClientBadPassword: a password that neither preparation allows fails at this end,
// and so does one that the caller does not have.
func TestClientBadPassword(t *testing.T) {
	t.Parallel()
	gone := errors.New("no password")
	for password, want := range map[string]error{
		"\a": scram.ErrPasswordForbidden, "": scram.ErrPasswordForbidden, strings.Repeat("x", 1025): scram.ErrPasswordLong, "ask": gone,
	} {
		c := clientVectors()[1].client(t, func(o *scram.ClientOptions) {
			o.Password = func(context.Context) (string, error) {
				if password == "ask" {
					return "", gone
				}
				return password, nil
			}
		})
		if _, err := c.First(); err != nil {
			t.Fatal(err)
		}
		if out, err := c.Next(t.Context(), []byte(clientVectors()[1].challenge)); !errors.Is(err, want) || out != nil {
			t.Errorf("%.10q: got %q, %v", password, out, err)
		}
	}
}

// TestAttack10 is a false server that claims success without proof. Its last message
// is checked whatever it says.
func TestAttack10(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	other := clientVectors()[3].success // the signature of another session
	for name, success := range map[string]string{
		"nothing": "", "no signature": "x=y", "of another session": other,
		"error": "e=other-error", "known error": "e=invalid-proof",
		"short": "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95A==", "not base64": "v=6rri!",
		"behind it no attribute": v.success + ",", "behind it no value": v.success + ",x=", "twice": v.success + "," + v.success,
		"mandatory extension": v.success + ",m=x", "mandatory extension first": "m=x," + v.success,
		"empty signature": "v=", "the proof instead": "v=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"not UTF-8": v.success + ",x=\xff", "NUL": v.success + ",x=\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := v.client(t)
			if err := c.Verify([]byte(v.success)); !errors.Is(err, scram.ErrServerNotAuthenticated) {
				t.Errorf("at once: got %v", err)
			}
			c = v.client(t)
			if _, err := c.First(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Next(t.Context(), []byte(v.challenge)); err != nil {
				t.Fatal(err)
			}
			if err := c.Verify([]byte(success)); !errors.Is(err, scram.ErrServerNotAuthenticated) {
				t.Errorf("got %v", err)
			}
			if err := c.Verify([]byte(v.success)); !errors.Is(err, scram.ErrServerNotAuthenticated) || c.Login().Mechanism != "" {
				t.Errorf("a second chance: %v", err)
			}
		})
	}
}

// TestVerifyOutOfTurn: before there are keys, what can be computed without any is no
// signature.
func TestVerifyOutOfTurn(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	m := hmac.New(sha256.New, nil)
	nothing := []byte("v=" + base64.StdEncoding.EncodeToString(m.Sum(nil)))
	c := v.client(t)
	if err := c.Verify(nothing); !errors.Is(err, scram.ErrServerNotAuthenticated) {
		t.Errorf("at the beginning: got %v", err)
	}
	c = v.client(t)
	if _, err := c.Next(t.Context(), []byte(v.challenge)); err == nil {
		t.Error("Next at the beginning succeeded")
	}
	c = v.client(t)
	if _, err := c.First(); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(nothing); !errors.Is(err, scram.ErrServerNotAuthenticated) {
		t.Errorf("after the first message: got %v", err)
	}
	if out, err := c.First(); err == nil {
		t.Errorf("First again: %q", out)
	}
}

// TestAttack11: a captured exchange is of no use against a new nonce.
func TestAttack11(t *testing.T) {
	t.Parallel()
	v := clientVectors()[1]
	refuses(t, v, v.challenge, scram.ErrServerMessage, func(o *scram.ClientOptions) { o.Nonce = nil })
}

// TestAttack12: somebody shows the client the challenge of another connection. With
// channel binding the proof is of no use there, nor is the server's signature a proof.
func TestAttack12(t *testing.T) {
	t.Parallel()
	v := clientVectors()[5]
	mine := v.local
	v.local.Bindings = []scram.Binding{{Type: scram.TLSExporter, Data: []byte("another connection, of the attacker")}}
	c := v.client(t)
	first, err := c.First()
	if err != nil {
		t.Fatal(err)
	}
	final, err := c.Next(t.Context(), []byte(v.challenge))
	if err != nil {
		t.Fatal(err)
	}
	key := mustKey(t, keySHA256)
	if hashOf(v.mechanism) == scram.SHA512 {
		key = mustKey(t, keySHA512)
	}
	success, ok := judge(t, key, string(first[len("p=tls-exporter,,"):]), v.challenge, string(final))
	if !ok {
		t.Error("the proof must be right for what was signed")
	}
	if want := "c=" + base64.StdEncoding.EncodeToString(append([]byte("p=tls-exporter,,"), mine.Bindings[0].Data...)); strings.HasPrefix(string(final), want) {
		t.Error("the binding data of the real connection was signed")
	}
	without, _, _ := strings.Cut(string(final), ",p=")
	if _, ok := judge(t, key, string(first[len("p=tls-exporter,,"):]), v.challenge, without+",p="+success[2:]); ok {
		t.Error("the server's signature is a proof")
	}
}
