package sqlstore

import (
	"context"
	"database/sql"

	"github.com/propolis-im/propolis/scram"
)

var _ scram.HashCounter = (*Accounts)(nil)

// HashCounts implements [scram.HashCounter]. It reads all keys of the host's accounts.
func (a *Accounts) HashCounts(ctx context.Context, host string) (accounts int, with map[scram.Hash]int, err error) {
	with = make(map[scram.Hash]int)
	var n [3]int
	const query = `SELECT count(*), coalesce(sum(has_sha1), 0), coalesce(sum(has_sha256), 0), coalesce(sum(has_sha512), 0) FROM (
			SELECT max(k.mechanism = 'SCRAM-SHA-1') AS has_sha1, max(k.mechanism = 'SCRAM-SHA-256') AS has_sha256,
				max(k.mechanism = 'SCRAM-SHA-512') AS has_sha512
			FROM credential c JOIN credential_key k ON k.account = c.account WHERE c.domain = ? GROUP BY c.account)`
	err = a.d.each(ctx, "hashes of keys", query, []any{host}, func(rows *sql.Rows) error {
		return rows.Scan(&accounts, &n[0], &n[1], &n[2])
	})
	for i, h := range [...]scram.Hash{scram.SHA1, scram.SHA256, scram.SHA512} {
		if n[i] > 0 {
			with[h] = n[i]
		}
	}
	return accounts, with, err
}
