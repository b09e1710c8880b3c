package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

var (
	benchOwner  = mux.MustParseAddress("juliet@example.net")
	benchStart  = time.Unix(1_700_000_000, 0)
	benchStanza = []byte("<message xmlns='jabber:client' from='romeo@example.net/orchard' to='juliet@example.net' type='chat' id='" +
		strings.Repeat("i", 36) + "'><body>" + strings.Repeat("Wherefore art thou? ", 8) + "</body><origin-id xmlns='urn:xmpp:sid:0' id='" + strings.Repeat("i", 36) + "'/></message>")
)

const benchPeers = 20

func benchEntry(i int) archive.Entry {
	return archive.Entry{ID: benchID(i), At: benchStart.Add(time.Duration(i) * time.Second), Stanza: benchStanza,
		With: mux.MustParseAddress(fmt.Sprintf("contact%d@example.org/x", i%benchPeers))}
}

// benchID looks like an ID of package archive: early ones are before late ones,
// roughly.
func benchID(i int) string { return fmt.Sprintf("a%05x%020x", i>>8, uint64(i)*0x9e3779b97f4a7c15) }

// filledArchive is a database with an archive of n messages, made once by a statement
// that generates them.
func filledArchive(b *testing.B, n int) *DB {
	b.Helper()
	path := filepath.Join(b.TempDir(), "filled.db")
	d, err := Open(b.Context(), path, nil)
	must(b, err)
	d.Submit([]mux.Write{d.Archives().Append(benchOwner, benchEntry(0)), func(ctx context.Context, tx mux.Tx) error {
		t := tx.(*Tx)
		end, err := t.tail(ctx, benchOwner.String(), true)
		if err != nil {
			return err
		}
		if _, err := t.Exec(ctx, "DELETE FROM archive_message"); err != nil {
			return err
		}
		_, err = t.Exec(ctx, `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
INSERT INTO archive_message (id, uid, at, peer, resource, stanza)
SELECT ?2 + 1 + i, printf('a%05x%020x', i >> 8, i * 2654435769 % 4294967291), ?3 + i * 1000000, 'contact' || (i % ?4) || '@example.org', 'x', ?5 FROM n`,
			n, end.base, benchStart.UnixMicro(), benchPeers, benchStanza)
		clear(t.tails)
		return err
	}})
	must(b, d.settle(b.Context()))
	must(b, d.Close()) // empties the write-ahead log
	return reopen(b, path, nil)
}

// BenchmarkArchivePage reads the same pages of a small and of a large archive; they
// must cost about the same.
func BenchmarkArchivePage(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		d := filledArchive(b, n)
		a := d.Archives()
		ctx := context.Background()
		middle, err := a.Page(ctx, benchOwner, archive.Query{Start: benchStart.Add(time.Duration(n/2) * time.Second), Max: 1})
		must(b, err)
		id := middle.Entries[0].ID
		for _, tt := range []struct {
			name string
			q    archive.Query
		}{
			{"first", archive.Query{}},
			{"last", archive.Query{Backward: true}},
			{"after", archive.Query{PageAfter: id}},
			{"before", archive.Query{PageBefore: id, Backward: true}},
			{"with", archive.Query{PageAfter: id, With: benchEntry(3).With.Bare()}},
			{"with-last", archive.Query{With: benchEntry(3).With, Backward: true}},
			{"time", archive.Query{Start: benchStart.Add(time.Duration(n/2) * time.Second), End: benchStart.Add(time.Duration(n/2+5000) * time.Second)}},
		} {
			tt.q.Max = 50
			b.Run(fmt.Sprintf("%s/%d", tt.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p, err := a.Page(ctx, benchOwner, tt.q)
					if err != nil || len(p.Entries) != 50 {
						b.Fatalf("%d messages, error %v", len(p.Entries), err)
					}
				}
			})
		}
	}
}

// BenchmarkArchiveAppend writes messages as a busy server does: many in a
// transaction, of many accounts.
func BenchmarkArchiveAppend(b *testing.B) {
	for _, size := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			d := temp(b, nil)
			a := d.Archives()
			var accounts []mux.Address
			for i := range 100 {
				accounts = append(accounts, mux.MustParseAddress(fmt.Sprintf("account%d@example.net", i)))
			}
			ended := make(chan struct{})
			var mu sync.Mutex
			last := uint64(0)
			d.Notify(func(n uint64, err error) {
				must(b, err)
				mu.Lock()
				wanted := n == last
				mu.Unlock()
				if wanted {
					ended <- struct{}{}
				}
			})
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += size {
				var writes []mux.Write
				for j := range min(size, b.N-i) {
					e := benchEntry(i + j)
					writes = append(writes, a.Append(accounts[(i+j)%len(accounts)], e))
				}
				mu.Lock()
				last = d.Submit(writes)
				mu.Unlock()
				<-ended
			}
			b.StopTimer()
			if f, err := os.Stat(d.path); err == nil && b.N > 10_000 {
				b.ReportMetric(float64(f.Size())/float64(b.N), "B/message")
			}
		})
	}
}

// TestArchivePlans: no read of an archive looks at more than it has to.
func TestArchivePlans(t *testing.T) {
	t.Parallel()
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), nil)
	must(t, err)
	defer func() { must(t, d.Close()) }()
	queries := append(archiveQueries[:], "SELECT id, at, uid, item FROM offline_message WHERE account = ? AND (at, id) > (?, ?) ORDER BY at, id")
	for i, query := range queries {
		var args []any
		for n := range 5 {
			if strings.Contains(query, fmt.Sprint("?", n+1)) || n < strings.Count(query, "?") && !strings.Contains(query, "?1") {
				args = append(args, int64(n))
			}
		}
		rows, err := d.read.Query("EXPLAIN QUERY PLAN "+query, args...)
		must(t, err)
		for rows.Next() {
			var id, parent, unused sql.NullInt64
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			if strings.HasPrefix(detail, "SCAN archive") || strings.HasPrefix(detail, "SCAN offline") || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%d %s: %s", i, query, detail)
			}
			if (i == archiveWithForward || i == archiveWithBackward || i == archiveCount) && strings.HasPrefix(detail, "SEARCH") && !strings.Contains(detail, "peer=? AND rowid>? AND rowid<?") {
				t.Errorf("%d %s: %s", i, query, detail)
			}
		}
		must(t, rows.Err())
		must(t, rows.Close())
	}
}
