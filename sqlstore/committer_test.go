package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/scram"
	sqlite3 "modernc.org/sqlite/lib"
)

// ending is one notification.
type ending struct {
	n   uint64
	err error
}

// listen collects the ends of submissions, one for each: a notification speaks
// for all before it.
func listen(d *DB) <-chan ending {
	ended := make(chan ending, 4096)
	d.Notify(each(func(n uint64, err error) { ended <- ending{n, err} }))
	return ended
}

func each(f func(n uint64, err error)) func(n uint64, err error) {
	last := uint64(0)
	return func(n uint64, err error) {
		for last < n {
			last++
			f(last, err)
		}
	}
}

var errPurpose = errors.New("on purpose")

// save keeps a session named id.
func save(d *DB, id string) mux.Write {
	return d.Sessions().Save(mux.SavedSession{ID: id, JID: mux.MustParseAddress("juliet@example.net/balcony")})
}

// execute is a write of one statement, with its error.
func execute(query string, args ...any) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		_, err := tx.(*Tx).Exec(ctx, query, args...)
		return err
	}
}

// block holds up the writer until the function it returns is called.
func block(t *testing.T, d *DB) (release func()) {
	t.Helper()
	entered, released := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) })
	d.Submit([]mux.Write{func(context.Context, mux.Tx) error {
		enter()
		<-released
		return nil
	}})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	await(t, entered, "the first write")
	return release
}

func wantSessions(t *testing.T, d *DB, want ...string) {
	t.Helper()
	all, err := d.Sessions().Load(t.Context())
	must(t, err)
	var got []string
	for _, s := range all {
		got = append(got, s.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got sessions %q, want %q", got, want)
	}
}

// TestFailuresAreApart has submissions of one transaction of which some fail in
// every way they can.
func TestFailuresAreApart(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	ended := listen(d)
	release := block(t, d)
	panics := func(context.Context, mux.Tx) error { panic("on purpose") }
	refuses := func(context.Context, mux.Tx) error { return errPurpose }
	hides := func(ctx context.Context, tx mux.Tx) error {
		_ = execute("INSERT INTO secret (name, value) VALUES ('x', NULL)")(ctx, tx)
		return nil
	}
	for _, writes := range [][]mux.Write{
		{save(d, "a")},                    // 2
		{save(d, "b"), refuses},           // 3
		{save(d, "c"), panics},            // 4
		{save(d, "d")},                    // 5
		{save(d, "e"), hides},             // 6
		{hides},                           // 7
		{save(d, "f"), execute("no SQL")}, // 8
		{save(d, "g"), save(d, "h")},      // 9
	} {
		d.Submit(writes)
	}
	release()
	fails := []uint64{3, 4, 6, 7, 8}
	for n := uint64(1); n <= 9; n++ {
		e := await(t, ended, "the end of a submission")
		if e.n != n || (e.err != nil) != slices.Contains(fails, n) {
			t.Errorf("submission %d ended with %v, want %d of which %v fail", e.n, e.err, n, fails)
		}
		if n == 3 && !errors.Is(e.err, errPurpose) {
			t.Errorf("submission 3 ended with %v, want %v", e.err, errPurpose)
		}
	}
	wantSessions(t, d, "a", "d", "g", "h")
}

// TestFullDisk fails everything that waits, and goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	ended := listen(d)
	release := block(t, d)
	d.Submit([]mux.Write{save(d, "a")})
	d.Submit([]mux.Write{execute("PRAGMA max_page_count = 1"), d.Sessions().Save(mux.SavedSession{
		ID: "b", JID: mux.MustParseAddress("juliet@example.net/balcony"), Data: make([]byte, 1<<20),
	})})
	d.Submit([]mux.Write{save(d, "c")})
	release()
	for n := uint64(1); n <= 4; n++ {
		e := await(t, ended, "the end of a submission")
		if full := code(e.err) == sqlite3.SQLITE_FULL; e.n != n || full != (n > 1) {
			t.Errorf("submission %d ended with %v", e.n, e.err)
		}
	}
	d.Submit([]mux.Write{save(d, "d")})
	if e := await(t, ended, "the end of a submission"); e.err != nil {
		t.Errorf("after the disk was full: %v", e.err)
	}
	wantSessions(t, d, "d")
}

