//go:build clients

package clienttest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// contacts are the names and groups of a roster.
type contacts map[string][2]any

// TestRosterSurvivesKill: a client changes its roster without a pause and the
// server is killed in the middle, again and again. Afterwards the roster is what
// the first so many changes make it, with all that were answered among them.
func TestRosterSurvivesKill(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	const rounds = 5
	roster := contacts{}
	underWay := 0
	for round := range rounds {
		x := slixmpp(t, s, s.transports()[round%2], "roster-changes", alice, fmt.Sprint(round))
		if got := readContacts(t, x); !reflect.DeepEqual(got, roster) {
			t.Fatalf("round %d begins with the roster\n%v\nwant\n%v", round, got, roster)
		}
		x.expect(t, fmt.Sprintf("answered %d", 10+rand.IntN(200)), limit)
		s.kill(t)
		x.done(t, limit)
		s.launch(t)

		y := slixmpp(t, s, s.transports()[0], "roster", alice)
		after := readContacts(t, y)
		y.done(t, limit)
		changes, answered := readChanges(t, x)
		for _, c := range changes[:answered] {
			roster.change(c)
		}
		applied := answered
		for !reflect.DeepEqual(roster, after) {
			if applied == len(changes) {
				t.Fatalf("round %d: %d changes were sent and %d answered; no number of them makes the roster\n%v\n%s",
					round, len(changes), answered, after, x.tail())
			}
			roster.change(changes[applied])
			applied++
		}
		t.Logf("round %d: %d changes sent, %d answered, %d applied", round, len(changes), answered, applied)
		underWay += len(changes) - answered
	}
	if underWay == 0 {
		t.Error("no change was under way when the server was killed")
	}
}

// change applies a contact alone, which is removed, or with its name and groups.
func (c contacts) change(change []any) {
	jid := change[0].(string)
	if len(change) == 1 {
		delete(c, jid)
		return
	}
	c[jid] = [2]any{change[1], change[2]}
}

// readContacts waits for the line with the roster.
func readContacts(t *testing.T, x *console) contacts {
	t.Helper()
	got := contacts{}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(x.expect(t, "roster ", limit), "roster ")), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// readChanges returns all changes that were sent, and how many were answered,
// which are the first.
func readChanges(t *testing.T, x *console) (changes [][]any, answered int) {
	t.Helper()
	text, _ := x.text()
	for line := range strings.Lines(text) {
		switch kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); kind {
		case "change":
			var c []any
			if err := json.Unmarshal([]byte(rest), &c); err != nil {
				t.Fatal(err)
			}
			changes = append(changes, c)
		case "answered":
			if rest != fmt.Sprint(answered) {
				t.Fatalf("answer to change %s instead of %d\n%s", rest, answered, x.tail())
			}
			answered++
		case "failed:":
			t.Fatal(line)
		}
	}
	return changes, answered
}
