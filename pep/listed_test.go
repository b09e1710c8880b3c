package pep_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// reading counts how often the items of a node are listed.
type reading struct {
	pep.Store
	n atomic.Int64
}

func (r *reading) Index(ctx context.Context, account mux.Address, node string) ([]pep.Entry, error) {
	r.n.Add(1)
	return r.Store.Index(ctx, account, node)
}

// TestListed: COST-3: lists of items are given up, those that were used least recently,
// when there are too many over all accounts; they are read again, and nothing is lost.
func TestListed(t *testing.T) {
	t.Parallel()
	var store *reading
	play(t, func(a *assembly) {
		store = &reading{Store: a.store}
		a.store = store
		a.opt.MaxListed = 20
	}, func(s *stage) {
		t := s.t
		items := func(who, node string) string {
			_, whole := s.of(who, who+"@example.net", "get", pubsub("<items node='"+node+"'/>"))
			return fmt.Sprint(strings.Count(whole, "<item "))
		}
		publish := func(who, node, id string) {
			if short, _ := s.of(who, who+"@example.net", "set", publication(node, id, "max_items=max")); short != "" {
				t.Fatalf("%s: %s", who, short)
			}
		}
		reads := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := store.n.Swap(0); got != want {
				t.Errorf("%s: %d lists were read, want %d", what, got, want)
			}
		}
		for i := range 9 {
			for _, who := range []string{"juliet", "romeo"} {
				publish(who, "n", fmt.Sprint(i))
			}
		}
		publish("juliet", "m", "1") // that is 22, nodes included
		items("romeo", "n")
		items("juliet", "m")
		reads("too many, but just used", 0)
		time.Sleep(11 * time.Minute)
		items("juliet", "n")
		items("juliet", "m") // romeo's is given up
		reads("there still", 0)
		publish("romeo", "n", "9")
		if got := items("romeo", "n"); got != "10" {
			t.Errorf("romeo has %s", got)
		}
		reads("romeo's again", 1)
		time.Sleep(11 * time.Minute)
		s.of("juliet", "juliet@example.net", "set", owner("<purge node='n'/>"))
		publish("juliet", "n", "last")
		for who, want := range map[string]string{"juliet": "1", "romeo": "10"} {
			if got := items(who, "n"); got != want {
				t.Errorf("%s has %s, want %s", who, got, want)
			}
		}
		synctest.Wait()
	})
}
