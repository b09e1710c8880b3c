package pep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// kinds are what clients of different versions want.
var kinds = [][]string{{"n", "tune"}, {"n"}, {"other"}}

// TestStorm: five hundred contacts elsewhere, of three kinds, come back within a second
// (S-33): for three accounts, one query of each kind. While the accounts are in use, each
// last item is read once. While they are away they are read again when there is nothing to
// be done for them; so a store that takes its time has fewer reads, each for all that have
// come meanwhile.
func TestStorm(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		storm(t, away)
	}
}

func storm(t *testing.T, away bool) {
	t.Helper()
	const contacts = 500
	owners := []string{"juliet", "romeo", "nurse"}
	inWorld(t, func(w *world) {
		for _, o := range owners {
			for i := range contacts {
				apply(t, w.rosters.Put(addr(o+"@example.net"), rosterItem(fmt.Sprintf("c%d@example.org", i))))
			}
		}
	}, func(w *world) {
		for _, o := range owners {
			a := w.connect(o + "@example.net/1")
			for _, node := range kinds[0] {
				if short, _ := a.of(o+"@example.net", "set", publication(node, "1")); short != "" {
					t.Error(short)
				}
			}
		}
		w.h.Restart(w.extensions()...)
		most := int64(len(owners))
		for _, o := range owners {
			if !away {
				w.connect(o + "@example.net/1")
			}
		}
		if w.nodes.takes = 50 * time.Millisecond; away {
			most *= int64(time.Second/w.nodes.takes) + 5
		}
		w.nodes.reset()
		w.asked = 0
		far, got := w.org(), make(map[string]int)
		for i := range contacts {
			for _, o := range owners {
				far.Write(fmt.Sprintf("<presence from='c%d@example.org/1' to='%s@example.net'>%s</presence>", i, o, w.hash(kinds[i%3])))
			}
			w.sleep(time.Second / contacts)
			w.storm(got)
		}
		w.sleep(time.Minute)
		w.storm(got)
		if want := len(owners) * (2*167 + 167); len(got) != want { // a third wants both, a third one
			t.Errorf("%d different events, want %d", len(got), want)
		}
		for e, n := range got {
			if n != 1 || !strings.Contains(e, " ~") {
				t.Errorf("%d times %s", n, e)
			}
		}
		if w.asked != len(kinds) {
			t.Errorf("%d queries", w.asked)
		}
		if h, l, i := w.nodes.heads.Load(), w.nodes.loads.Load(), w.nodes.items.Load(); h != 0 || l > most || i > 2*most {
			t.Errorf("away %t: %d reads of heads, %d of nodes, %d of items", away, h, l, i)
		} else {
			t.Logf("away %t: %d reads of nodes, %d of items", away, l, i)
		}
	})
}

// storm takes what was sent to example.org, answers queries for the kind they are about,
// and counts events.
func (w *world) storm(got map[string]int) {
	w.t.Helper()
	for _, el := range w.h.Routed("example.org") {
		st := parsed(w.t, el)
		if strings.Contains(el, "<event ") {
			got[st.From().String()+" "+st.To().String()+" "+shortEvent(st)]++
			continue
		}
		for _, nodes := range kinds {
			if strings.Contains(el, capsVer(w.t, nodes)) {
				w.org().Write(w.answer(st, nodes))
			}
		}
	}
}

// TestLocalStorm: five hundred contacts here log in within a second (S-33, NTF-9): one query
// for each kind of client; one read of last items for each session, with all that it wants,
// and none for owners, who are not even loaded for it.
func TestLocalStorm(t *testing.T) {
	t.Parallel()
	const contacts = 500
	inWorld(t, func(w *world) {
		for i := range contacts {
			c := fmt.Sprintf("c%d@example.net", i)
			for _, o := range []string{"juliet@example.net", "nurse@example.net"} {
				apply(t, w.rosters.Put(addr(o), rosterItem(c)), w.rosters.Put(addr(c), rosterItem(o)))
			}
		}
	}, func(w *world) {
		for _, o := range []string{"juliet@example.net", "nurse@example.net"} {
			a := w.connect(o + "/1")
			a.of(o, "set", publication("n", "1"))
			a.of(o, "set", publication("tune", "1"))
			a.c.Close()
		}
		w.sleep(time.Hour)
		w.nodes.reset()
		var all []*actor
		for i := range contacts {
			a := w.connect(fmt.Sprintf("c%d@example.net/1", i))
			a.wants = kinds[i%3]
			a.c.Write("<presence>" + w.hash(a.wants) + "</presence>")
			all = append(all, a)
		}
		w.h.Settle()
		for range kinds {
			for _, a := range all {
				a.pump()
			}
		}
		for i, a := range all {
			want := []int{4, 2, 0}[i%3]
			if got := strings.Fields(a.events()); len(got) != want {
				t.Errorf("%d got %q", i, got)
			}
		}
		if w.asked != len(kinds) {
			t.Errorf("%d queries", w.asked)
		}
		// The own nodes of each session are read once, for what is in no store.
		if h, l, i := w.nodes.heads.Load(), w.nodes.loads.Load(), w.nodes.items.Load(); h != contacts || l != contacts || i != 0 {
			t.Errorf("%d reads of heads, %d of nodes, %d of items", h, l, i)
		}
	})
}
