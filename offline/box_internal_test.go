package offline

import (
	"errors"
	"slices"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// What was removed while a session is being sent what is stored is not sent again,
// whichever Work has removed it: the session may have read it before.
func TestRemovedWhileFed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		remove func(x *Extension, account mux.Address, b *box)
	}{
		{"by itself", func(_ *Extension, _ mux.Address, b *box) { b.removed([]int64{7}, nil) }},
		{"by another's Work", func(x *Extension, account mux.Address, b *box) { x.sealed(account, b, []int64{7}, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, account, s := new(Extension), mux.MustParseAddress("juliet@example.net"), new(mux.Session)
			b := &box{flying: make(map[int64]sent), feeding: make(map[*mux.Session]*flush)}
			m := &Message{Seq: 7}
			first := &flush{s: s}
			if !b.begin(first) || !b.take(first, m) {
				t.Fatal("not sent")
			}
			b.next(first) // all is sent
			again := &flush{s: s}
			b.begin(again) // the session was resumed, and its flush has read the message
			c.remove(x, account, b)
			if b.take(again, m) {
				t.Error("sent once more, although it has arrived")
			}
			b.next(again)
			if len(b.flying) != 0 {
				t.Errorf("left: %v", b.flying)
			}
		})
	}
}

// What has arrived and is being removed is on its way to nobody when the session ends
// that had it; and if it could not be removed it still has arrived.
func TestArrivedStaysArrived(t *testing.T) {
	t.Parallel()
	x, account, s := new(Extension), mux.MustParseAddress("juliet@example.net"), new(mux.Session)
	for _, b := range []*box{
		{flying: map[int64]sent{7: {s: s}}, leaving: map[int64]bool{7: true}},
		{flying: map[int64]sent{7: {s: s}}, arrived: []int64{7}},
	} {
		if b.closed(s) || len(b.flying) != 1 {
			t.Errorf("on its way again: %+v", b)
		}
	}
	returned := &box{flying: map[int64]sent{7: {s: s}}}
	returned.back(7, s)
	if !returned.closed(s) || returned.closed(s) {
		t.Error("what came back is not to be sent once")
	}
	b := &box{flying: map[int64]sent{7: {s: s}}, arrived: []int64{9}, leaving: map[int64]bool{7: true}, removing: true}
	x.sealed(account, b, []int64{7}, errors.New("the disk is full"))
	if !slices.Equal(b.arrived, []int64{7, 9}) || len(b.leaving) != 0 || x.due.Load() != 1 {
		t.Errorf("%+v, %d are due", b, x.due.Load())
	}
}
