package joint

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestToggledCounted is FI-43 with real counters: 10 000 times active or inactive while
// others write to the phone and the desk, whose messages are copied, and the phone's
// connection breaks in between. It gets everything once, in the order of each sender,
// and both sides have counted the same.
func TestToggledCounted(t *testing.T) {
	t.Parallel()
	const toggles, each, rounds = 10_000, 150, 10
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &csi.Options{Awake: -1})
		servers := make([]*muxtest.Client, 3)
		for i := range servers {
			servers[i] = w.h.DialDomain(t, mux.Server, fmt.Sprintf("s%d.example", i))
		}
		seen := make(map[string]bool)
		next := make(map[string]int)
		for round := range rounds {
			var wg sync.WaitGroup
			sent := make(chan struct{}) // so that neither side is far ahead
			for i, s := range servers {
				wg.Go(func() {
					for n := round * each; n < (round+1)*each; n++ {
						to, typ := phoneJID, "headline" // is held, and nothing replaces it
						switch n % 25 {
						case 0:
							typ = "chat"
						case 1:
							to, typ = deskJID, "chat"
						}
						s.Write(fmt.Sprintf("<message from='x@s%d.example/x' to='%s' type='%s' id='%d-%d'>%s</message>", i, to, typ, i, n, body))
						sent <- struct{}{}
					}
				})
			}
			wg.Go(func() {
				for n := range toggles / rounds {
					if n < each*len(servers) {
						<-sent
					}
					w.phone.Write([]string{inactive, active}[n%2])
				}
			})
			if round%3 == 2 {
				wg.Go(func() { w.phone.Write("<presence/>") })
			}
			wg.Wait()
			w.h.Settle()
			if round%2 == 1 {
				w.phone.Drop()
				got, _ := w.got() // what was on its way did arrive
				check(t, got, seen, next)
				w.resume()
			}
			w.phone.Send(active)
			got, _ := w.got()
			check(t, got, seen, next)
			w.phone.Send("<a xmlns='urn:xmpp:sm:3' h='" + strconv.Itoa(w.count) + "'/>")
			if n := w.sent.Stats().Queued; n != 0 {
				t.Fatalf("round %d: %d stanzas are not acknowledged", round, n)
			}
		}
		for i := range servers {
			if n := next[strconv.Itoa(i)]; n != each*rounds {
				t.Errorf("%d of %d by server %d", n, each*rounds, i)
			}
		}
		n := w.held.Stats()
		t.Logf("%+v", n)
		if n.Held == 0 || n.Holding != 0 {
			t.Errorf("%+v", n)
		}
		w.counted()
	})
}

// check notes what has arrived, each once and in order.
func check(t *testing.T, got string, seen map[string]bool, next map[string]int) {
	t.Helper()
	for _, id := range strings.Fields(got) {
		from, number, ok := strings.Cut(id, "-")
		if !ok {
			continue // an element, or own presence
		}
		if seen[id] || number != strconv.Itoa(next[from]) {
			t.Fatalf("%s, want number %d", id, next[from])
		}
		seen[id] = true
		next[from]++
	}
}

// TestBehindFeedOnce: what waits behind something long is in the store of smacks
// already, so csi does not hold it: after a restart it would come twice.
func TestBehindFeedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.phone.Send(inactive)
		presence, message := stimuli[0], stimuli[2]
		presence.send(w, "a", "1")
		end := make(chan struct{})
		w.phone.Session.Feed(func(context.Context, func(mux.Item)) (bool, error) {
			<-end
			return false, nil
		})
		presence.send(w, "b", "2")
		w.want("")
		close(end)
		w.h.Settle()
		w.want("1 2")
		presence.send(w, "c", "3")
		message.send(w, "c", "4")
		w.want("3 4")
		w.count = 0
		w.restart()
		w.resume()
		w.want("resumed 1 2 3 4")
		w.counted()
	})
}
