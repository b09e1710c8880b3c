package sqlstore

import (
	"context"

	"github.com/propolis-im/propolis/mux"
)

var _ mux.Committer = (*DB)(nil)

// Submit implements [mux.Committer]. Every submission has a number of its own,
// although those that wait together share one transaction: one that fails does
// not take the others down. It never waits for the disk, allocates nothing in the
// long run, and does not keep the slice.
//
// Nothing here bounds what waits. The kernel does: a stanza whose work is not
// committed holds credit of its stream, and a stream without credit is not read.
func (d *DB) Submit(writes []mux.Write) uint64 { return d.w.submit(writes) }

// Notify implements [mux.Committer]. The function is called on the goroutine
// that writes: the next transaction begins when it returns. It may Submit, but
// must not call what waits for that goroutine: Close, Secret, the loading of
// rosters and sessions, and changes of accounts.
//
// A submission whose write fails or panics ends with that error; those before
// and after it are applied without it. If the transaction as a whole fails (the
// disk is full or broken), all its submissions end with that error; the next
// ones are tried nevertheless.
func (d *DB) Notify(f func(batch uint64, err error)) { d.w.notify(f) }

// do runs f on the writing goroutine, after all that was submitted before, in a
// transaction shared with others, and returns when that is durable. f may run
// again after a rollback, and must have no effect but through tx and variables
// it sets anew. If ctx ends before f starts, f will not run. A nil f only waits.
func (d *DB) do(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	return d.w.do(ctx, f)
}

// settle waits until all that was submitted before is written, so that a read
// sees it.
func (d *DB) settle(ctx context.Context) error {
	if d.w.idle() {
		return ctx.Err()
	}
	return d.do(ctx, nil)
}
