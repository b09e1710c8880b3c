package sqlstore

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// TestReader: a statement is prepared once, and not if its context has ended.
func TestReader(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	before := len(d.read.stmts)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	const query = "SELECT ? + 1"
	var n int
	if _, err := d.read.QueryContext(ended, query, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := d.read.QueryRowContext(ended, query, 1).Scan(&n); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			var n int
			if err := d.read.QueryRowContext(t.Context(), query, i).Scan(&n); err != nil || n != i+1 {
				t.Errorf("%d + 1 is %d, %v", i, n, err)
			}
		})
	}
	all.Wait()
	if got := len(d.read.stmts) - before; got != 1 {
		t.Errorf("%d statements", got)
	}
	if err := d.read.QueryRowContext(t.Context(), "SELECT nothing").Scan(&n); err == nil {
		t.Error("no error")
	}
}
