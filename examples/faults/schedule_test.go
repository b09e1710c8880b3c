package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	schedules  = flag.Int("schedules", 300, "how many schedules are run")
	noRestarts = flag.Bool("norestarts", false, "the server is neither restarted nor killed")
	oneSeed    = flag.Uint64("seed", 0, "the only schedule to be run, 0 for all")
)

// TestSchedules runs random schedules of messages, acknowledgements, broken
// connections, resumptions, expiries, restarts and kills.
func TestSchedules(t *testing.T) {
	t.Parallel()
	if *oneSeed != 0 {
		runSchedule(t, *oneSeed, true)
		return
	}
	const parts = 8
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < *schedules && !t.Failed(); seed += parts {
				runSchedule(t, uint64(seed)+1, false)
			}
		})
	}
}

func runSchedule(t *testing.T, seed uint64, verbose bool) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, config{archive: r.IntN(2) == 0, contacts: r.IntN(2) == 0, window: 600 * time.Second})
		w.cast(r)
		for range 30 + r.IntN(30) {
			w.step(r)
		}
		w.finish()
		w.leave(seed%64 == 0)
		if t.Failed() || verbose {
			t.Logf("seed %d, archive %t, contacts %t:\n%s", seed, w.cfg.archive, w.cfg.contacts, strings.Join(w.log, "\n"))
		}
	})
}

// cast makes the devices: some accounts have several.
func (w *world) cast(r *rand.Rand) {
	for _, a := range accounts {
		for i := range 1 + r.IntN(3) {
			d := &device{w: w, account: a, resource: fmt.Sprintf("r%d", i), managed: r.IntN(4) > 0, copies: r.IntN(3) > 0, priority: r.IntN(3)}
			if i > 0 && r.IntN(6) == 0 {
				d.priority = -1
			}
			d.reads = w.cfg.archive && r.IntN(2) == 0
			w.devices = append(w.devices, d)
			d.login()
		}
	}
}

// step is one thing that happens.
func (w *world) step(r *rand.Rand) {
	d := w.devices[r.IntN(len(w.devices))]
	switch n := r.IntN(100); {
	case n < 4:
		if d.c != nil {
			if to := w.devices[r.IntN(len(w.devices))]; to != d {
				d.hums(to)
			}
		}
	case n < 8:
		if d.c != nil {
			d.says([]string{"inactive", "active", "inactive"}[r.IntN(3)])
		}
	case n < 9:
		if d.c != nil {
			d.replace()
		}
	case n < 45:
		if d.c != nil {
			for range 1 + r.IntN(3) {
				hint := ""
				if r.IntN(8) == 0 {
					hint = noStore
				}
				d.sayAs(w.recipient(r, d), "chat", hint)
			}
		}
	case n < 60:
		if d.c != nil {
			d.take(1 + r.IntN(4))
		}
	case n < 66:
		if d.c != nil {
			if r.IntN(3) == 0 {
				d.looks()
			}
			d.ask()
		}
	case n < 76:
		if d.c != nil {
			some := -1 // without Stream Management nobody could know what is lost
			if d.managed {
				some = r.IntN(6)
			}
			d.cut(some)
		}
	case n < 86:
		w.goOn(r, d)
	case n < 89:
		if d.c == nil {
			d.login()
		}
	case n < 92:
		w.pass(time.Duration(r.IntN(4000)) * time.Millisecond)
	case n < 94:
		w.pass(w.cfg.window + time.Minute)
		w.notice()
	case n < 98 && *noRestarts:
	case n < 96:
		w.restart()
	case n < 98:
		w.kill()
	default:
		w.hold(r)
	}
}

// goOn has a device go on with its session, in one of the ways.
func (w *world) goOn(r *rand.Rand, d *device) {
	way := r.IntN(8)
	switch can := d.managed && d.token != ""; {
	case d.c == nil && can && way == 0:
		d.resumeTwice()
	case d.c == nil && can && way == 1:
		d.resumeInTime(time.Duration(r.IntN(3) - 1))
		w.notice()
	case d.c == nil:
		d.resume()
	case can && way < 4:
		d.takeOver(r)
	}
}

// recipient is somebody: an account, a device of it, or one that is not there.
func (w *world) recipient(r *rand.Rand, d *device) string {
	to := w.devices[r.IntN(len(w.devices))]
	for to == d {
		to = w.devices[r.IntN(len(w.devices))]
	}
	switch r.IntN(5) {
	case 0:
		return to.full()
	case 1:
		return to.account + "/gone"
	}
	return to.account
}

// hold has the store take its time, or fails to come back: commits wait until it
// goes on, or for ever because the server is killed.
func (w *world) hold(r *rand.Rand) {
	w.note("the store is slow")
	w.commit.Hold()
	w.commit.holding = true
	for range 3 {
		d := w.devices[r.IntN(len(w.devices))]
		if d.c != nil {
			d.say(w.recipient(r, d))
		}
	}
	if r.IntN(2) == 0 && !*noRestarts {
		w.kill()
		return
	}
	w.commit.holding = false
	w.commit.Release()
	w.note("the store goes on")
	w.settle()
}

// notice has devices see that the server has given them up.
func (w *world) notice() {
	for _, d := range w.devices {
		if d.c == nil {
			continue
		}
		d.take(-1)
	}
}
