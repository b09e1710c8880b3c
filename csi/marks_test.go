package csi_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
)

// TestStaleMark: CSI-9: what a client has said on the stream before, behind something
// long, is not true of the next.
func TestStaleMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, x, c, org := phone(t, csi.Options{Awake: -1}, new(tracker))
		c.Send(enable)
		id, end := c.Session.ID(), make(chan struct{})
		c.Session.Feed(func(context.Context, func(mux.Item)) (bool, error) {
			<-end
			return false, nil
		})
		c.Send(active, inactive)
		c.Drop()
		again := h.Dial(t, "romeo@example.net")
		again.Send("<resume xmlns='urn:xmpp:sm:3' previd='" + id.String() + "' h='0'/>")
		again.Clear()
		org.Send(shows("a", "1"))
		close(end)
		h.Settle()
		wantIDs(t, again, "1")
		if x.Inactive(again.Session) {
			t.Error("inactive")
		}
		again.Send(inactive)
		org.Send(shows("a", "2"))
		wantIDs(t, again)
	})
}

// TestFloodOfMarks: a client that does not read and says again and again how it is does
// not fill the memory.
func TestFloodOfMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, x, c, org := phone(t, csi.Options{Awake: -1})
		end := make(chan struct{})
		c.Session.Feed(func(context.Context, func(mux.Item)) (bool, error) {
			<-end
			return false, nil
		})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 200 {
			var all []string
			for range 50 {
				all = append(all, active, inactive)
			}
			c.Send(all...)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 2<<20 {
			t.Errorf("%d octets more", n)
		}
		org.Send(shows("a", "1"))
		close(end)
		h.Settle()
		if !x.Inactive(c.Session) || c.Err() != nil {
			t.Errorf("inactive %t, error %v", x.Inactive(c.Session), c.Err())
		}
		wantIDs(t, c)
		c.Send(active)
		wantIDs(t, c, "1")
	})
}
