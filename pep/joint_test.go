package pep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAway: a client that is cut off gets what was published meanwhile, in order, when it
// is back, and no last items on top (S-18, R4).
func TestAway(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.publish("n", "old", "max_items=max")
		j.publish("never", "old", "send_last_published_item=never")
		j.there()
		r.manage()
		r.there("n", "never")
		if got := r.events(); got != "~n:old" {
			t.Fatalf("at first: %q", got)
		}
		r.c.Drop()
		want := []string{}
		for i := range 5 {
			j.publish("n", fmt.Sprint(i))
			want = append(want, fmt.Sprintf(">n:%d", i))
		}
		time.Sleep(time.Minute)
		r.resume()
		if got := r.events(); got != strings.Join(want, " ") {
			t.Errorf("back: %q, want %q", got, want)
		}
		// What it says again changes nothing, and it gets what comes.
		r.there("n", "never")
		j.publish("n", "new")
		if got := r.events(); got != ">n:new" {
			t.Errorf("then: %q", got)
		}
		if w.asked != 2 { // juliet's client and romeo's
			t.Errorf("%d queries", w.asked)
		}
	})
}

// TestAwayTooLong: what was published for a client that does not come back is neither
// sent back nor kept; a new session gets last items, but not of nodes that never send them
// (S-18, R4).
func TestAwayTooLong(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		j, r := w.connect("juliet@example.net/1"), w.connect("romeo@example.net/1")
		j.there("n")
		r.manage()
		r.there("n", "never")
		r.c.Drop()
		j.events()
		for i := range 5 {
			j.publish("n", fmt.Sprint(i), "max_items=max", "notification_type=normal")
			j.publish("never", fmt.Sprint(i), "send_last_published_item=never", "notification_type=normal")
		}
		j.events()
		time.Sleep(20 * time.Minute)
		j.pump()
		for _, el := range j.arr {
			if strings.Contains(el, "type='error'") || strings.Contains(el, "<event") {
				t.Errorf("juliet got %s", el)
			}
		}
		if w.nodes.heads.Load() != 2 {
			t.Errorf("%d reads of last items", w.nodes.heads.Load())
		}
		r = w.connect("romeo@example.net/1")
		r.send("<presence/>")
		if got := r.events(); got != "" {
			t.Errorf("kept: %q", got)
		}
		r.there("n", "never")
		if got := r.events(); got != "~n:4" {
			t.Errorf("a new session: %q", got)
		}
		for _, u := range []string{"romeo@example.net", "juliet@example.net"} {
			if n, err := w.kept.Usage(t.Context(), addr(u)); err != nil || n.Messages != 0 {
				t.Errorf("%s: %+v kept, error %v", u, n, err)
			}
		}
	})
}
