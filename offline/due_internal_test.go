package offline

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// What has arrived and is not being removed is counted exactly, whatever fails in
// between: else who acknowledges would at some time write that without removing what it
// is about, and a crash between the two would send it again (smacks SM-94).
func TestDueIsExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		commits, x := new(muxtest.Committer), New(new(Memory), nil)
		h := muxtest.NewHost(t)
		h.AddAccount("juliet@example.net", "romeo@example.net")
		h.Open(&mux.Options{Committer: commits}, x)
		romeo := h.Connect(t, "romeo@example.net/orchard")
		j := h.Connect(t, "juliet@example.net/balcony")
		for i, fails := range []bool{true, false, true, true, false} {
			j.Send("<presence type='unavailable'/>")
			romeo.Send("<message to='juliet@example.net' type='chat'><body>x</body></message>")
			h.Settle()
			commits.Hold()
			j.Send("<presence/>")
			commits.Commit() // now it is sent what waits
			h.Settle()
			if fails {
				commits.Fail(errors.New("the disk is full"))
			}
			commits.Release()
			h.Settle()
			n := 0
			for _, b := range x.boxes {
				n += len(b.arrived)
			}
			if due := x.due.Load(); due != int64(n) || n > 0 != fails {
				t.Errorf("%d: %d are due, %d have arrived", i, due, n)
			}
			j.Clear()
		}
		j.Close()
		h.Settle()
		if len(x.boxes) != 0 {
			t.Errorf("%d accounts have something on its way", len(x.boxes))
		}
	})
}
