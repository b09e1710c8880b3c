package scram_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/scram"
)

// TestDecoyRotation: auth-register PW-15, a new secret changes what is shown for accounts
// that do not exist one by one, each once, by chance and never back; whoever has the
// secrets shows the same.
func TestDecoyRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const life, n = 1000 * time.Hour, 2000
		classes := []scram.Class{{16, 100_000}, {20, 4096}}
		old, middle, last := scram.NewDecoys([32]byte{1}, classes), scram.NewDecoys([32]byte{2}, classes), scram.NewDecoys([32]byte{3}, classes)
		now := time.Now()
		second := now.Add(life)
		one := last.After(middle.After(old, now, life), second, life)
		two := last.After(middle.After(old, now, life), second, life)
		stages := []*scram.Decoys{old, middle, last}
		stage := make([]int, n)
		count := func() (at [3]int) {
			for i := range n {
				account := fmt.Sprintf("user%d@example.net", i)
				k := one.Key(scram.SHA256, account)
				if !k.Equal(two.Key(scram.SHA256, account)) || len(k.Salt) != len(one.Key(scram.SHA1, account).Salt) {
					t.Fatalf("%s: shown differently", account)
				}
				for !k.Equal(stages[stage[i]].Key(scram.SHA256, account)) {
					if stage[i]++; stage[i] == len(stages) {
						t.Fatalf("%s: shown with none of the secrets, or an earlier one again", account)
					}
				}
				at[stage[i]]++
			}
			return at
		}
		between := func(what string, got, least, most int) {
			t.Helper()
			if got < least || got > most {
				t.Errorf("%s: %d of %d, want %d to %d", what, got, n, least, most)
			}
		}
		if at := count(); at[0] != n {
			t.Errorf("at once: %v", at)
		}
		time.Sleep(life / 100)
		between("changed at a hundredth", n-count()[0], 5, 40) // 1 %
		time.Sleep(life/2 - life/100)
		between("changed at half", n-count()[0], 720, 860) // 39 %
		time.Sleep(life / 2)
		between("changed after one life", n-count()[0], 1190, 1340) // 63 %
		time.Sleep(life)
		at := count()
		between("last ones after two lives", at[2], 1190, 1340)
		between("first ones after two lives", at[0], 60, 140) // 37 % of 13.5 %
		time.Sleep(8 * life)
		between("last ones at the end", count()[2], n-5, n)
	})
}

// TestDecoyDelay: whatever is drawn is a moment that can be waited for.
func TestDecoyDelay(t *testing.T) {
	t.Parallel()
	now := time.Now()
	first, next := scram.NewDecoys([32]byte{1}, nil), scram.NewDecoys([32]byte{2}, nil)
	for i := range 1000 {
		account := fmt.Sprint(i, "@example.net")
		// So long a life that the multiple of it is no duration: nobody comes to it.
		if k := next.After(first, now.Add(-time.Hour), 1<<63-1).Key(scram.SHA1, account); !k.Equal(first.Key(scram.SHA1, account)) {
			t.Errorf("%s: changed", account)
		}
		if k := next.After(first, now.Add(time.Hour), time.Nanosecond).Key(scram.SHA1, account); !k.Equal(first.Key(scram.SHA1, account)) {
			t.Errorf("%s: changed before the time", account)
		}
		if k := next.After(first, now.Add(-time.Hour), time.Nanosecond).Key(scram.SHA1, account); !k.Equal(next.Key(scram.SHA1, account)) {
			t.Errorf("%s: not changed", account)
		}
	}
}

// TestEarlierSecrets: what a client sees of an account that does not exist is the same
// after a change of the secret, for nearly all, and something else without the earlier
// one; upgrades are those of the same decoy.
func TestEarlierSecrets(t *testing.T) {
	t.Parallel()
	sets := [][]scram.Hash{{scram.SHA1}, scram.Hashes()}
	now := time.Now()
	before := newBed(t, scram.Options{Secret: [32]byte{1}, HashSets: sets})
	after := newBed(t, scram.Options{Secret: [32]byte{3}, HashSets: sets, Earlier: []scram.EarlierSecret{
		{Secret: [32]byte{}, Until: now}, {Secret: [32]byte{2}, Until: now}, {Secret: [32]byte{1}, Until: now.Add(-time.Second)}}})
	dropped := newBed(t, scram.Options{Secret: [32]byte{3}, HashSets: sets})
	same := func(a, b bed) (first, upgrades int) {
		for i := range 100 {
			name := fmt.Sprint("nobody", i)
			var shown, tasks [2]string
			for j, x := range []bed{a, b} {
				e := x.start(t, "SCRAM-SHA-256")
				out, _, err := e.Step(t.Context(), []byte("n,,n="+name+",r=fyko+d2lbbFgONRv9qkxdawL"))
				if err != nil {
					t.Fatal(err)
				}
				_, shown[j], _ = strings.Cut(string(out), ",s=")
				list, err := x.Upgrades(t.Context(), name+"@"+host)
				if err != nil {
					t.Fatal(err)
				}
				tasks[j] = fmt.Sprint(list)
			}
			if shown[0] == shown[1] {
				first++
			}
			if tasks[0] == tasks[1] {
				upgrades++
			}
		}
		return first, upgrades
	}
	if first, upgrades := same(before, after); first < 99 || upgrades < 99 {
		t.Errorf("%d salts and %d upgrades of 100 stay", first, upgrades)
	}
	if first, _ := same(before, dropped); first != 0 {
		t.Errorf("%d salts of 100 stay without the earlier secret", first)
	}
}
