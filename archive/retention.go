package archive

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/propolis-im/propolis/mux"
)

const (
	// trimEvery is after how many messages of an account, on average, those that are
	// too many or too old are removed.
	trimEvery = 64
	// trimMost is how many are removed at a time, so that nobody waits long for the
	// store.
	trimMost = 256
	// sweepEvery is how often all archives are looked at.
	sweepEvery = 6 * time.Hour
	// sweepAccounts is how many accounts are listed at a time.
	sweepAccounts = 500
)

// removal is what is to go of an archive, and whether anything ever is.
func (x *Extension) removal() (r Removal, any bool) {
	r.Limit = trimMost
	if x.opt.MaxAge > 0 {
		r.Before = time.Now().Add(-x.opt.MaxAge)
	}
	r.Keep = max(0, x.opt.MaxCount)
	return r, x.opt.MaxAge > 0 || r.Keep > 0
}

// retain removes from the oldest end what there is too much of, once in a while. That
// is left to chance, since nothing is remembered of accounts that are not in use.
func (x *Extension) retain(e *mux.Event) {
	if rand.IntN(trimEvery) > 0 {
		return
	}
	if r, any := x.removal(); any {
		e.Work.Write(x.store.Remove(e.Account, r))
	}
}

// sweeper looks at all archives, those of accounts included that are not in use.
type sweeper struct {
	stop context.CancelFunc
	done sync.WaitGroup
}

// Start implements [mux.Starter].
func (x *Extension) Start(_ context.Context, m *mux.Mux) error {
	l, lists := x.store.(Lister)
	if _, any := x.removal(); !any || !lists {
		return nil
	}
	var ctx context.Context
	ctx, x.sweeper.stop = context.WithCancel(context.Background())
	x.sweeper.done.Go(func() {
		for first := time.Minute; ; first = sweepEvery {
			select {
			case <-time.After(first):
				x.sweep(ctx, m, l)
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}

// Shutdown implements [mux.Stopper].
func (x *Extension) Shutdown(context.Context) error {
	if x.sweeper.stop != nil {
		x.sweeper.stop()
		x.sweeper.done.Wait()
	}
	return nil
}

// sweep removes what is too old or too much of every archive.
func (x *Extension) sweep(ctx context.Context, m *mux.Mux, l Lister) {
	var after mux.Address
	for {
		list, err := l.Archives(ctx, after, sweepAccounts)
		if err != nil {
			if ctx.Err() == nil {
				x.failed(ctx, after, "archives cannot be listed", err)
			}
			return
		}
		for _, account := range list {
			if err := x.sweepOne(ctx, m, account); err != nil {
				return
			}
		}
		if len(list) < sweepAccounts {
			return
		}
		after = list[len(list)-1]
	}
}

// sweepOne removes what is to go of one archive, a little at a time. An error ends
// the sweep.
func (x *Extension) sweepOne(ctx context.Context, m *mux.Mux, account mux.Address) error {
	for {
		p, err := x.store.Page(ctx, account, Query{Max: 1})
		if err != nil {
			if ctx.Err() == nil {
				x.failed(ctx, account, "archive cannot be read", err)
			}
			return ctx.Err()
		}
		r, _ := x.removal()
		if len(p.Entries) == 0 || !p.Entries[0].At.Before(r.Before) && (r.Keep == 0 || p.Count <= r.Keep) {
			return nil
		}
		if err := m.Do(ctx, account, func(_ context.Context, e *mux.Event) {
			e.Work.Write(x.store.Remove(account, r))
		}); err != nil {
			return err
		}
	}
}
