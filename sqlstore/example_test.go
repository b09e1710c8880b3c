package sqlstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/sqlstore"
)

// A mux does with the committer and the stores what is done here by hand.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "propolis")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	db, err := sqlstore.Open(ctx, filepath.Join(dir, "propolis.db"), nil)
	if err != nil {
		log.Fatal(err)
	}
	db.Notify(func(batch uint64, err error) { fmt.Println("batch", batch, "ended:", err) })

	juliet, romeo := mux.MustParseAddress("juliet@example.net"), mux.MustParseAddress("romeo@example.org")
	rosters := db.Rosters()
	db.Submit([]mux.Write{rosters.Put(juliet, roster.Item{JID: romeo, Name: "Romeo", Listed: true, Ver: 1})})

	r, err := rosters.Load(ctx, juliet) // sees what was submitted
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Items[0].JID, r.Items[0].Name, "in version", r.Ver)
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// batch 1 ended: <nil>
	// romeo@example.org Romeo in version 1
}

// An embedder's own write joins the transaction.
func ExampleTx() {
	forget := func(id string) mux.Write {
		return func(ctx context.Context, tx mux.Tx) error {
			t, ok := tx.(*sqlstore.Tx)
			if !ok {
				return fmt.Errorf("not a transaction of sqlstore: %T", tx)
			}
			_, err := t.Exec(ctx, "DELETE FROM my_table WHERE id = ?", id)
			return err
		}
	}
	fmt.Println(forget("x")(context.Background(), nil))
	// Output: not a transaction of sqlstore: <nil>
}
