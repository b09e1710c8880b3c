package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/propolis-im/propolis/scram"
)

// slots is the length of what Classes and HashSets return: fixed, so that a few
// accounts more move the decoys of few names.
const slots = 256

// counted is something with the number of those that have it.
type counted[T any] struct {
	value T
	n     int64
}

// Classes returns what the keys of all accounts look like, for
// scram.Options.Classes: each class as often as its share demands, none if
// there are no keys. It reads all keys, so call it when the server starts.
func (a *Accounts) Classes(ctx context.Context) ([]scram.Class, error) {
	all, err := count(ctx, a.d, "SELECT count(*), length(salt), iterations FROM credential_key GROUP BY 2, 3",
		func(c *scram.Class) []any { return []any{&c.SaltLength, &c.Iterations} })
	if err != nil {
		return nil, fmt.Errorf("sqlstore: classes of keys: %w", err)
	}
	return shares(all, func(a, b scram.Class) int {
		return cmp.Or(cmp.Compare(a.SaltLength, b.SaltLength), cmp.Compare(a.Iterations, b.Iterations))
	}), nil
}

// HashSets returns for which hashes accounts have keys, for
// scram.Options.HashSets, as Classes does.
func (a *Accounts) HashSets(ctx context.Context) ([][]scram.Hash, error) {
	all, err := count(ctx, a.d, `SELECT count(*), has_sha1, has_sha256, has_sha512 FROM (
			SELECT max(mechanism = 'SCRAM-SHA-1') AS has_sha1, max(mechanism = 'SCRAM-SHA-256') AS has_sha256,
				max(mechanism = 'SCRAM-SHA-512') AS has_sha512 FROM credential_key GROUP BY account)
		WHERE has_sha1 OR has_sha256 OR has_sha512 GROUP BY 2, 3, 4`,
		func(has *[3]int) []any { return []any{&has[0], &has[1], &has[2]} })
	if err != nil {
		return nil, fmt.Errorf("sqlstore: hashes of keys: %w", err)
	}
	var sets [][]scram.Hash
	for _, has := range shares(all, func(a, b [3]int) int { return slices.Compare(a[:], b[:]) }) {
		var set []scram.Hash
		for i, h := range [...]scram.Hash{scram.SHA1, scram.SHA256, scram.SHA512} {
			if has[i] != 0 {
				set = append(set, h)
			}
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// count reads rows of a number and of what fields gives places for.
func count[T any](ctx context.Context, d *DB, query string, fields func(*T) []any) ([]counted[T], error) {
	rows, err := d.read.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	var all []counted[T]
	for rows.Next() {
		var c counted[T]
		if err := rows.Scan(append([]any{&c.n}, fields(&c.value)...)...); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// shares gives every value one slot, and the rest in proportion. Of more values
// than slots the most frequent are taken.
func shares[T any](all []counted[T], compare func(a, b T) int) []T {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b counted[T]) int { return cmp.Compare(b.n, a.n) })
	all = all[:min(len(all), slots)]
	slices.SortFunc(all, func(a, b counted[T]) int { return compare(a.value, b.value) })
	total := int64(0)
	for _, c := range all {
		total += c.n
	}
	rest := int64(slots - len(all))
	values := make([]T, 0, slots)
	given, sum := int64(0), int64(0)
	for _, c := range all {
		sum += c.n
		until := (sum*rest + total/2) / total // of the rest, up to and with this value
		for range until - given + 1 {
			values = append(values, c.value)
		}
		given = until
	}
	return values
}
