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
// kept, whether they are different items (S-1) or versions of one (S-2); each is
// answered.
func TestParallel(t *testing.T) {
	t.Parallel()
	const n = 100
	for _, same := range []bool{false, true} {
		play(t, nil, func(s *stage) {
			s.publish("n", "first", "max_items=10", "notify_retract=0")
			a, b := s.who("juliet/a"), s.who("juliet/b")
			s.there("romeo", "n")
			s.there("nurse", "n")
			s.farThere("benvolio@example.org/1", "n")
			s.forget()
			s.together(n, func(i int) string {
				id := strconv.Itoa(i)
				if same {
					return strings.Replace(publication("n", "x"), "</x>", " "+id+"</x>", 1)
				}
				return publication("n", id)
			})
			for id, refused := range answers(t, append(a.Arrived(), b.Arrived()...)) {
				if refused != "" {
					t.Errorf("%s is refused with %s", id, refused)
				}
			}
			if got := len(answers(t, append(a.Arrived(), b.Arrived()...))); got != n {
				t.Errorf("%d answers", got)
			}
			seen := payloads(t, s.who("romeo").Arrived())
			for name, l := range map[string][]string{"nurse": s.who("nurse").Arrived(), "benvolio": s.h.Routed("example.org")} {
				if other := payloads(t, l); len(seen) != n || !slices.Equal(seen, other) {
					t.Errorf("romeo sees %d events, %s %d, or in another order", len(seen), name, len(other))
				}
			}
			kept, want := s.texts(), seen[n-10:]
			if same {
				want = []string{"first", seen[n-1]}
			}
			if !slices.Equal(kept, want) {
				t.Errorf("kept %v, last seen %v", kept, seen[n-10:])
			}
		})
	}
}

// payloads are the texts of the items in events.
func payloads(t *testing.T, l []string) (all []string) {
	t.Helper()
	for _, el := range l {
		if _, after, ok := strings.Cut(el, "<x xmlns='urn:x'>"); ok && strings.Contains(el, "<event ") {
			text, _, _ := strings.Cut(after, "<")
			all = append(all, text)
		}
	}
	return all
}

// texts are the texts of what n keeps, as it says and as the store has it.
func (s *stage) texts() (all []string) {
	s.t.Helper()
	_, whole := s.full("juliet/a", "get", pubsub("<items node='n'/>"))
	for _, part := range strings.Split(whole, "<x xmlns='urn:x'>")[1:] {
		text, _, _ := strings.Cut(part, "<")
		all = append(all, text)
	}
	l, err := s.store.Index(s.t.Context(), addr("juliet@example.net"), "n")
	if err != nil || len(l) != len(all) {
		s.t.Errorf("told %v, the store has %v, error %v", all, l, err)
	}
	return all
}

// TestRaces: what contradicts is refused, whatever comes first, in the midst of others.
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
