package smacks_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// TestIncoming plays what other servers say and are told (smacks SM-98).
func TestIncoming(t *testing.T) {
	muxtest.Transcripts(t, "testdata/incoming/*.xmpp", func(*testing.T) muxtest.Config {
		store := new(smacks.Memory)
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), Sessions: new(mux.MemorySessions)},
			Extensions: func() []mux.Extension { return []mux.Extension{smacks.New(store, nil)} },
		}
	})
}

const (
	enableSM  = "<enable xmlns='urn:xmpp:sm:3'/>"
	enabledSM = "<enabled xmlns='urn:xmpp:sm:3'/>"
	toJuliet  = "<message from='a@example.org' to='" + julietFull + "'/>"
)

func ackOf(h any) string { return fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%v'/>", h) }

// What another server acknowledges although it was sent nothing (smacks SM-27, SM-38).
func TestIncomingBadAcknowledgements(t *testing.T) {
	t.Parallel()
	for h, condition := range map[string]string{"1": "undefined-condition", "4294967295": "undefined-condition", "4294967296": "bad-format",
		"-1": "bad-format", "": "bad-format", "1e3": "bad-format"} {
		t.Run(h, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x := muxtest.New(t, nil, smacks.New(nil, nil))
				org := x.DialDomain(t, mux.Server, "example.org")
				org.Send(enableSM, ackOf(h))
				org.Expect(enabledSM, ackOf(0))
				org.ExpectClosed(condition)
			})
		})
	}
}

// The feature is for servers that have proved who they are, and enabling comes behind
// that (smacks SM-1, SM-4).
func TestIncomingFeature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, smacks.New(nil, nil))
		offers := func(st *mux.Stream) (n int) {
			for _, f := range h.Mux().Features() {
				if s := st.State(); f.List != nil && s&f.Needs == f.Needs && s&f.Forbids == 0 && f.List(t.Context(), st) != nil {
					n++
				}
			}
			return n
		}
		var c sunk
		c.keep = true
		st := h.Mux().NewStream(&c, mux.Server)
		st.SetState(mux.Secure)
		if offers(st) != 0 {
			t.Error("offered to a server that may be anyone")
		}
		receive(t, st, enableSM)
		st.Flush()
		if !strings.Contains(c.last, "<failed xmlns='urn:xmpp:sm:3'><unexpected-request") {
			t.Errorf("enabled too early: %s", c.last)
		}
		st.Authorize("example.org")
		if offers(st) != 1 {
			t.Error("not offered, or twice")
		}
		receive(t, st, enableSM)
		st.Flush()
		if c.last != enabledSM {
			t.Errorf("got %s", c.last)
		}
		if juliet := h.Connect(t, julietFull); offers(juliet.Stream) != 0 {
			t.Error("offered to a client that is bound")
		}
	})
}

// Both ends may end the stream, and a shutdown does; the last acknowledgement is before
// the end tag (smacks SM-37).
func TestIncomingEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, smacks.New(nil, nil))
		begin := func() *muxtest.Client {
			org := h.DialDomain(t, mux.Server, "example.org")
			org.Send(enableSM, toJuliet, toJuliet)
			org.Expect(enabledSM)
			return org
		}
		org := begin()
		org.Stream.Close(nil)
		h.Settle()
		org.Expect(ackOf(2), "</stream:stream>")

		var c sunk
		c.keep = true
		st := h.Mux().NewStream(&c, mux.Server)
		st.Authorize("example.org")
		receive(t, st, enableSM)
		receive(t, st, toJuliet)
		st.Gone(true)
		if c.last != ackOf(1) {
			t.Errorf("got %s", c.last)
		}

		org = begin()
		org.Drop()
		org.ExpectNone()

		org = begin()
		if err := h.Mux().Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		org.Expect(ackOf(2))
		org.ExpectClosed("system-shutdown")
	})
}

// Many requests are answered in order, and a second time once for each stanza that was
// not finished, however often it was asked about (smacks FI-23).
func TestIncomingFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		commits := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: commits, Sessions: new(mux.MemorySessions)}, smacks.New(new(smacks.Memory), nil))
		enabled(t, h)
		org := h.DialDomain(t, mux.Server, "example.org")
		commits.Hold()
		const n = 300
		org.Write(enableSM)
		for range n {
			org.Write(toJuliet, ask, ask)
		}
		h.Settle()
		if got := len(org.Arrived()); got != 1+2*n {
			t.Fatalf("%d answers", got)
		}
		commits.Release()
		h.Settle()
		all := org.Arrived()[1:]
		last := uint32(0)
		for i, raw := range all {
			at := number(t, mustAttr(t, raw, "h"))
			if at < last || i < 2*n && at != 0 {
				t.Fatalf("answer %d: %s after %d", i, raw, last)
			}
			last = at
		}
		if last != n || len(all) > 3*n {
			t.Errorf("%d answers, the last %d", len(all), last)
		}
	})
}

func mustAttr(t *testing.T, raw, name string) string {
	t.Helper()
	el, err := mux.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return el.Attr(name)
}
