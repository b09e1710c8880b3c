package lastactivity_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/lastactivity"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// counting counts what is written.
type counting struct {
	lastactivity.Memory
	writes atomic.Int64
}

// Set implements lastactivity.Store.
func (c *counting) Set(account mux.Address, l lastactivity.Last) mux.Write {
	w := c.Memory.Set(account, l)
	return func(ctx context.Context, tx mux.Tx) error {
		c.writes.Add(1)
		return w(ctx, tx)
	}
}

// TestWhilePresent: the time is written while a session lasts, kept ones included, and
// nothing happens for accounts that are not there (core-im LA-1).
func TestWhilePresent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, sessions := new(counting), new(mux.MemorySessions)
		o := options()
		o.Interval = 8 * time.Minute
		h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), Sessions: sessions, NoRecover: true}, lastactivity.New(store, o), keeper{})
		age := func(want time.Duration) {
			t.Helper()
			l, err := store.Load(t.Context(), juliet)
			if got := time.Since(l.At); err != nil || got != want {
				t.Errorf("written %s ago, %v; want %s", got, err, want)
			}
		}
		wait := func(d time.Duration, writes int64) {
			t.Helper()
			time.Sleep(d)
			h.Settle()
			if got := store.writes.Load(); got != writes {
				t.Errorf("%d writes, want %d", got, writes)
			}
		}
		h.Connect(t, "nurse@example.net/x") // bound, but never available
		j := h.Connect(t, juliet.String()+"/balcony")
		wait(time.Hour, 0)
		j.Send("<presence/>", "<presence><show>away</show></presence>")
		wait(7*time.Minute+30*time.Second, 0)
		wait(time.Minute, 1)
		age(30 * time.Second)
		wait(8*time.Minute, 2)
		j.Drop() // is kept
		wait(16*time.Minute, 4)
		age(30 * time.Second)

		again := h.Dial(t, juliet.String())
		if err := again.Resume(&mux.Resumption{ID: j.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		again.Drop()
		h.Restart(lastactivity.New(store, o), keeper{})
		wait(20*time.Minute, 4) // whom nobody has seen since is not written
		again = h.Dial(t, juliet.String())
		if err := again.Resume(&mux.Resumption{ID: j.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		wait(8*time.Minute+30*time.Second, 5)
		age(30 * time.Second)
		again.Send("<presence type='unavailable'/>")
		wait(time.Hour, 6)
		again.Send("<presence/>")
		again.Close()
		wait(0, 7)
		wait(time.Hour, 7)
		age(time.Hour)
	})
}

// TestNotWhilePresent: an interval below zero writes the end only.
func TestNotWhilePresent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(counting)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, lastactivity.New(store, &lastactivity.Options{Interval: -1}))
		j := h.Connect(t, juliet.String()+"/balcony")
		j.Send("<presence/>")
		time.Sleep(24 * time.Hour)
		h.Settle()
		if n := store.writes.Load(); n != 0 {
			t.Errorf("%d writes", n)
		}
		j.Close()
		h.Settle()
		if n := store.writes.Load(); n != 1 {
			t.Errorf("%d writes at the end", n)
		}
	})
}

// TestRemovedWhilePresent: who has removed the account is not written again.
func TestRemovedWhilePresent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(counting)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, lastactivity.New(store, nil))
		h.Connect(t, juliet.String()+"/balcony").Send("<presence/>")
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		writes := store.writes.Load()
		time.Sleep(time.Hour)
		h.Settle()
		if l, err := store.Load(t.Context(), juliet); err != nil || l != (lastactivity.Last{}) || store.writes.Load() != writes {
			t.Errorf("kept %+v, %v, after %d writes", l, err, store.writes.Load())
		}
	})
}
