package mux_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestEndDomain: sessions of a domain that is not served any more end, kept ones too,
// and so do streams that are about to get one; what a client has not got is disposed
// of, and other domains do not notice (core-im GS-4).
func TestEndDomain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		h := muxtest.New(t, nil, &smacks{keep: time.Hour}, st)
		h.AddDomain("example.org")
		romeo, other := h.Connect(t, romeoFull), h.Connect(t, "mercutio@example.org/x")
		juliet := enabled(t, h)
		juliet.Drop()
		romeo.Send(send("1")...)
		early := h.Dial(t, "nurse@example.net")
		early.Stream.SetDomain("example.net")
		h.Mux().EndDomain("example.net")
		romeo.ExpectClosed("host-gone")
		early.ExpectClosed("host-gone")
		if juliet.Session.State() != mux.Gone {
			t.Errorf("juliet's session is %s", juliet.Session.State())
		}
		st.want(t, "1 replay delayed")
		if other.Session.State() != mux.Live {
			t.Errorf("the session of another domain is %s", other.Session.State())
		}
		other.ExpectNone()
	})
}
