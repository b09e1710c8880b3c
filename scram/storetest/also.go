package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/propolis-im/propolis/scram"
)

var errRefused = errors.New("refused")

// testAlso: what is done together with a change is done only if that is made, and its
// refusal undoes it.
func testAlso(t *testing.T, s Store) {
	done := 0
	also := func(refusal, err error) scram.Also {
		return func(context.Context, any) (error, error) {
			done++
			return refusal, err
		}
	}
	want := func(what string, err, wanted error, times int) {
		t.Helper()
		if !errors.Is(err, wanted) || wanted == nil && err != nil || done != times {
			t.Errorf("%s: error %v, want %v; done %d times, want %d", what, err, wanted, done, times)
		}
		done = 0
	}
	c := scram.Credentials{Keys: []scram.Key{key(scram.SHA256, 1)}}
	_, err := s.Create(t.Context(), account, c, also(errRefused, nil))
	want("refused", err, errRefused, 1)
	_, err = s.Credentials(t.Context(), account)
	want("after that", err, scram.ErrNoAccount, 0)
	from, err := s.Create(t.Context(), account, c, also(nil, nil))
	want("made", err, nil, 1)
	_, err = s.Create(t.Context(), account, c, also(nil, nil))
	want("made twice", err, scram.ErrExists, 0)
	other := scram.Credentials{Keys: []scram.Key{key(scram.SHA256, 9)}}
	_, err = s.Update(t.Context(), account, from+1, other, also(nil, nil))
	want("old generation", err, scram.ErrConflict, 0)
	_, err = s.Update(t.Context(), account, from, other, also(errRefused, nil))
	want("refused", err, errRefused, 1)
	if got := lookup(t, s, account); got.Generation != from {
		t.Error("a refused update was made")
	}
	_, err = s.Update(t.Context(), account, from, other, also(nil, nil))
	want("updated", err, nil, 1)
	wantKeys(t, lookup(t, s, account), other)
}

// testClosing: when an account is to be removed is kept and listed.
func testClosing(t *testing.T, s Store) {
	due := time.Unix(1_700_000_000, 0)
	from := create(t, s, account, scram.Credentials{})
	create(t, s, "romeo@example.net", scram.Credentials{})
	if _, err := s.Update(t.Context(), account, from, scram.Credentials{Closing: due}); err != nil {
		t.Fatal(err)
	}
	if c := lookup(t, s, account); !c.Closing.Equal(due) || !c.Refuses() {
		t.Errorf("got %+v", c)
	}
	if closing, err := s.Closing(t.Context()); err != nil || len(closing) != 1 || !closing[account].Equal(due) {
		t.Errorf("closing %v, error %v", closing, err)
	}
	if err := s.Remove(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if closing, err := s.Closing(t.Context()); err != nil || len(closing) != 0 {
		t.Errorf("closing %v, error %v", closing, err)
	}
}