// TestLostTransaction has a transaction that is gone before its end, as SQLite
// may do on errors; the connection is replaced.
func TestLostTransaction(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	ended := listen(d)
	d.Submit([]mux.Write{save(d, "a"), execute("ROLLBACK")})
	if e := await(t, ended, "the end of a submission"); e.err == nil {
		t.Error("a submission without a transaction ended well")
	}
	d.Submit([]mux.Write{save(d, "b")})
	if e := await(t, ended, "the end of a submission"); e.err != nil {
		t.Errorf("after the transaction was lost: %v", e.err)
	}
	wantSessions(t, d, "b")
}

// TestForeignWrite gives a write to another committer.
func TestForeignWrite(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	juliet := mux.MustParseAddress("juliet@example.net")
	for i, w := range []mux.Write{
		save(d, "a"), d.Sessions().Delete("a"), d.RemoveAccountData(juliet), d.Rosters().RemoveAccount(juliet),
		d.Rosters().Delete(juliet, juliet, 1),
	} {
		if err := w(t.Context(), nil); err == nil {
			t.Errorf("write %d accepted a foreign transaction", i)
		}
	}
}

// TestReadYourWrites loads right after Submit.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	for i := range 50 {
		d.Submit([]mux.Write{save(d, fmt.Sprintf("%02d", i))})
		all, err := d.Sessions().Load(t.Context())
		must(t, err)
		if len(all) != i+1 {
			t.Fatalf("%d sessions after %d submissions", len(all), i+1)
		}
	}
}

// queued reports whether something waits behind what is under way.
func queued(d *DB) bool {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	return len(d.w.open.subs) > 0
}

// TestAbandoned ends the context of an operation before its turn.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	release := block(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := d.Accounts().Create(ctx, "juliet@example.net", scram.Credentials{})
		got <- err
	}()
	for !queued(d) { // until it waits for its turn
		runtime.Gosched()
	}
	cancel()
	if err := await(t, got, "the return of Create"); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	release()
	must(t, d.do(t.Context(), nil))
	if _, err := d.Accounts().Credentials(t.Context(), "juliet@example.net"); !errors.Is(err, scram.ErrNoAccount) {
		t.Errorf("an abandoned Create: got error %v, want %v", err, scram.ErrNoAccount)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	d := temp(t, &Options{Linger: time.Hour})
	path := d.path
	ended := listen(d)
	const before, after = 100, 10
	for i := range before {
		d.Submit([]mux.Write{save(d, fmt.Sprintf("%03d", i))})
	}
	must(t, d.Close())
	if len(ended) != before {
		t.Fatalf("%d of %d submissions had ended when Close returned", len(ended), before)
	}
	for range after {
		d.Submit([]mux.Write{save(d, "late")})
	}
	for n := range uint64(before + after) {
		e := await(t, ended, "the end of a submission")
		if late := e.n > before; e.n != n+1 || errors.Is(e.err, ErrClosed) != late || !late && e.err != nil {
			t.Fatalf("submission %d ended with %v, want %d", e.n, e.err, n+1)
		}
	}
	if _, err := d.Secret(t.Context(), "x", 32); !errors.Is(err, ErrClosed) {
		t.Errorf("Secret: got error %v, want %v", err, ErrClosed)
	}
	if _, err := d.Accounts().Credentials(t.Context(), "x"); err == nil {
		t.Error("Credentials of a closed database")
	}
	must(t, d.Close())
	all, err := reopen(t, path, nil).Sessions().Load(t.Context())
	must(t, err)
	if len(all) != before {
		t.Errorf("%d sessions, want %d", len(all), before)
	}
}

// TestLinger uses a fake clock.
func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const linger = time.Minute
		d := temp(t, &Options{Linger: linger})
		ended := listen(d)
		d.Submit([]mux.Write{save(d, "a")})
		time.Sleep(linger / 2)
		d.Submit([]mux.Write{save(d, "b")})
		time.Sleep(linger/2 - 1)
		synctest.Wait()
		if len(ended) != 0 {
			t.Fatal("a submission did not linger")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if len(ended) != 2 {
			t.Fatalf("%d submissions ended in time, want 2", len(ended))
		}
		// Who waits does not linger, nor what was submitted before.
		start := time.Now()
		d.Submit([]mux.Write{save(d, "c")})
		wantSessions(t, d, "a", "b", "c")
		if took := time.Since(start); took != 0 {
			t.Errorf("Load lingered for %v", took)
		}
		must(t, d.Close()) // inside the bubble
	})
}
