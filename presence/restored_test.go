package presence_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
)

// TestRestored: GS-2a, what a restored session has missed is asked for after a restart:
// whom it receives presence from, remote ones not too fast, and only once.
func TestRestored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := filled(t)
		exts := func() []mux.Extension {
			return append(extensions(store, &presence.Options{ProbesPerSecond: 1}), keeper{})
		}
		h := muxtest.New(t, &mux.Options{NoRecover: true, Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)}, exts()...)
		juliet, nurse := h.Connect(t, julietFull), h.Connect(t, nurseFull)
		h.Connect(t, "juliet@example.net/never").Drop() // bound, but not available
		juliet.Send("<presence/>")
		nurse.Send("<presence/>", "<presence type='unavailable'/>")
		nurse.Close()
		juliet.Drop()
		for _, domain := range []string{"example.org", "example.com"} {
			h.Routed(domain)
		}

		h.Restart(exts()...)
		h.Settle()
		first := h.Routed("example.org")
		time.Sleep(time.Second)
		h.Settle()
		got := slices.Concat(first, h.Routed("example.org"))
		slices.Sort(got)
		want := []string{
			"<presence from='juliet@example.net/balcony' to='both@example.org' type='probe'/>",
			"<presence from='juliet@example.net/balcony' to='to@example.org' type='probe'/>",
		}
		if !slices.Equal(got, want) || len(first) != 1 {
			t.Errorf("%d of %q at once, want 1 of %q", len(first), got, want)
		}
		again := h.Dial(t, "juliet@example.net")
		if err := again.Resume(&mux.Resumption{ID: juliet.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		again.Expect("<presence type='unavailable' from='nurse@example.net' to='" + julietFull + "'/>")
		again.ExpectNone()
		time.Sleep(time.Minute)
		h.Settle()
		if more := slices.Concat(h.Routed("example.org"), h.Routed("example.com")); len(more) > 0 {
			t.Errorf("then %q was sent", more)
		}
	})
}

// TestRestoredSeeEachOther: what sessions of one account were about to be told of each
// other when the process ended is told again (GS-2a).
func TestRestoredSeeEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := filled(t)
		exts := func() []mux.Extension { return append(extensions(store, nil), keeper{}) }
		h := muxtest.New(t, &mux.Options{NoRecover: true, Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)}, exts()...)
		balcony, garden := h.Connect(t, julietFull), h.Connect(t, "juliet@example.net/garden")
		h.Connect(t, "juliet@example.net/never").Drop() // bound, but not available
		balcony.Send("<presence><status>sighs</status></presence>")
		garden.Send("<presence><status>walks</status></presence>")
		h.Settle()
		balcony.Drop()
		garden.Drop()
		h.Restart(exts()...)
		h.Settle()
		for _, c := range []struct {
			was  *muxtest.Client
			want string
		}{
			{balcony, "<presence from='juliet@example.net/garden' to='" + julietFull + "'><status>walks</status></presence>"},
			{garden, "<presence from='" + julietFull + "' to='juliet@example.net/garden'><status>sighs</status></presence>"},
		} {
			again := h.Dial(t, "juliet@example.net")
			if err := again.Resume(&mux.Resumption{ID: c.was.Session.ID()}); err != nil {
				t.Fatal(err)
			}
			again.Expect(c.want)
			again.ExpectNone()
		}
	})
}

// TestRestoredStops: a shutdown does not wait for probes that have time.
func TestRestoredStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := filled(t)
		exts := func() []mux.Extension {
			return append(extensions(store, &presence.Options{ProbesPerSecond: 1}), keeper{})
		}
		h := muxtest.New(t, &mux.Options{NoRecover: true, Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)}, exts()...)
		juliet := h.Connect(t, julietFull)
		juliet.Send("<presence/>")
		begin := time.Now()
		h.Restart(exts()...)
		h.Settle()
		h.Restart(exts()...)
		h.Settle()
		if d := time.Since(begin); d != 0 {
			t.Errorf("took %s", d)
		}
	})
}
