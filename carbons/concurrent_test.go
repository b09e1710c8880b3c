package carbons_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestConcurrent: CC-30, FI-50: four sessions send at once, two to the other account
// and two to each other, while a fifth switches carbons on and off. Whatever way it
// comes, nobody gets a message twice, and what comes from one is in order; who has
// carbons on all the time gets everything.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const each = 250
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true, Credit: 4}, carbons.New(nil))
		var c []*muxtest.Client
		for i := range 4 {
			d := h.Connect(t, fmt.Sprint("romeo@example.net/", i))
			d.Send(enable)
			c = append(c, d)
		}
		toggling, always := h.Connect(t, "romeo@example.net/toggling"), h.Connect(t, "romeo@example.net/always")
		always.Send(enable)
		h.Connect(t, "juliet@example.net/x").Send("<presence/>")
		to := []string{"juliet@example.net", "juliet@example.net/x", "romeo@example.net/3", "romeo@example.net/2"}
		var wg sync.WaitGroup
		for i, d := range c {
			wg.Go(func() {
				for n := range each {
					d.Write(fmt.Sprintf("<message type='chat' to='%s' id='%d-%d'><body>x</body></message>", to[i], i, n))
				}
			})
		}
		wg.Go(func() {
			for n := range each {
				toggling.Write(strings.ReplaceAll(enable, "enable", []string{"enable", "disable"}[n%2]))
			}
		})
		wg.Wait()
		h.Settle()
		for _, d := range append(c, toggling, always) {
			last := make([]int, len(c))
			got := 0
			for _, el := range d.Arrived() {
				s := parse(t, el)
				id := s.ID()
				if cp, err := carbons.Unwrap(s, d.Session.JID()); err == nil {
					id = cp.Message.ID()
				}
				from, number, ok := strings.Cut(id, "-")
				if !ok {
					continue
				}
				got++
				i, err1 := strconv.Atoi(from)
				n, err2 := strconv.Atoi(number)
				if err1 != nil || err2 != nil || n < last[i] {
					t.Fatalf("%s got %s behind %d", d.Session.JID(), id, last[i]-1)
				}
				last[i] = n + 1
			}
			switch want := each * len(c); {
			case d == always && got != want:
				t.Errorf("got %d of %d", got, want)
			case d != always && d != toggling && got != want-each:
				t.Errorf("%s got %d of %d", d.Session.JID(), got, want-each)
			}
		}
	})
}
