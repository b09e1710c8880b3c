package offline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
)

// disk is a store whose reads take a while.
type disk struct {
	offline.Memory
	reads atomic.Int64
}

func (d *disk) Load(ctx context.Context, account mux.Address, after offline.Message, limit, octets int) ([]offline.Message, bool, error) {
	list, more, err := d.Memory.Load(ctx, account, after, min(limit, 3), octets)
	more = more || len(list) == 3
	pass(time.Duration(d.reads.Add(1)*17%30) * time.Millisecond)
	return list, more, err
}

// TestDevices: several devices come and go while messages arrive and what waits is
// read; each message is shown by one of them.
func TestDevices(t *testing.T) {
	t.Parallel()
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	for seed := range rounds {
		synctest.Test(t, func(t *testing.T) { runDevices(t, uint64(seed), seed%2 == 1) })
		if t.Failed() {
			return
		}
	}
}

func runDevices(t *testing.T, seed uint64, archived bool) {
	r := rand.New(rand.NewPCG(seed, 2))
	store := new(disk)
	exts := []mux.Extension{managed(time.Second)}
	var o offline.Options
	if archived {
		a := archive.New(new(archive.Memory), nil)
		o = offline.Options{Archived: a.Messages}
		exts = append([]mux.Extension{a}, exts...)
	}
	h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), NoRecover: true}, append([]mux.Extension{offline.New(store, &o)}, exts...)...)
	h.AddAccount("juliet@example.net")
	romeo := h.Connect(t, romeoFull)
	shown := map[string]int{}
	devices := make([]*muxtest.Client, 3)
	tracked := make([]bool, 3)
	var log []string
	read := func(i int) {
		if c := devices[i]; c != nil {
			for _, id := range strings.Fields(ids(c)) {
				shown[id]++
			}
		}
	}
	sent := 0
	for range 80 {
		i := r.IntN(3)
		c := devices[i]
		what := r.IntN(8)
		log = append(log, fmt.Sprint(i, what))
		switch {
		case what < 3:
			sent++
			romeo.Write(chat(fmt.Sprint("m", sent), "x"))
		case c == nil:
			devices[i] = h.Connect(t, fmt.Sprintf("juliet@example.net/d%d", i))
			if tracked[i] = r.IntN(2) == 0; tracked[i] {
				devices[i].Write(enable)
			}
			devices[i].Write("<presence/>")
		case what == 3:
			c.Write("<presence type='unavailable'/>")
		case what < 6:
			c.Write("<presence/>")
		default:
			if !tracked[i] {
				synctest.Wait() // what was written was read
			}
			read(i)
			c.Drop()
			devices[i] = nil
		}
		if r.IntN(2) == 0 {
			time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
		}
	}
	for i, c := range devices {
		if c != nil {
			synctest.Wait()
			read(i)
			c.Close()
		}
	}
	time.Sleep(time.Minute)
	last := h.Connect(t, "juliet@example.net/last")
	last.Send("<presence/>")
	time.Sleep(time.Minute)
	for _, id := range strings.Fields(ids(last)) {
		shown[id]++
	}
	for i := range sent {
		if id := fmt.Sprint("m", i+1); shown[id] == 0 {
			t.Errorf("%s is lost", id)
		}
	}
	if n := stored(t, &store.Memory); n > 0 {
		t.Errorf("%d messages are stored", n)
	}
	for _, el := range romeo.Arrived() {
		t.Errorf("romeo got %s", el)
	}
	if t.Failed() {
		t.Logf("seed %d, archive %t: %s", seed, archived, log)
	}
}
