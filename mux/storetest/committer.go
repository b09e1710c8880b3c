package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestCommitter checks a committer, with the sessions that it keeps. Each check
// opens one of its own, which must be empty, must have been given no
// submission, and is cleaned up by what open registers with t.Cleanup.
func TestCommitter(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"numbers", testNumbers},
		{"no writes", testNothing},
		{"writes are applied in order", testApplied},
		{"the slice is not kept", testSlice},
		{"a submission is atomic", testAtomic},
		{"a panic is a failure", testPanic},
		{"submit does not wait", testBlocked},
		{"submit from a notification", testNested},
		{"many submitters", testMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(open(t))
			c.run(t, s)
			if s.twice.Load() {
				t.Error("two notifications at once")
			}
		})
	}
}

var errWrite = errors.New("this write fails on purpose")

func fail(context.Context, mux.Tx) error { return errWrite }

// save keeps a session named id.
func (s *suite) save(id string) mux.Write {
	return s.Sessions.Save(mux.SavedSession{ID: id, JID: balcony})
}

// wantIDs compares the sessions kept; ids are given in order.
func (s *suite) wantIDs(t *testing.T, ids ...string) {
	t.Helper()
	var got []string
	for _, saved := range s.load(t) {
		got = append(got, saved.ID)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("got sessions %q, want %q", got, ids)
	}
}

func testNumbers(t *testing.T, s *suite) {
	last := uint64(0)
	for i := range 10 {
		n := s.Committer.Submit([]mux.Write{s.save(fmt.Sprint(i))})
		if n < last || n == 0 || i == 0 && n != 1 {
			t.Fatalf("submission %d has number %d after %d", i, n, last)
		}
		last = n
	}
	if err := s.wait(t, last); err != nil {
		t.Fatal(err)
	}
	if n := s.Committer.Submit(nil); n <= last {
		t.Errorf("number %d again: batch %d had ended", n, last)
	} else if err := s.wait(t, n); err != nil {
		t.Error(err)
	}
}

func testNothing(t *testing.T, s *suite) {
	s.apply(t)
	s.apply(t, s.save("a"))
	s.apply(t)
	s.wantIDs(t, "a")
}

// testApplied looks at the order across submissions, and that no two writes run
// at once.
func testApplied(t *testing.T, s *suite) {
	var (
		order []int // used by the committer's goroutine, read after the last batch
		last  uint64
	)
	const submissions, writes = 50, 3
	for i := range submissions {
		var w []mux.Write
		for j := range writes {
			w = append(w, func(context.Context, mux.Tx) error {
				order = append(order, i*writes+j)
				return nil
			})
		}
		last = s.Committer.Submit(w)
	}
	if err := s.wait(t, last); err != nil {
		t.Fatal(err)
	}
	if len(order) != submissions*writes || !slices.IsSorted(order) {
		t.Errorf("writes were applied in the order %v", order)
	}
}

func testSlice(t *testing.T, s *suite) {
	release := s.block(t)
	writes := []mux.Write{s.save("a"), s.save("b")}
	n := s.Committer.Submit(writes)
	writes[0], writes[1] = fail, nil
	release()
	if err := s.wait(t, n); err != nil {
		t.Fatal(err)
	}
	s.wantIDs(t, "a", "b")
}

// testAtomic lets submissions fail at each of their writes.
func testAtomic(t *testing.T, s *suite) {
	s.apply(t, s.save("before"))
	for at := range 3 {
		writes := []mux.Write{s.save("x"), s.Sessions.Delete("before"), s.save("y")}
		writes = slices.Insert(writes, at+1, mux.Write(fail))
		if err := s.wait(t, s.Committer.Submit(writes)); !errors.Is(err, errWrite) {
			t.Fatalf("a failed batch ended with %v, want %v", err, errWrite)
		}
		s.wantIDs(t, "before")
	}
	// Later batches go on.
	s.apply(t, s.save("later"))
	s.wantIDs(t, "before", "later")
}

