package pep_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// together has two sessions of juliet publish without waiting for each other.
func (s *stage) together(n int, payload func(i int) string) {
	s.t.Helper()
	var by [2][]string
	for i := range n {
		s.n++
		by[i%2] = append(by[i%2], "<iq type='set' id='t"+fmt.Sprint(i)+"'>"+payload(i)+"</iq>")
	}
	a, b, done := s.who("juliet/a"), s.who("juliet/b"), make(chan struct{})
	go func() {
		defer close(done)
		a.Write(by[0]...)
	}()
	b.Write(by[1]...)
	<-done
	s.h.Settle()
}

func index(t *testing.T, s *stage, node string) []string {
	t.Helper()
	l, err := s.store.Index(t.Context(), addr("juliet@example.net"), node)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range l {
		ids = append(ids, e.ID)
	}
	return ids
}

// TestParallel: many publications at once come in one order that all see and that is
// kept (S-1, S-2).
func TestParallel(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{false, true} {
		play(t, nil, func(s *stage) {
			s.publish("n", "first", "max_items=10", "notify_retract=0")
			s.who("juliet/a")
			s.who("juliet/b")
			s.there("romeo", "n")
			s.there("nurse", "n")
			s.events("romeo")
			s.events("nurse")
			s.together(100, func(i int) string {
				if same {
					return publication("n", "x")
				}
				return publication("n", strconv.Itoa(i))
			})
			seen := strings.Fields(s.events("romeo"))
			if other := strings.Fields(s.events("nurse")); len(seen) != 100 || !slices.Equal(seen, other) {
				t.Errorf("%d events, and another sees %d, or in another order", len(seen), len(other))
			}
			kept := index(t, s, "n")
			if same {
				if !slices.Equal(kept, []string{"first", "x"}) {
					t.Errorf("kept %v", kept)
				}
				return
			}
			for i, id := range kept {
				if want := strings.TrimPrefix(seen[90+i], ">n:"); id != want {
					t.Errorf("kept %v, last seen %v", kept, seen[90:])
					break
				}
			}
		})
	}
}

// TestRaces: what contradicts is refused, whatever comes first (S-3, S-4).
func TestRaces(t *testing.T) {
	t.Parallel()
	for range 20 {
		play(t, nil, func(s *stage) {
			s.publish("n", "1", "access_model=whitelist")
			s.together(10, func(i int) string {
				if i == 5 {
					return configure("n", "access_model=open")
				}
				if i < 2 {
					return publication("m", strconv.Itoa(i), "max_items="+[]string{"max", "1"}[i])
				}
				return publication("n", strconv.Itoa(i), "access_model=whitelist")
			})
			refused, answers := 0, 0
			var conflicts []string
			for _, name := range []string{"juliet/a", "juliet/b"} {
				open := false
				for _, el := range s.who(name).Arrived() {
					st, err := mux.Parse([]byte(el))
					if err != nil || st.Kind() != mux.IQ {
						continue
					}
					answers++
					if st.ID() == "t5" {
						open = true
					}
					if st.Type() == "error" {
						conflicts = append(conflicts, st.ID())
						if got := shortError(st); got != "cancel/conflict/precondition-not-met" {
							t.Errorf("refused with %q", got)
						}
					}
					if st.ID() == "t0" || st.ID() == "t1" {
						if st.Type() == "error" {
							refused++
						}
						continue
					}
					if open && st.ID() != "t5" && st.Type() != "error" {
						t.Errorf("%s was accepted into an open node", st.ID())
					}
				}
			}
			if answers != 10 || refused != 1 {
				t.Errorf("%d answers, %d of the makers refused; conflicts %v", answers, refused, conflicts)
			}
		})
	}
}

// TestRefusedLeavesNothing: a publication that fails makes no node (S-5).
func TestRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.there("romeo", "n")
		big := pubsub("<publish node='n'><item id='1'><x xmlns='urn:x'>" + strings.Repeat("y", 250<<10) + "</x></item></publish>" +
			"<publish-options>" + form("publish-options", "access_model=open") + "</publish-options>")
		if got := s.ask("juliet", "set", big); got != "modify/not-acceptable/payload-too-big" {
			t.Errorf("got %q", got)
		}
		if _, whole := s.full("juliet", "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"); strings.Contains(whole, "<item") {
			t.Errorf("there is a node: %s", whole)
		}
		if got := s.events("romeo"); got != "" {
			t.Errorf("romeo got %q", got)
		}
	})
}
