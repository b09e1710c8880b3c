package sqlstore

import (
	"context"
	"fmt"
	"testing"
)

// TestManyStatements has more statements than are kept prepared.
func TestManyStatements(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	for range 2 {
		must(t, d.do(t.Context(), func(ctx context.Context, tx *Tx) error {
			for i := range maxStmts + 50 {
				if _, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM session WHERE id = '%d'", i)); err != nil {
					return err
				}
			}
			if len(tx.stmts) > maxStmts {
				t.Errorf("%d statements prepared", len(tx.stmts))
			}
			return nil
		}))
	}
}
