package mux_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// ledger is an extension with durable state: every message of an account is
// written, in its memory at once and in the store by the Work.
type ledger struct {
	key    mux.AccountKey[[]string]
	mu     sync.Mutex
	stored map[string][]string // by account
	lost   []string
	after  []error
}

func (x *ledger) Name() string { return "ledger" }

func (x *ledger) Register(r *mux.Registry) error {
	x.key = mux.AccountSlot[[]string](r)
	x.stored = make(map[string][]string)
	note := func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		x.write(e, e.Stanza.ID())
		return mux.Pass, nil
	}
	r.Guard(mux.FromAccount, mux.Message, note)
	r.Guard(mux.ToAccount, mux.Message, note)
	answers(r, "write", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
		x.write(e, e.Stanza.ID())
		e.Work.After(func(err error) { x.after = append(x.after, err) })
		return nil, nil
	})
	answers(r, "read", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
		return mux.Raw("<read xmlns='" + nsToy + "'>" + fmt.Sprint(*x.key.Of(e)) + "</read>"), nil
	})
	mux.On(r, func(_ context.Context, e *mux.Event, ev mux.StateLost) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.lost = append(x.lost, e.Account.Local()+" "+ev.Err.Error())
		*x.key.Of(e) = slices.Clone(x.stored[e.Account.Local()])
		return nil
	})
	return nil
}

func (x *ledger) write(e *mux.Event, id string) {
	account := e.Account.Local()
	list := x.key.Of(e)
	*list = append(*list, id)
	e.Work.Write(func(context.Context, mux.Tx) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.stored[account] = append(x.stored[account], id)
		return nil
	})
}

func request(local, id string) string {
	return "<iq type='get' id='" + id + "'><" + local + " xmlns='" + nsToy + "'/></iq>"
}

func result(id, in string) string {
	return "<iq type='result' id='" + id + "' from='romeo@example.net' to='" + romeoFull + "'>" + in + "</iq>"
}

func held(t *testing.T, exts ...mux.Extension) (*muxtest.Host, *muxtest.Committer) {
	c := new(muxtest.Committer)
	h := muxtest.New(t, &mux.Options{Committer: c}, exts...)
	return h, c
}

// While the store is slow nothing that a stanza led to leaves, what comes behind
// it to the same sessions waits, and nobody else does.
func TestSlowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := new(ledger)
		h, c := held(t, x)
		answered := h.Connect(t, romeoFull)
		juliet := h.Connect(t, julietFull)
		a, b := h.Connect(t, "a@example.net/x"), h.Connect(t, "b@example.net/x")
		c.Hold()
		answered.Send(request("write", "1"), request("read", "2"))
		answered.Send(send("3")...)
		answered.ExpectNone()
		juliet.ExpectNone()
		juliet.Send("<iq type='result' id='4' to='" + romeoFull + "'/>") // behind what is gated
		answered.ExpectNone()
		for range 3 { // others are not concerned
			a.Send("<iq type='result' id='5' to='b@example.net/x'/>")
			b.Expect("<iq type='result' id='5' from='a@example.net/x' to='b@example.net/x'/>")
		}
		if got := answered.Session.Handled(); got != 0 {
			t.Errorf("h is %d", got)
		}
		if got := answered.Session.Received(); got != 3 {
			t.Errorf("received %d", got)
		}
		c.Commit()
		answered.Expect(result("1", ""), result("2", "<read xmlns='"+nsToy+"'>[1]</read>"),
			"<iq type='result' id='4' from='"+julietFull+"' to='"+romeoFull+"'/>")
		answered.ExpectNone()
		juliet.Expect(message("3"))
		if got := answered.Session.Handled(); got != 3 {
			t.Errorf("h is %d", got)
		}
		if !slices.Equal(x.stored["romeo"], []string{"1", "3"}) || !slices.Equal(x.stored["juliet"], []string{"3"}) {
			t.Errorf("stored %v", x.stored)
		}
	})
}

