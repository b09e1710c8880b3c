package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

func message(id string) archive.Entry {
	return archive.Entry{ID: id, At: time.Unix(1_700_000_000, 0), With: mux.MustParseAddress("nurse@example.org"), Stanza: []byte("<message/>")}
}

// archived is what an archive has, and how many that are.
func archived(t *testing.T, d *DB, account mux.Address) string {
	t.Helper()
	p, err := d.Archives().Page(t.Context(), account, archive.Query{Max: 100})
	must(t, err)
	var ids []string
	for _, e := range p.Entries {
		ids = append(ids, e.ID)
	}
	return fmt.Sprint(strings.Join(ids, " "), ", ", p.Count)
}

// TestArchiveRollback: what the goroutine that writes remembers of an archive is what
// is there, also when writes fail in the same batch.
func TestArchiveRollback(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	juliet, romeo := mux.MustParseAddress("juliet@example.net"), mux.MustParseAddress("romeo@example.net")
	failing := func(context.Context, mux.Tx) error { return errors.New("no") }
	marks := make(map[string]int64)
	mark := func(name string) mux.Write {
		return d.Archives().Mark(juliet, func(last int64) { marks[name] = last })
	}
	hold := make(chan struct{})
	d.Submit([]mux.Write{func(context.Context, mux.Tx) error { <-hold; return nil }}) // the rest shares a transaction
	a := d.Archives()
	d.Submit([]mux.Write{a.Append(juliet, message("m1"))})
	d.Submit([]mux.Write{a.Append(juliet, message("lost")), a.Append(romeo, message("lost")), failing})
	d.Submit([]mux.Write{a.Append(juliet, message("m2")), mark("two")})
	d.Submit([]mux.Write{a.Remove(juliet, archive.Removal{All: true}), failing})
	d.Submit([]mux.Write{a.Append(juliet, message("m3")), a.Append(romeo, message("r1")), mark("three")})
	close(hold)
	if got := archived(t, d, juliet); got != "m1 m2 m3, 3" {
		t.Errorf("got %s", got)
	}
	if got := archived(t, d, romeo); got != "r1, 1" {
		t.Errorf("romeo has %s", got)
	}
	if marks["two"] != 2 || marks["three"] != 3 {
		t.Errorf("marks %v", marks)
	}
}

// TestArchiveReopened: an archive goes on where it ended.
func TestArchiveReopened(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	juliet := mux.MustParseAddress("juliet@example.net")
	d.Submit([]mux.Write{d.Archives().Append(juliet, message("m1"))})
	must(t, d.Close())
	d = reopen(t, d.path, nil)
	d.Submit([]mux.Write{d.Archives().Append(juliet, message("m2"))})
	if got := archived(t, d, juliet); got != "m1 m2, 2" {
		t.Errorf("got %s", got)
	}
}

// TestArchiveOfRemovedAccount: nothing of it is left, and the next of that name begins
// with nothing.
func TestArchiveOfRemovedAccount(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	juliet, romeo := mux.MustParseAddress("juliet@example.net"), mux.MustParseAddress("romeo@example.net")
	for _, a := range []mux.Address{juliet, romeo} {
		d.Submit([]mux.Write{d.Archives().Append(a, message("m1")), d.Archives().Append(a, message("m2"))})
	}
	d.Submit([]mux.Write{d.RemoveAccountData(juliet), d.Archives().Append(juliet, message("m3"))})
	if got := archived(t, d, juliet); got != "m3, 1" {
		t.Errorf("got %s", got)
	}
	d.Submit([]mux.Write{d.RemoveAccountData(juliet)})
	must(t, d.settle(t.Context()))
	var n int
	must(t, d.read.QueryRow("SELECT count(*) FROM archive_message").Scan(&n))
	if got := archived(t, d, romeo); n != 2 || got != "m1 m2, 2" {
		t.Errorf("%d messages are left, romeo has %s", n, got)
	}
}
