package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
)

// Page implements [archive.Store].
func (s *Archives) Page(ctx context.Context, account mux.Address, q archive.Query) (archive.Page, error) {
	p, err := s.page(ctx, account.String(), q)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		err = fmt.Errorf("sqlstore: read archive of %s: %w", account, err)
	}
	return p, err
}

func (s *Archives) page(ctx context.Context, account string, q archive.Query) (archive.Page, error) {
	if err := s.d.settle(ctx); err != nil {
		return archive.Page{}, err
	}
	tx, err := s.d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return archive.Page{}, err
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	r := &archiveReader{ctx: ctx, tx: tx, stmts: s.d.archive}
	if err := r.stmt(archiveNumber).QueryRowContext(ctx, account).Scan(&r.base); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return archive.Page{}, err
	}
	r.base <<= positionBits
	return archive.ReadPage(r, q)
}

// The reads of a page, all of which follow an index.
const (
	archiveNumber = iota
	archiveFirst
	archiveLast
	archiveID
	archiveTime
	archiveForward
	archiveBackward
	archiveWithForward
	archiveWithBackward
	archiveCount
	archiveReads
)

var archiveQueries = [archiveReads]string{
	archiveNumber: "SELECT number FROM archive WHERE account = ?",
	archiveFirst:  "SELECT id FROM archive_message WHERE id > ? AND id < ? ORDER BY id LIMIT 1",
	archiveLast:   "SELECT id FROM archive_message WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1",
	archiveID:     "SELECT id FROM archive_message WHERE uid = ? AND +id > ? AND +id < ?",
	// Halves the ids ?1 to ?2, the latter not included, until one is left.
	archiveTime: `WITH RECURSIVE part(low, high) AS (
	SELECT ?1, ?2
	UNION ALL
	SELECT iif(m.at < ?3, m.id + 1, low), iif(m.at < ?3, high, m.id) FROM part CROSS JOIN archive_message m ON m.id = low + (high - low) / 2 WHERE low < high
) SELECT low FROM part WHERE low >= high LIMIT 1`,
	archiveForward:      "SELECT id, uid, at, stanza FROM archive_message WHERE id BETWEEN ? AND ? ORDER BY id",
	archiveBackward:     "SELECT id, uid, at, stanza FROM archive_message WHERE id BETWEEN ? AND ? ORDER BY id DESC",
	archiveWithForward:  "SELECT id, uid, at, stanza FROM archive_message INDEXED BY archive_message_peer WHERE peer = ?3 AND id BETWEEN ?1 AND ?2 AND (?4 = '' OR resource = ?4) ORDER BY id",
	archiveWithBackward: "SELECT id, uid, at, stanza FROM archive_message INDEXED BY archive_message_peer WHERE peer = ?3 AND id BETWEEN ?1 AND ?2 AND (?4 = '' OR resource = ?4) ORDER BY id DESC",
	archiveCount: `SELECT count(*) FROM (SELECT 1 FROM archive_message INDEXED BY archive_message_peer
WHERE peer = ?3 AND id BETWEEN ?1 AND ?2 AND (?4 = '' OR resource = ?4) LIMIT ?5)`,
}

// archiveReader reads one archive, in one transaction.
type archiveReader struct {
	ctx   context.Context
	tx    *sql.Tx
	stmts [archiveReads]*sql.Stmt
	base  int64 // 0 if there is no archive
}

func (r *archiveReader) stmt(i int) *sql.Stmt { return r.tx.StmtContext(r.ctx, r.stmts[i]) }

func (r *archiveReader) number(i int, args ...any) (n int64, err error) {
	err = r.stmt(i).QueryRowContext(r.ctx, args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// Bounds implements [archive.Reader].
func (r *archiveReader) Bounds() (first, last int64, err error) {
	if r.base == 0 {
		return 1, 0, nil
	}
	end := r.base + 1<<positionBits
	if first, err = r.number(archiveFirst, r.base, end); err != nil || first == 0 {
		return 1, 0, err
	}
	last, err = r.number(archiveLast, r.base, end)
	return first - r.base, last - r.base, err
}

// Position implements [archive.Reader].
func (r *archiveReader) Position(id string) (int64, error) {
	if r.base == 0 {
		return 0, nil
	}
	pos, err := r.number(archiveID, id, r.base, r.base+1<<positionBits)
	return max(0, pos-r.base), err
}

// From implements [archive.Reader]. Times grow with the ids, which have no gaps.
func (r *archiveReader) From(at time.Time) (int64, error) {
	first, last, err := r.Bounds()
	if err != nil {
		return 0, err
	}
	us := at.UnixMicro()
	if at.After(time.UnixMicro(us)) {
		us++
	}
	if last < first {
		return first, nil
	}
	pos, err := r.number(archiveTime, r.base+first, r.base+last+1, us)
	return pos - r.base, err
}

// Read implements [archive.Reader].
func (r *archiveReader) Read(part archive.Range, yield func(pos int64, e archive.Entry) bool) (err error) {
	i, args := archiveForward, []any{r.base + part.First, r.base + part.Last}
	if !part.With.IsZero() {
		i, args = archiveWithForward, append(args, part.With.Bare().String(), part.With.Resource())
	}
	if part.Backward {
		i++
	}
	rows, err := r.stmt(i).QueryContext(r.ctx, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		var (
			id, at int64
			e      archive.Entry
		)
		if err := rows.Scan(&id, &e.ID, &at, &e.Stanza); err != nil {
			return err
		}
		e.At = time.UnixMicro(at)
		if !yield(id-r.base, e) {
			break
		}
	}
	return rows.Err()
}

// Count implements [archive.Reader].
func (r *archiveReader) Count(part archive.Range, limit int) (int, error) {
	n, err := r.number(archiveCount, r.base+part.First, r.base+part.Last, part.With.Bare().String(), part.With.Resource(), limit)
	return int(n), err
}
