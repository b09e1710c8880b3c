package sqlstore

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

// TestRemovalPlans: whatever removes rows of an account finds them by an index.
func TestRemovalPlans(t *testing.T) {
	t.Parallel()
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	must(t, err)
	defer func() { must(t, d.Close()) }()
	for _, query := range slices.Concat(removals, []string{
		removePart, disown, disowned, listArchives,
		"DELETE FROM archive_message WHERE id >= ? AND id < ? AND (id < ? OR at < ?)",
		"DELETE FROM offline_message WHERE account = ? AND uid <> ''",
		"DELETE FROM offline_message WHERE id = ? AND account = ?",
		"DELETE FROM blocked WHERE account = ? AND address = ?",
		"SELECT count(*), coalesce(sum(length(item) + length(uid)), 0) FROM offline_message WHERE account = ?",
		"SELECT address FROM blocked WHERE account = ? ORDER BY address",
		"SELECT space, name, octet_length(xml) FROM private_xml WHERE account = ?",
		"SELECT xml FROM vcard WHERE account = ?",
	}) {
		args := make([]any, max(1, strings.Count(query, "?")))
		if strings.Contains(query, "?2") {
			args = args[:2]
		} else if strings.Contains(query, "?1") {
			args = args[:1]
		}
		rows, err := d.read.Query("EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		for rows.Next() {
			var id, parent, unused sql.NullInt64
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			if strings.HasPrefix(detail, "SCAN") || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%s: %s", query, detail)
			}
		}
		must(t, rows.Err())
		must(t, rows.Close())
	}
}

// TestLargeArchiveRemoved: a large archive is gone at once with its account, and its
// messages little by little, also if the DB is closed in between.
func TestLargeArchiveRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	d, err := Open(t.Context(), path, nil)
	must(t, err)
	juliet := mux.MustParseAddress("juliet@example.net")
	var writes []mux.Write
	for i := range removeAtOnce + 2*removeLater + 1 {
		writes = append(writes, d.Archives().Append(juliet, archive.Entry{ID: strconv.Itoa(i), With: juliet, Stanza: []byte("<message/>")}))
	}
	d.Submit(writes)
	must(t, d.settle(t.Context()))
	d.w.tx.tx.purge = func() {} // as if the process ended now
	d.Submit([]mux.Write{d.RemoveAccountData(juliet), d.Archives().Append(juliet, archive.Entry{ID: "new", With: juliet, Stanza: []byte("<message/>")})})
	p, err := d.Archives().Page(t.Context(), juliet, archive.Query{Max: 10})
	must(t, err)
	list, err := d.Archives().Archives(t.Context(), mux.Address{}, 10)
	must(t, err)
	if p.Count != 1 || p.Entries[0].ID != "new" || len(list) != 1 {
		t.Errorf("got %+v of %v", p, list)
	}
	if _, err := d.Archives().Page(t.Context(), juliet, archive.Query{PageAfter: "12000", Max: 1}); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("an old message: error %v", err)
	}
	must(t, d.Close())
	d, err = Open(t.Context(), path, nil)
	must(t, err)
	d.purge() // beside the one that Open has begun
	var messages, archives int
	must(t, d.read.QueryRow("SELECT (SELECT count(*) FROM archive_message), (SELECT count(*) FROM archive)").Scan(&messages, &archives))
	if messages != 1 || archives != 1 {
		t.Errorf("%d messages of %d archives are left", messages, archives)
	}
	must(t, d.Close())
}
