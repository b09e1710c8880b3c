package sqlstore

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRemovalPlans: whatever removes rows of an account finds them by an index.
func TestRemovalPlans(t *testing.T) {
	t.Parallel()
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	must(t, err)
	defer func() { must(t, d.Close()) }()
	for _, query := range slices.Concat(removals, removeArchives, []string{
		"DELETE FROM archive_message WHERE id >= ? AND id < ? AND (id < ? OR at < ?)",
		"DELETE FROM offline_message WHERE account = ? AND uid <> ''",
		"DELETE FROM offline_message WHERE id = ? AND account = ?",
		"DELETE FROM blocked WHERE account = ? AND address = ?",
		"SELECT count(*), coalesce(sum(length(item) + length(uid)), 0) FROM offline_message WHERE account = ?",
		"SELECT account FROM archive WHERE account > ? ORDER BY account LIMIT ?",
		"SELECT address FROM blocked WHERE account = ? ORDER BY address",
		"SELECT space, name, octet_length(xml) FROM private_xml WHERE account = ?",
		"SELECT xml FROM vcard WHERE account = ?",
	}) {
		args := make([]any, max(1, strings.Count(query, "?")))
		if strings.Contains(query, "?1") {
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