// h is the contiguous prefix of what is durable.
func TestHandledIsContiguous(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, c := held(t, new(ledger), &smacks{})
		romeo := h.Connect(t, romeoFull)
		romeo.Send("<enable xmlns='" + nsSM + "'/>")
		romeo.Clear()
		c.Hold()
		romeo.Send(request("read", "1"), request("write", "2"), request("read", "3"), ask)
		if got := romeo.Session.Handled(); got != 1 {
			t.Errorf("h is %d", got)
		}
		romeo.Expect(result("1", "<read xmlns='"+nsToy+"'>[]</read>"))
		romeo.ExpectNone()
		c.Commit()
		romeo.Expect(result("2", ""), result("3", "<read xmlns='"+nsToy+"'>[2]</read>"), "<a xmlns='"+nsSM+"' h='3'/>")
	})
}

// A failed commit: nothing of it was said, the streams concerned end, the
// accounts load their state again, and what else was on its way is not lost.
func TestFailedCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x, st := new(ledger), new(store)
		h, c := held(t, x, st)
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		other := h.Connect(t, "romeo@example.net/other")
		a := h.Connect(t, "a@example.net/x")
		romeo.Send(request("write", "0"))
		romeo.Expect(result("0", ""))
		c.Hold()
		romeo.Send(request("write", "1"))
		romeo.Send(send("2")...)
		c.Fail(errTest)
		romeo.ExpectClosed("internal-server-error")
		romeo.ExpectNone()
		juliet.ExpectClosed("internal-server-error")
		juliet.ExpectNone()
		other.ExpectNone()
		a.ExpectNone()
		slices.Sort(x.lost)
		if want := []string{"juliet on purpose", "romeo on purpose", "romeo on purpose"}; !slices.Equal(slices.Compact(x.lost), slices.Compact(want)) {
			t.Errorf("lost %q", x.lost)
		}
		if len(x.after) != 2 || x.after[0] != nil || !errors.Is(x.after[1], errTest) {
			t.Errorf("after: %v", x.after)
		}
		c.Release()
		romeo = h.Connect(t, romeoFull)
		romeo.Send(request("read", "3"))
		romeo.Expect(result("3", "<read xmlns='"+nsToy+"'>[0]</read>"))
		st.want(t) // what failed is not disposed of: its sender knows that it was not taken
	})
}

// What others have sent to a session whose stream ends with a failed commit is
// kept.
func TestFailedCommitKeepsOthers(t *testing.T) {
	t.Parallel()
	for _, tracked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h, c := held(t, new(ledger), &smacks{keep: 1}, st)
			romeo, juliet, nurse := h.Connect(t, romeoFull), h.Connect(t, julietFull), h.Connect(t, "nurse@example.net/x")
			if tracked {
				juliet.Send("<enable xmlns='" + nsSM + "'/>")
				juliet.Clear()
			}
			c.Hold()
			romeo.Send(send("bad")...)
			c.Cut()
			nurse.Send(send("good")...)
			c.FailFirst(errTest)
			c.Release()
			h.Settle()
			juliet.ExpectClosed("internal-server-error")
			romeo.ExpectClosed("internal-server-error")
			st.want(t, "good replay delayed")
			nurse.ExpectNone()
		})
	}
}

// Writes of one account are made in the order of its turns, although a Work ends
// only when its last turn has, in another account.
func TestWritesInOrderOfTurns(t *testing.T) {
	t.Parallel()
	for _, committer := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			x := new(ledger)
			gate := make(chan struct{})
			slow := ext{"slow", func(r *mux.Registry) {
				r.Guard(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
					if e.Account.Local() == "juliet" {
						<-gate
					}
					return mux.Pass, nil
				}, mux.Blocks())
			}}
			o := new(mux.Options)
			if committer {
				o.Committer = new(muxtest.Committer)
			}
			h := muxtest.New(t, o, x, slow)
			romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
			romeo.Send(send("1")...)          // waits at juliet's
			romeo.Send(request("write", "2")) // does not
			if len(x.stored["romeo"]) > 0 && x.stored["romeo"][0] != "1" {
				t.Errorf("stored %q before what came first", x.stored["romeo"])
			}
			close(gate)
			h.Settle()
			if !slices.Equal(x.stored["romeo"], []string{"1", "2"}) {
				t.Errorf("stored %q", x.stored["romeo"])
			}
			juliet.Expect(message("1"))
			romeo.Expect(result("2", ""))
		})
	}
}
