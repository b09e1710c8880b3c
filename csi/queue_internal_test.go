package csi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

func entryOf(t testing.TB, from, id string, k Key) entry {
	t.Helper()
	s, err := mux.Parse([]byte("<presence from='" + from + "' id='" + id + "'/>"))
	if err != nil {
		t.Fatal(err)
	}
	it := mux.Item{Stanza: s}
	return entry{item: it, key: k, sender: senderOf(&it)}
}

func (q *queue) ids() (ids []string) {
	for i := range q.entries {
		if s := q.entries[i].item.Stanza; s != nil {
			ids = append(ids, s.ID())
		}
	}
	return ids
}

func wantIDs(t *testing.T, q *queue, ids ...string) {
	t.Helper()
	bytes := 0
	for i := range q.entries {
		if q.entries[i].item.Stanza != nil {
			bytes += q.entries[i].size()
		}
	}
	if got := q.ids(); !slices.Equal(got, ids) || q.n != len(ids) || q.bytes != bytes {
		t.Fatalf("holds %q, n %d, %d octets; want %q with %d octets", got, q.n, q.bytes, ids, bytes)
	}
}

// hold is what the sink does.
func (q *queue) hold(e entry, fence bool) {
	if !fence {
		q.replaced(e.key)
	}
	q.push(e, fence)
}

// TestQueueCollapses: CSI-18: the last of a key is what is left, where it came.
func TestQueueCollapses(t *testing.T) {
	t.Parallel()
	var q queue
	a, b := Key{What: "a"}, Key{What: "b"}
	q.hold(entryOf(t, "j@x", "1", a), false)
	q.hold(entryOf(t, "j@x", "2", b), false)
	q.hold(entryOf(t, "j@x", "3", Key{}), false)
	q.hold(entryOf(t, "j@x", "4", a), false)
	q.hold(entryOf(t, "j@x", "5", Key{}), false)
	wantIDs(t, &q, "2", "3", "4", "5")
	if it, ok := q.replaced(b); !ok || it.Stanza.ID() != "2" {
		t.Errorf("%v is not what was held", it.Stanza)
	}
	if _, ok := q.replaced(b); ok {
		t.Error("taken out twice")
	}
	wantIDs(t, &q, "3", "4", "5")
}

// TestQueueFence: CSI-18: nothing is replaced across what is about the whole node, and
// everything after it is again.
func TestQueueFence(t *testing.T) {
	t.Parallel()
	var q queue
	n := func(node, id string) Key { return Key{What: "item", Scope: node, ID: id} }
	q.hold(entryOf(t, "j@x", "1", n("n", "1")), false)
	q.hold(entryOf(t, "j@x", "2", n("m", "1")), false)
	q.hold(entryOf(t, "j@x", "3", n("n", "")), true)
	q.hold(entryOf(t, "j@x", "4", n("n", "1")), false)
	q.hold(entryOf(t, "j@x", "5", n("m", "1")), false)
	wantIDs(t, &q, "1", "3", "4", "5")
	q.hold(entryOf(t, "j@x", "6", n("n", "1")), false)
	q.hold(entryOf(t, "j@x", "7", n("n", "")), true)
	wantIDs(t, &q, "1", "3", "5", "6", "7")
}

// TestQueueTake: in order, of one or of all; what is not taken stays.
func TestQueueTake(t *testing.T) {
	t.Parallel()
	var q queue
	for i, from := range []string{"j@x/1", "r@x/1", "j@x/2", "j@x"} {
		q.hold(entryOf(t, from, fmt.Sprint(i), Key{What: from}), false)
	}
	var got []string
	full := errors.New("full")
	take := func(sender string, n int) error {
		var a mux.Address
		if sender != "" {
			a = mux.MustParseAddress(sender)
		}
		return q.take(a, func(it *mux.Item) error {
			if n--; n < 0 {
				return full
			}
			got = append(got, it.Stanza.ID())
			return nil
		})
	}
	if err := take("j@x", 2); !errors.Is(err, full) {
		t.Error(err)
	}
	wantIDs(t, &q, "1", "3")
	if err := take("nobody@x", 0); err != nil {
		t.Error(err)
	}
	if err := take("", 9); err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, []string{"0", "2", "1", "3"}) {
		t.Errorf("took %q", got)
	}
	if q.entries != nil || q.index != nil {
		t.Error("an empty queue occupies memory")
	}
}

// TestQueueModel compares with a list that is searched: 20 000 steps.
func TestQueueModel(t *testing.T) {
	t.Parallel()
	type simple struct {
		id, from string
		key      Key
	}
	rnd := rand.New(rand.NewPCG(352, 1))
	var q queue
	var model []simple
	longest := 0
	for i := range 20_000 {
		from := fmt.Sprintf("c%d@x", rnd.IntN(5))
		k := Key{What: "k", Scope: fmt.Sprint(rnd.IntN(3)), ID: fmt.Sprint(rnd.IntN(10))}
		id := fmt.Sprint(i)
		switch n := rnd.IntN(100); {
		case n < 10:
			k = Key{}
			fallthrough
		case n < 90:
			q.hold(entryOf(t, from, id, k), false)
			if k != (Key{}) {
				model = slices.DeleteFunc(model, func(s simple) bool { return s.key == k })
			}
			model = append(model, simple{id, from, k})
		case n < 95:
			k.ID = ""
			q.hold(entryOf(t, from, id, k), true)
			for j := range model {
				if model[j].key.Scope == k.Scope && model[j].key != (Key{}) {
					model[j].key = Key{}
				}
			}
			model = append(model, simple{id: id, from: from})
		default:
			if err := q.take(mux.MustParseAddress(from), func(*mux.Item) error { return nil }); err != nil {
				t.Fatal(err)
			}
			model = slices.DeleteFunc(model, func(s simple) bool { return s.from == from })
		}
		var ids []string
		for _, s := range model {
			ids = append(ids, s.id)
		}
		wantIDs(t, &q, ids...)
		if len(q.entries) > 3*q.n+32 {
			t.Fatalf("%d places for %d entries", len(q.entries), q.n)
		}
		longest = max(longest, q.n)
	}
	if longest < 20 {
		t.Errorf("never more than %d held: not much of a test", longest)
	}
}
