package sqlstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// child is the other process: it commits until it is killed and prints what was
// acknowledged, one number a line. Each submission has two rows.
func child(path string) error {
	d, err := Open(context.Background(), path, nil)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	acknowledged := make(chan uint64, 1024)
	d.Notify(each(func(n uint64, err error) {
		if err == nil {
			acknowledged <- n
		}
	}))
	const ahead = 20 // submissions under way
	for range ahead {
		submitPair(d)
	}
	for n := range acknowledged {
		if _, err := fmt.Fprintln(out, n); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		submitPair(d)
	}
	return nil
}

// submitPair saves two sessions named after the number of their submission; the
// caller is the only one to submit.
func submitPair(d *DB) {
	d.w.mu.Lock()
	next := d.w.number + 1
	d.w.mu.Unlock()
	var writes []mux.Write
	for _, half := range []string{"a", "b"} {
		id := half + strconv.FormatUint(next, 10)
		writes = append(writes, d.Sessions().Save(mux.SavedSession{ID: id, JID: mux.MustParseAddress("juliet@example.net/x")}))
	}
	d.Submit(writes)
}

// startChild starts this test binary again, with another task.
func startChild(t *testing.T, path string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run=^$")
	cmd.Env = append(os.Environ(), "SQLSTORE_CHILD="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have been killed before
		_ = cmd.Wait()
	})
	return cmd, bufio.NewReader(out)
}

// TestCrash kills a process in the middle of its commits.
func TestCrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	last, kept := 0, map[string]bool{}
	for round := range 4 {
		must(t, removeSessions(t, path, round))
		cmd, out := startChild(t, path)
		for range 100 + 37*round {
			line, err := out.ReadString('\n')
			must(t, err)
			last, err = strconv.Atoi(strings.TrimSpace(line))
			must(t, err)
		}
		must(t, cmd.Process.Kill())
		rest, err := io.ReadAll(out) // acknowledged before the kill took effect
		must(t, err)
		lines := strings.Split(string(rest), "\n")
		for _, line := range lines[:len(lines)-1] { // the last may be torn
			last, err = strconv.Atoi(line)
			must(t, err)
		}
		d := reopen(t, path, nil) // the lock went with the process
		all, err := d.Sessions().Load(t.Context())
		must(t, err)
		clear(kept)
		for _, s := range all {
			kept[s.ID] = true
		}
		for n := 1; n <= last; n++ {
			if !kept["a"+strconv.Itoa(n)] || !kept["b"+strconv.Itoa(n)] {
				t.Fatalf("round %d: submission %d of %d acknowledged is not there", round, n, last)
			}
		}
		for id := range kept {
			if !kept["a"+id[1:]] || !kept["b"+id[1:]] {
				t.Errorf("round %d: submission %s is there by half", round, id[1:])
			}
		}
		must(t, d.Close())
	}
}

// removeSessions empties the database between rounds.
func removeSessions(t *testing.T, path string, round int) error {
	if round == 0 {
		return nil
	}
	d := reopen(t, path, nil)
	err := d.do(t.Context(), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM session")
		return err
	})
	return errors.Join(err, d.Close())
}

func TestLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	cmd, out := startChild(t, path)
	_, err := out.ReadString('\n')
	must(t, err)
	_, err = Open(t.Context(), path, nil)
	if !errors.Is(err, ErrLocked) {
		t.Errorf("open in another process: got error %v, want %v", err, ErrLocked)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it reports the signal
	d := reopen(t, path, nil)
	link := path + "-link"
	must(t, os.Symlink(path, link))
	for _, p := range []string{path, link} {
		if _, err := Open(t.Context(), p, nil); !errors.Is(err, ErrLocked) {
			t.Errorf("open in this process: got error %v, want %v", err, ErrLocked)
		}
	}
	must(t, d.Close())
	reopen(t, link, nil)
}