func testPanic(t *testing.T, s *suite) {
	n := s.Committer.Submit([]mux.Write{s.save("x"), func(context.Context, mux.Tx) error { panic("on purpose") }})
	if err := s.wait(t, n); err == nil {
		t.Error("the batch of a write that panicked ended well")
	}
	s.apply(t, s.save("later"))
	s.wantIDs(t, "later")
}

// block holds up the committer in a write until the function it returns is
// called.
func (s *suite) block(t *testing.T) (release func()) {
	t.Helper()
	entered, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.Committer.Submit([]mux.Write{func(context.Context, mux.Tx) error {
		once.Do(func() { close(entered) })
		<-released
		return nil
	}})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	await(t, entered, "the first write")
	return release
}

func testBlocked(t *testing.T, s *suite) {
	release := s.block(t)
	const submissions = 1000
	last := make(chan uint64, 1)
	go func() {
		var n uint64
		for i := range submissions {
			n = s.Committer.Submit([]mux.Write{s.save(fmt.Sprintf("%04d", i))})
		}
		last <- n
	}()
	n := await(t, last, "the return of Submit while the store is blocked")
	if len(s.ended) != 0 {
		t.Errorf("batch %d ended while its write was under way", (<-s.ended).batch)
	}
	release()
	for before := uint64(0); before < n; {
		r := s.next(t)
		if r.err != nil || r.batch <= before {
			t.Fatalf("batch %d after %d: %v", r.batch, before, r.err)
		}
		before = r.batch
	}
	if got := len(s.load(t)); got != submissions {
		t.Errorf("%d sessions, want %d", got, submissions)
	}
}

// testNested submits on the goroutine of a notification, as gates that open do.
func testNested(t *testing.T, s *suite) {
	second := make(chan uint64, 1)
	s.onEnd = func(batch uint64) {
		if batch == 1 {
			second <- s.Committer.Submit([]mux.Write{s.save("b")})
		}
	}
	s.Committer.Submit([]mux.Write{s.save("a")})
	n := await(t, second, "the return of Submit")
	if err := s.wait(t, n); err != nil {
		t.Fatal(err)
	}
	s.wantIDs(t, "a", "b")
}

// testMany has concurrent submitters of which some fail; batches that failed
// left nothing, all others everything.
func testMany(t *testing.T, s *suite) {
	const submitters, each = 8, 40
	type submission struct {
		number uint64
		id     string
		fails  bool
	}
	all := make(chan submission, submitters*each)
	var wg sync.WaitGroup
	for i := range submitters {
		wg.Go(func() {
			for j := range each {
				id := fmt.Sprintf("%d-%02d", i, j)
				writes := []mux.Write{s.save(id + "a"), s.save(id + "b")}
				fails := j%10 == i
				if fails {
					writes = append(writes, fail)
				}
				all <- submission{s.Committer.Submit(writes), id, fails}
			}
		})
	}
	wg.Wait()
	close(all)
	var submissions []submission
	last := uint64(0)
	for sub := range all {
		submissions = append(submissions, sub)
		last = max(last, sub.number)
	}
	failed := make(map[uint64]bool)
	for before := uint64(0); before < last; {
		r := s.next(t)
		if r.batch <= before {
			t.Fatalf("batch %d ended after %d", r.batch, before)
		}
		for before < r.batch {
			before++
			failed[before] = r.err != nil
		}
	}
	kept := make(map[string]bool)
	for _, saved := range s.load(t) {
		kept[saved.ID] = true
	}
	for _, sub := range submissions {
		bad, ended := failed[sub.number]
		if !ended || sub.fails && !bad {
			t.Errorf("submission %s, which fails: %t; batch %d ended: %t, failed: %t", sub.id, sub.fails, sub.number, ended, bad)
		}
		if kept[sub.id+"a"] == bad || kept[sub.id+"b"] == bad {
			t.Errorf("batch failed: %t; %s kept: %t, %t", bad, sub.id, kept[sub.id+"a"], kept[sub.id+"b"])
		}
	}
}
