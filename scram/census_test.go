package scram_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/scram"
)

// counting is a store that says how often it was asked, and may fail or take its time.
type counting struct {
	scram.HashCounter
	asked atomic.Int64
	fails atomic.Bool
	hold  chan struct{} // unless nil, it waits for that
}

func (c *counting) HashCounts(ctx context.Context, host string) (int, map[scram.Hash]int, error) {
	c.asked.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	if c.fails.Load() {
		return 0, nil, errors.New("down")
	}
	return c.HashCounter.HashCounts(ctx, host)
}

// people is a store with accounts that have keys for those hashes.
func people(t *testing.T, accounts ...[]scram.Hash) *scram.Memory {
	t.Helper()
	m := new(scram.Memory)
	keys := map[scram.Hash]scram.Key{scram.SHA1: mustKey(t, keySHA1), scram.SHA256: mustKey(t, keySHA256), scram.SHA512: mustKey(t, keySHA512)}
	for i, hashes := range accounts {
		var c scram.Credentials
		for _, h := range hashes {
			c.Keys = append(c.Keys, keys[h])
		}
		if _, err := m.Create(t.Context(), fmt.Sprintf("%d@%s", i, host), c); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestCensus: auth-register PW-12, what is listed by what accounts have.
func TestCensus(t *testing.T) {
	t.Parallel()
	old, all := []scram.Hash{scram.SHA1}, scram.Hashes()
	for _, tt := range []struct {
		name     string
		accounts [][]scram.Hash
		share    float64
		want     string
	}{
		{"nobody", nil, 0, "[]"},
		{"nobody has a key", [][]scram.Hash{{}, {}}, 0, "[]"},
		{"all have all", [][]scram.Hash{all, all}, 1, "[SHA-512 SHA-256 SHA-1]"},
		{"SHA-1 alone", [][]scram.Hash{old, old, {}}, 0, "[SHA-1]"},
		{"one is enough", [][]scram.Hash{old, old, {scram.SHA256, scram.SHA1}}, 0, "[SHA-256 SHA-1]"},
		{"half must have it", [][]scram.Hash{old, old, all}, 0.5, "[SHA-1]"},
		{"half have it", [][]scram.Hash{old, all}, 0.5, "[SHA-512 SHA-256 SHA-1]"},
		{"who has no keys does not count", [][]scram.Hash{{}, all}, 1, "[SHA-512 SHA-256 SHA-1]"},
		{"more than all", [][]scram.Hash{old, all}, 7, "[SHA-1]"},
	} {
		x := scram.NewCensus(people(t, tt.accounts...), &scram.CensusOptions{Share: tt.share})
		if got := fmt.Sprint(x.Hashes(t.Context(), host)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestCensusSeldom: it counts again after a change, or a while, and not for each login;
// nobody but one waits for it; a store that is down is asked again.
func TestCensusSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := people(t, []scram.Hash{scram.SHA1})
		c := &counting{HashCounter: m}
		x := scram.NewCensus(c, nil)
		check := func(asked int64, want string) {
			t.Helper()
			if got := fmt.Sprint(x.Hashes(t.Context(), host)); got != want || c.asked.Load() != asked {
				t.Errorf("got %s after %d, want %s after %d", got, c.asked.Load(), want, asked)
			}
		}
		check(1, "[SHA-1]")
		check(1, "[SHA-1]")
		if err := m.AddKey(t.Context(), "0@"+host, 1, mustKey(t, keySHA256)); err != nil {
			t.Fatal(err)
		}
		x.Changed("0@" + host)
		check(1, "[SHA-1]") // not at once
		time.Sleep(10 * time.Second)
		check(2, "[SHA-256 SHA-1]")
		x.Changed("0@example.org") // nobody has asked for that
		time.Sleep(time.Minute)
		check(2, "[SHA-256 SHA-1]")
		time.Sleep(10 * time.Minute)
		check(3, "[SHA-256 SHA-1]")

		c.hold = make(chan struct{})
		x.Changed("0@" + host)
		time.Sleep(10 * time.Second)
		go x.Hashes(context.Background(), host)
		synctest.Wait()
		x.Changed("0@" + host)      // is perhaps not counted
		check(4, "[SHA-256 SHA-1]") // does not wait
		close(c.hold)
		synctest.Wait()
		time.Sleep(10 * time.Second)
		check(5, "[SHA-256 SHA-1]")

		c.fails.Store(true)
		time.Sleep(10 * time.Minute)
		check(6, "[SHA-256 SHA-1]")
		c.fails.Store(false)
		time.Sleep(10 * time.Second)
		check(7, "[SHA-256 SHA-1]")
	})
}

// TestCensusAllocs: a login costs nothing more.
func TestCensusAllocs(t *testing.T) {
	b := newBed(t, scram.Options{})
	x := scram.NewCensus(b.store, nil)
	ctx := t.Context()
	x.Hashes(ctx, host)
	before := testing.AllocsPerRun(100, func() { b.On(scram.Connection{}) })
	if n := testing.AllocsPerRun(100, func() { b.On(scram.Connection{Hashes: x.Hashes(ctx, host)}) }); n != before {
		t.Errorf("%v allocations, %v without", n, before)
	}
}

// TestOfferHashes: what is listed is what can be had, and what is not listed cannot.
func TestOfferHashes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		o      scram.Options
		hashes []scram.Hash
		want   string
	}{
		{"not known", scram.Options{}, nil, bareNames},
		{"one", scram.Options{}, []scram.Hash{scram.SHA1}, "SCRAM-SHA-1 PLAIN"},
		{"two", scram.Options{DisablePlain: true}, []scram.Hash{scram.SHA1, scram.SHA512}, "SCRAM-SHA-512 SCRAM-SHA-1"},
		{"none of the policy's", scram.Options{Policy: scram.Policy{Hashes: []scram.Hash{scram.SHA256}}}, []scram.Hash{scram.SHA1}, "SCRAM-SHA-256 PLAIN"},
	} {
		o := newBed(t, tt.o).On(scram.Connection{Hashes: tt.hashes})
		if got := strings.Join(o.Mechanisms(), " "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		for _, m := range strings.Fields(bareNames) {
			if _, err := o.Start(m, host); (err == nil) != slices.Contains(o.Mechanisms(), m) {
				t.Errorf("%s: %s: error %v", tt.name, m, err)
			}
		}
	}
}

// TestChanged: whoever writes keys says so.
func TestChanged(t *testing.T) {
	t.Parallel()
	var told []string
	changed := func(account string) { told = append(told, account) }
	b := newBed(t, scram.Options{Changed: changed})
	o := cheap()
	o.Changed = changed
	s := scram.NewService(b.store, o)
	expect := func(what, account string, err error) {
		t.Helper()
		if err != nil || !slices.Contains(told, account+"@"+host) {
			t.Errorf("%s: told of %v, error %v", what, told, err)
		}
		told = nil
	}
	expect("create", "new", s.Create(t.Context(), "new@"+host, "parting is such sweet sorrow"))
	expect("password", "new", s.SetPassword(t.Context(), "new@"+host, "a rose by any other name"))
	expect("remove", "new", s.Remove(t.Context(), "new@"+host))
	expect("PLAIN", "old", plain(t, b.Authenticator, "", "old", "pencil", nil))
	if err := plain(t, b.Authenticator, "", "old", "pencil", nil); err != nil || len(told) != 0 {
		t.Errorf("nothing to renew: told of %v, error %v", told, err)
	}
	b = newBed(t, scram.Options{Changed: changed})
	c, err := b.store.Credentials(t.Context(), "old@"+host)
	if err != nil {
		t.Fatal(err)
	}
	salt, n, finish, err := b.BeginUpgrade(t.Context(), "old@"+host, c.Generation, upgrade256)
	if err != nil {
		t.Fatal(err)
	}
	expect("upgrade", "old", finish(t.Context(), salted(t, scram.SHA256, salt, n)))
}
