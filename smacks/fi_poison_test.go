package smacks_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

func utoa(n int) string { return strconv.Itoa(n) }

// poison is a message that is too large for juliet's client.
func poison(id string) string {
	return strings.Replace(chat(id), "<body>", "<body>"+strings.Repeat("poison ", 30<<10), 1)
}

// FI-54: a client gets a stanza that is over the limit of its parser, over and over
// again. One that says so, by a stream error, ends its session with that; the loop of one
// that just drops its connection is ended after five rounds (smacks SM-51). What it had
// before is not sent back, all the rest is, the poison among it, in order and once.
func TestFI54Poison(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]bool{"says so": true, "drops": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, smacks.Options{})
				romeo := s.Connect(t, romeoFull)
				juliet, token := enabled(t, s.Host)
				romeo.Send(chat("1"), chat("2"), poison("3"), chat("4"), chat("5"))
				s.Settle()
				juliet.Clear()
				rounds, c := 0, juliet
				for {
					// It has read two, cannot read the third, and counts it not.
					if says {
						c.Send("<error xmlns='http://etherx.jabber.org/streams'><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>")
					} else {
						c.Drop()
					}
					s.Settle()
					c.Clear()
					if c = resume(t, s.Host, token, "2"); strings.HasPrefix(c.Arrived()[0], "<failed") {
						break
					}
					if rounds++; rounds > 10 {
						t.Fatal("it goes on for ever")
					}
					wantOrder(t, c.Arrived(), "<resumed ", "id='3'", "id='4'", "id='5'", "<r ")
					c.Clear()
				}
				// That there is no such session any more is said, and the client can bind.
				if want := map[bool]int{true: 0, false: 5}[says]; rounds != want {
					t.Errorf("it was resumed %d times, want %d", rounds, want)
				}
				if !strings.Contains(c.Arrived()[0], "<item-not-found ") {
					t.Errorf("got %s", c.Arrived()[0])
				}
				c.Clear()
				c.Bind(&mux.BindOptions{Resource: "balcony"})
				s.Settle()
				want := []string{"3", "4", "5"}
				if says { // without a resumption nobody knew that it had read some
					want = []string{"1", "2", "3", "4", "5"}
				}
				var back []string
				for _, el := range romeo.Arrived() {
					e, err := mux.Parse([]byte(el))
					if err != nil || e.Type() != "error" {
						t.Fatalf("romeo got %s: %v", el, err)
					}
					back = append(back, e.ID())
				}
				romeo.Clear()
				if strings.Join(back, " ") != strings.Join(want, " ") {
					t.Errorf("%q went back, want %q", back, want)
				}
				romeo.Send(chat("6"))
				c.Expect(got("6"))
				if n := s.x.Stats(); n.Queued != 0 {
					t.Errorf("%d stanzas are kept", n.Queued)
				}
			})
		})
	}
}
