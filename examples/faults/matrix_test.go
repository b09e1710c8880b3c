package faults

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The dimensions of the matrix: what the recipient's device is like and what becomes
// of it, what other device there is, and what happens to the server meanwhile
// (core-im COMB-16).
type cell struct {
	archive bool
	reads   bool   // the device reads the archive
	state   string // of the device when the message comes
	fate    string // of its session
	second  string // another device of the account
	event   string // of the server, after the message
	typ     string
	full    bool // addressed to the device
	hint    string
}

var (
	states  = []string{"plain", "managed", "hibernating", "offline"}
	fates   = []string{"stays", "resumes", "expires", "logs in"}
	seconds = []string{"none", "copies", "no copies", "hibernating copies", "negative"}
	events  = []string{"none", "restart", "kill"}
)

// possible: cells that mean something.
func (c cell) possible() bool {
	switch {
	case c.reads && !c.archive:
		return false
	case c.state == "plain" || c.state == "offline":
		return c.fate == "stays" || c.fate == "logs in"
	case c.state == "hibernating":
		return c.fate != "stays"
	}
	return true
}

func (c cell) String() string {
	return fmt.Sprintf("archive=%t reads=%t %s %s second=%s server=%s %s full=%t %s", c.archive, c.reads, c.state, c.fate, c.second, c.event, c.typ, c.full, c.hint)
}

func eachCell(f func(c cell)) {
	for _, b := range [8][3]bool{{}, {0: true}, {1: true}, {2: true}, {true, true}, {true, false, true}, {false, true, true}, {true, true, true}} {
		for _, state := range states {
			for _, fate := range fates {
				for _, second := range seconds {
					for _, event := range events {
						for _, kind := range [...][2]string{{"chat", ""}, {"normal", ""}, {"chat", noStore}} {
							c := cell{b[0], b[1], state, fate, second, event, kind[0], b[2], kind[1]}
							if c.possible() {
								f(c)
							}
						}
					}
				}
			}
		}
	}
}

// TestMatrix sends a message into every cell: it is shown once, and comes back only
// if nobody could keep it.
func TestMatrix(t *testing.T) {
	t.Parallel()
	const parts = 8
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			n := 0
			eachCell(func(c cell) {
				if n++; n%parts == part && !t.Failed() {
					synctest.Test(t, func(t *testing.T) { c.run(t) })
				}
			})
		})
	}
}

func (c cell) run(t *testing.T) {
	w := newWorld(t, config{archive: c.archive, window: 600 * time.Second})
	defer func() {
		if t.Failed() {
			t.Logf("%s:\n%s", c, strings.Join(w.log, "\n"))
		}
	}()
	sender := &device{w: w, account: "juliet@example.net", resource: "balcony", managed: true}
	d := &device{w: w, account: "romeo@example.net", resource: "phone", managed: c.state != "plain", copies: true, reads: c.reads}
	w.devices = []*device{sender, d}
	sender.login()
	d.login()
	other := c.other(w)
	switch c.state {
	case "hibernating":
		d.cut(-1)
	case "offline":
		d.leave()
	}
	to := d.account
	if c.full {
		to = d.full()
	}
	sender.sayAs(to, c.typ, c.hint)
	sender.sayAs(to, c.typ, c.hint)
	w.pass(time.Second)
	if other != nil && other.c != nil {
		other.take(-1)
		other.acknowledge()
		w.pass(time.Second)
	}
	sender.ask()
	sender.take(-1)
	switch c.event {
	case "restart":
		w.restart()
		sender.resume()
	case "kill":
		w.kill()
		sender.resume()
	}
	c.follow(w, d)
	if other != nil && other.c == nil {
		other.resume()
	}
	w.finish()
	c.judge(w, d)
	w.leave(false)
}

// other is the second device.
func (c cell) other(w *world) *device {
	if c.second == "none" {
		return nil
	}
	o := &device{w: w, account: "romeo@example.net", resource: "desk", managed: true, copies: c.second != "no copies"}
	if c.second == "negative" {
		o.priority = -1
	}
	w.devices = append(w.devices, o)
	o.login()
	if c.second == "hibernating copies" {
		o.cut(-1)
	}
	return o
}

// follow is the fate of the device's session.
func (c cell) follow(w *world, d *device) {
	switch c.fate {
	case "resumes":
		if d.c != nil {
			d.cut(0)
		}
		d.resume()
	case "expires":
		if d.c != nil {
			d.cut(0)
		}
		for w.pass(w.cfg.window / 20); d.c == nil && time.Since(d.cutAt) < w.cfg.window+time.Minute; w.pass(w.cfg.window / 20) {
			w.exchange() // the others are awake
		}
		d.login()
	case "logs in":
		if d.c != nil {
			some := 1
			if !d.managed {
				some = -1
			}
			d.cut(some)
		}
		d.login()
	case "stays":
		if d.c == nil {
			d.resume()
		}
	}
}

// judge adds to what finish has found: a device that reads its archive has everything
// that is in there, and what nobody may store comes back if it was not shown.
func (c cell) judge(w *world, d *device) {
	for _, m := range w.messages {
		if m.bounced && w.arrived(m) && c.hint == "" {
			w.t.Errorf("%s was shown and came back", m.id)
		}
		if c.reads && c.hint == "" && !m.bounced && len(m.seen[d]) == 0 {
			w.t.Errorf("%s reads its archive and has not seen %s", d, m.id)
		}
	}
}

// leave closes the stream properly.
func (d *device) leave() {
	d.take(-1)
	if d.enabled {
		d.acknowledge()
	}
	d.w.note("%s leaves", d)
	d.c.Close()
	d.c.Clear()
	d.c = nil
	d.fail()
}
