package mux_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// pages is a feed of n pages of one item each; size is of an item's text.
func pages(label string, n, size int, asked *int) mux.FeedFunc {
	return func(_ context.Context, emit func(mux.Item)) (bool, error) {
		*asked++
		c := mux.RawChild(name("jabber:client", "body"), "<body>"+strings.Repeat("x", size)+"</body>")
		emit(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: label + strconv.Itoa(*asked)}, c)})
		return *asked < n, nil
	}
}

func ids(elements []string) string {
	var out []string
	for _, el := range elements {
		s, err := mux.Parse([]byte(el))
		if err != nil {
			out = append(out, el)
			continue
		}
		out = append(out, s.ID())
	}
	return strings.Join(out, " ")
}

// A feed is pulled below the low-water mark; what is live waits behind it, and
// feeds run one after another.
func TestFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		juliet.Stall()
		var a, b int
		juliet.Session.Feed(pages("a", 5, 40<<10, &a))
		h.Settle()
		if a != 2 { // 80 KiB are pending
			t.Errorf("%d pages were asked for", a)
		}
		romeo.Send(send("live1")...)
		juliet.Session.Feed(pages("b", 2, 10, &b))
		romeo.Send(send("live2")...)
		if got := ids(juliet.Arrived()); got != "a1 a2" {
			t.Errorf("arrived %s", got)
		}
		juliet.Unstall()
		if got := ids(juliet.Arrived()); got != "a1 a2 a3 a4 a5 live1 b1 b2 live2" {
			t.Errorf("arrived %s", got)
		}
		// And again, when no goroutine is left.
		juliet.Clear()
		var c int
		juliet.Session.Feed(pages("c", 2, 10, &c))
		romeo.Send(send("live3")...)
		if got := ids(juliet.Arrived()); got != "c1 c2 live3" && got != "live3 c1 c2" {
			t.Errorf("arrived %s", got)
		}
	})
}

// What is gated counts as waiting, and the feed goes on when it is not.
func TestFeedBehindGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(ledger)
		h, c := held(t, x)
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		c.Hold()
		romeo.Send("<message to='" + julietFull + "' id='big'><body>" + strings.Repeat("x", 80<<10) + "</body></message>")
		var a int
		juliet.Session.Feed(pages("a", 3, 10, &a))
		h.Settle()
		if a != 0 {
			t.Errorf("%d pages were asked for", a)
		}
		c.Release()
		if got := ids(juliet.Arrived()); got != "big a1 a2 a3" {
			t.Errorf("arrived %s", got)
		}
	})
}

// A feed goes on when the session has a stream again, and ends with the session;
// what waited behind it is not lost.
func TestFeedAcrossStreams(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h := muxtest.New(t, nil, &smacks{keep: time.Hour}, st)
			romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
			juliet.Drop()
			var a int
			juliet.Session.Feed(pages("a", 2, 10, &a))
			romeo.Send(send("live")...)
			if a != 0 {
				t.Error("a session without a stream was fed")
			}
			if back {
				again := resume(t, h, juliet, "0")
				again.Expect(resumed("1"), ask)
				if got := ids(again.Arrived()); got != "a1 a2 live" {
					t.Errorf("arrived %s", got)
				}
				return
			}
			time.Sleep(time.Hour + 1)
			h.Settle()
			st.want(t, "live replay delayed")
			if a != 0 {
				t.Error("an ended session was fed")
			}
		})
	}
}

// waiter is a sink that counts what it is told to keep.
type waiter struct {
	mux.Sink
	n *int
}

func (w waiter) Wait(*mux.Item) { *w.n++ }

// What waits behind feeds is bounded, however many those are, and nobody keeps what
// does not wait.
func TestFeedsOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := 0
		h := muxtest.New(t, &mux.Options{MaxQueue: 1000}, with(func(r *mux.Registry) {
			r.Outbound(mux.Track, func(_ *mux.Session, next mux.Sink) mux.Sink { return waiter{next, &kept} })
		}))
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		stop := make(chan struct{})
		for range 5 {
			juliet.Session.Feed(func(context.Context, func(mux.Item)) (bool, error) {
				<-stop
				return false, nil
			})
			romeo.Send("<message to='" + julietFull + "' id='1'><body>" + strings.Repeat("x", 300) + "</body></message>")
		}
		if kept != 2 {
			t.Errorf("%d messages wait", kept)
		}
		juliet.ExpectClosed("policy-violation")
		close(stop)
	})
}
