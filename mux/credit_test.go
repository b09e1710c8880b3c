package mux_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// At the limit the reader stops, after it has written what was caused so far,
// and goes on when something is finished (core-im LIM-23).
func TestCredit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		opt    mux.Options
		pad    string
		unread int
	}{
		{"count", mux.Options{Credit: 3}, "", 3},
		{"octets", mux.Options{CreditBytes: 1000}, strings.Repeat("x", 220), 3},
		{"one that is too big alone", mux.Options{CreditBytes: 100}, strings.Repeat("x", 300), 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := new(muxtest.Committer)
				tt.opt.Committer = c
				h := muxtest.New(t, &tt.opt, new(ledger))
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				c.Hold()
				var batch []string
				batch = append(batch, "<iq type='result' id='first' to='"+julietFull+"'/>") // gated by nothing
				for range 6 {
					batch = append(batch, "<message type='chat' to='"+julietFull+"' id='x'><body>"+tt.pad+"</body></message>")
				}
				romeo.Send(batch...)
				if got := romeo.Unread(); got != tt.unread {
					t.Errorf("%d are not accepted", got)
				}
				if !romeo.Stream.Waiting() || romeo.Stream.InProgress() != 6-tt.unread {
					t.Errorf("waiting %t, %d in progress", romeo.Stream.Waiting(), romeo.Stream.InProgress())
				}
				if got := ids(juliet.Arrived()); got != "first" {
					t.Errorf("arrived %s", got)
				}
				c.Commit()
				h.Settle()
				if got := romeo.Unread(); got != max(0, tt.unread-(6-tt.unread)) {
					t.Errorf("%d are not accepted after a commit", got)
				}
				c.Release()
				h.Settle()
				if romeo.Unread() != 0 || romeo.Stream.InProgress() != 0 || romeo.Stream.Waiting() {
					t.Error("the reader still waits")
				}
				if got := ids(juliet.Arrived()); got != "first x x x x x x" {
					t.Errorf("arrived %s", got)
				}
			})
		})
	}
}

// A reader that waits for credit is let go when its stream is closed.
func TestCreditAndClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, Credit: 1}, new(ledger))
		romeo := h.Connect(t, romeoFull)
		c.Hold()
		romeo.Send(request("write", "1"), request("write", "2"))
		if romeo.Unread() != 1 {
			t.Fatal("the reader does not wait")
		}
		romeo.Session.Close(nil)
		h.Settle()
		if romeo.Err() == nil {
			t.Error("the reader goes on")
		}
	})
}

// While a stanza of a client is not finished, there is a bound to what is remembered of
// those behind, whatever credit they have given back (core-im LIM-23).
func TestClientFarAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		h := muxtest.New(t, &mux.Options{Credit: 4}, ext{"slow", func(r *mux.Registry) {
			r.Guard(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				if e.Stanza.ID() == "slow" {
					<-held
				}
				return mux.Done, nil
			}, mux.Unknown(), mux.Blocks())
		}})
		const all = 1000
		romeo := h.Connect(t, romeoFull)
		romeo.Send("<message to='nurse@example.net' id='slow'/>")
		for range all {
			romeo.Write("<message to='" + julietFull + "'/>")
		}
		h.Settle()
		s := romeo.Session
		if n := s.Received(); n < 200 || n > 300 || s.Handled() != 0 || !romeo.Stream.Waiting() {
			t.Errorf("%d received, %d handled, waits: %v", n, s.Handled(), romeo.Stream.Waiting())
		}
		close(held)
		h.Settle()
		if n := s.Handled(); n != 1+all {
			t.Errorf("%d handled", n)
		}
	})
}
