package netio

import (
	"sync"
	"testing"
)

func TestBudgetTake(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                        string
		limit, floor, total, n, own int64
		want                        bool
	}{
		{"half of all", 100, 0, 0, 50, 0, true},
		{"more than half", 100, 0, 0, 51, 0, false},
		{"half of what is free", 100, 0, 40, 30, 0, true},
		{"more than half of what is free", 100, 0, 40, 31, 0, false},
		{"own memory counts", 100, 0, 40, 11, 20, false},
		{"own memory fits", 100, 0, 40, 10, 20, true},
		{"floor", 100, 10, 90, 10, 0, true},
		{"above floor", 100, 10, 90, 8, 3, false},
		{"floor, but limit reached", 100, 10, 95, 6, 0, false},
		{"nothing", 100, 0, 100, 0, 100, true},
		{"no limit set", 0, 10, 0, 1, 0, false},
		{"negative", -5, -5, 0, 1, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := NewBudget(tt.limit, tt.floor)
			b.total.Store(tt.total)
			if got := b.take(int(tt.n), int(tt.own)); got != tt.want {
				t.Fatalf("take = %t, want %t", got, tt.want)
			}
			want := tt.total
			if tt.want {
				want += tt.n
			}
			if got := b.Total(); got != want {
				t.Errorf("Total = %d, want %d", got, want)
			}
		})
	}
}

func TestBudgetNil(t *testing.T) {
	t.Parallel()
	var b *Budget
	if !b.take(1<<40, 1<<40) {
		t.Error("no Budget refused")
	}
	b.give(1)
}

func TestBudgetConcurrent(t *testing.T) {
	t.Parallel()
	const limit = 1000
	b := NewBudget(limit, 50)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			held := 0
			for range 200 {
				if b.take(7, held) {
					held += 7
				}
				if n := b.Total(); n > limit {
					t.Errorf("Total = %d above the limit", n)
				}
			}
			b.give(held)
		})
	}
	wg.Wait()
	if n := b.Total(); n != 0 {
		t.Errorf("Total = %d after all was given back", n)
	}
}
