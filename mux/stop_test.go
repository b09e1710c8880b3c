package mux_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// What waits behind a feed when the mux shuts down, or was queued before stream
// management was enabled, is in what is saved.
func TestShutdownSavesWhatWaits(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"feed", "feed, hibernating", "queued"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st, c := new(store), new(muxtest.Committer)
				exts := []mux.Extension{&smacks{keep: time.Hour}, new(ledger), st}
				h := muxtest.New(t, &mux.Options{Sessions: new(mux.MemorySessions), Committer: c}, exts...)
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				enable := "<enable xmlns='" + nsSM + "'/>"
				switch what {
				case "queued":
					c.Hold()
					romeo.Send(send("1", "2")...)
					juliet.Send(enable)
					juliet.Drop()
					c.Release()
				default:
					juliet.Send(enable)
					juliet.Clear()
					juliet.Session.Feed(func(ctx context.Context, _ func(mux.Item)) (bool, error) {
						<-ctx.Done()
						return false, ctx.Err()
					})
					if what != "feed" {
						juliet.Drop()
					}
					romeo.Send(send("1", "2")...)
				}
				juliet.ExpectNone()
				h.Restart(&smacks{keep: time.Hour}, new(ledger), st)
				again := resume(t, h, juliet, "0")
				again.Expect(resumed("0"), message("1"), message("2"), ask)
				again.ExpectNone()
				st.want(t)
			})
		})
	}
}

// However many sessions there are, a shutdown takes a commit or two, not one after
// another.
func TestShutdownOfManySessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		c, sessions := new(muxtest.Committer), new(mux.MemorySessions)
		h := muxtest.New(t, &mux.Options{Committer: c, Sessions: sessions}, &smacks{keep: time.Hour})
		for i := range n {
			h.Connect(t, fmt.Sprintf("u%d@example.net/x", i)).Send("<enable xmlns='" + nsSM + "'/>")
		}
		c.Hold()
		before := c.Batches()
		done := make(chan error, 1)
		go func() { done <- h.Mux().Shutdown(context.Background()) }()
		for range 3 { // a slow store
			time.Sleep(time.Second)
			c.Commit()
		}
		h.Settle()
		if len(done) == 0 {
			t.Fatalf("not done after %d commits", c.Batches()-before)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		saved, err := sessions.Load(t.Context())
		if err != nil || len(saved) != n {
			t.Errorf("%d sessions are saved (%v)", len(saved), err)
		}
	})
}

// A shutdown saves at once what it saves: readers get to know when it is durable.
func TestShutdownDropsWhenSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, Sessions: new(mux.MemorySessions)}, &smacks{keep: time.Hour})
		juliet := enabled(t, h)
		c.Hold()
		done := make(chan error, 1)
		go func() { done <- h.Mux().Shutdown(context.Background()) }()
		h.Settle()
		juliet.ExpectNone()
		taker := h.Dial(t, "juliet@example.net")
		if err := taker.Resume(&mux.Resumption{ID: juliet.Session.ID()}); !errors.Is(err, mux.ErrNoSession) {
			t.Errorf("resumed after it was saved: %v", err)
		}
		c.Release()
		h.Settle()
		juliet.Expect(muxtest.Dropped)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// brokenHost is a host whose accounts cannot be looked up for the time being.
type brokenHost struct {
	*muxtest.Host
	err error
}

func (h *brokenHost) LoadAccount(ctx context.Context, a mux.Address) (bool, error) {
	if h.err != nil {
		return false, h.err
	}
	return h.Host.LoadAccount(ctx, a)
}

// A failure to look an account up says nothing of its sessions: the mux does not
// start, and they are still there when it can.
func TestRestoreWithBrokenHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sessions := new(mux.MemorySessions)
		h := muxtest.New(t, &mux.Options{Sessions: sessions}, &smacks{keep: time.Hour})
		juliet := enabled(t, h)
		if err := h.Mux().Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		host := &brokenHost{h, errTest}
		for _, want := range []error{errTest, nil} {
			host.err = want
			m, err := mux.New(host, &mux.Options{Sessions: sessions}, &smacks{keep: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Start(t.Context()); !errors.Is(err, want) {
				t.Errorf("Start: %v, want %v", err, want)
			}
			if s := m.SessionByID(juliet.Session.ID()); (s != nil) != (want == nil) {
				t.Errorf("session %v when the host says %v", s, want)
			}
			if err := m.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if saved, err := sessions.Load(t.Context()); err != nil || len(saved) != 1 {
				t.Errorf("%d sessions are saved (%v)", len(saved), err)
			}
		}
	})
}
