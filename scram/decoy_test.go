package scram_test

import (
	"fmt"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

func TestDecoys(t *testing.T) {
	t.Parallel()
	secret := [32]byte{1, 2, 3}
	classes := []scram.Class{{16, 100_000}, {12, 4096}, {100, 10_000}}
	one, two := scram.NewDecoys(secret, classes), scram.NewDecoys(secret, classes)
	other := scram.NewDecoys([32]byte{3, 2, 1}, classes)
	drawn := make(map[scram.Class]int)
	salts := make(map[string]bool)
	for i := range 3000 {
		account := fmt.Sprintf("user%d@example.net", i)
		var class scram.Class
		for _, h := range scram.Hashes() {
			k := one.Key(h, account)
			if err := k.Check(); err != nil {
				t.Fatal(err)
			}
			if !k.Equal(two.Key(h, account)) {
				t.Fatalf("%s: the same secret gives another key", account)
			}
			if k.Equal(other.Key(h, account)) || string(k.Salt) == string(other.Key(h, account).Salt) {
				t.Fatalf("%s: another secret gives the same key", account)
			}
			salts[string(k.Salt)] = true
			if len(k.Salt) == 100 && string(k.Salt[:36]) == string(k.Salt[64:]) {
				t.Fatalf("%s: the salt repeats itself", account)
			}
			next := scram.Class{SaltLength: len(k.Salt), Iterations: k.Iterations}
			if class != (scram.Class{}) && class != next {
				t.Fatalf("%s: classes %v and %v", account, class, next)
			}
			class = next
		}
		drawn[class]++
	}
	if len(salts) != 9000 {
		t.Errorf("got %d salts, want one for each account and hash", len(salts))
	}
	for _, c := range classes {
		if n := drawn[c]; n < 850 || n > 1150 {
			t.Errorf("class %v was drawn %d times of 3000", c, n)
		}
	}
	if len(drawn) != len(classes) {
		t.Errorf("got classes %v", drawn)
	}
}

func TestDecoyDefaults(t *testing.T) {
	t.Parallel()
	var zero [32]byte
	k := scram.NewDecoys(zero, []scram.Class{{-1, 4096}, {16, 1}}).Key(scram.SHA1, "a@example.net")
	if len(k.Salt) != scram.DefaultSaltLength || k.Iterations != scram.DefaultIterations {
		t.Errorf("got %v with a salt of %d octets", k, len(k.Salt))
	}
	if k.Equal(scram.NewDecoys(zero, nil).Key(scram.SHA1, "a@example.net")) {
		t.Error("without a secret, decoys can be told in advance")
	}
}

// TestDecoysOutliveExchanges: the end of an exchange wipes the key that was shown, and
// none that will be.
func TestDecoysOutliveExchanges(t *testing.T) {
	t.Parallel()
	d := scram.NewDecoys([32]byte{1}, nil)
	want := scram.NewDecoys([32]byte{1}, nil).Key(scram.SHA256, "a@example.net") // that shares nothing with it
	s := scram.NewServer(scram.SHA256, scram.ServerConfig{Nonce: fixedNonce(serverNonce)})
	if _, err := s.First([]byte("n,,n=a,r=" + clientNonce)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Challenge(d.Key(scram.SHA256, "a@example.net")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Final([]byte(vectors[1].final))
	wantCondition(t, err, scram.NotAuthorized)
	if got := d.Key(scram.SHA256, "a@example.net"); !got.Equal(want) {
		t.Error("the key is another one than before")
	}
}
