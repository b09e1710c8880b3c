package mux_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func message(id string) string {
	return "<message from='" + romeoFull + "' to='" + julietFull + "' id='" + id + "'><body>x</body></message>"
}

func send(ids ...string) (out []string) {
	for _, id := range ids {
		out = append(out, "<message to='"+julietFull+"' id='"+id+"'><body>x</body></message>")
	}
	return out
}

// enabled connects juliet with stream management.
func enabled(t *testing.T, h *muxtest.Host) *muxtest.Client {
	juliet := h.Connect(t, julietFull)
	juliet.Send("<presence/>", "<enable xmlns='"+nsSM+"'/>")
	juliet.Expect("<enabled xmlns='" + nsSM + "' id='" + juliet.Session.ID().String() + "'/>")
	return juliet
}

// resume connects a stream that takes the session of an earlier client over.
func resume(t *testing.T, h *muxtest.Host, c *muxtest.Client, hAcked string) *muxtest.Client {
	n := h.Dial(t, c.Session.Account().String())
	n.Send("<resume xmlns='" + nsSM + "' previd='" + c.Session.ID().String() + "' h='" + hAcked + "'/>")
	return n
}

func resumed(h string) string { return "<resumed xmlns='" + nsSM + "' previd='*' h='" + h + "'/>" }

const ask = "<r xmlns='" + nsSM + "'/>"

func TestTakeOver(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{true, false} {
		t.Run(fmt.Sprintf("live %t", live), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, &csi{}, &smacks{keep: time.Hour})
				romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
				romeo.Send(send("1", "2")...)
				juliet.Expect(message("1"), message("2"))
				juliet.Send("<inactive xmlns='" + nsCSI + "'/>")
				romeo.Send(send("3", "4")...)
				juliet.ExpectNone() // held
				if !live {
					juliet.Drop()
					romeo.Send(send("5")...)
				}
				again := resume(t, h, juliet, "1")
				// Reply, replay, held, ask.
				again.Expect(resumed("1"), message("2"), message("3"), message("4"))
				if live {
					juliet.ExpectClosed("conflict")
				} else {
					again.Expect(message("5"))
				}
				again.Expect(ask)
				again.ExpectNone()
				if again.Stream.Session() != juliet.Session || juliet.Stream.Session() != nil || juliet.Session.Stream() != again.Stream {
					t.Error("session and streams do not belong together")
				}
				romeo.Send(send("6")...)
				again.Expect(message("6"))
				again.Send("<message to='"+romeoFull+"' id='7'/>", ask)
				romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='7'/>")
				again.Expect("<a xmlns='" + nsSM + "' h='2'/>")
			})
		})
	}
}

// A refused resume has no effect at all (kernel rule 6).
func TestRefusedResumeHasNoEffect(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{true, false} {
		for _, tt := range []struct{ name, account, previd, h string }{
			{"unknown session", "juliet@example.net", mux.SessionID{1}.String(), "1"},
			{"no session", "juliet@example.net", "nonsense", "1"},
			{"other account", "romeo@example.net", "", "1"},
			{"too much acknowledged", "juliet@example.net", "", "3"},
		} {
			t.Run(fmt.Sprintf("%s, live %t", tt.name, live), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := muxtest.New(t, nil, &csi{}, &smacks{keep: time.Hour})
					romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
					romeo.Send(send("1", "2")...)
					juliet.Expect(message("1"), message("2"))
					juliet.Send("<inactive xmlns='" + nsCSI + "'/>")
					romeo.Send(send("3")...)
					if !live {
						juliet.Drop()
					}
					id := tt.previd
					if id == "" {
						id = juliet.Session.ID().String()
					}
					thief := h.Dial(t, tt.account)
					thief.Send("<resume xmlns='" + nsSM + "' previd='" + id + "' h='" + tt.h + "'/>")
					thief.Expect("<failed xmlns='" + nsSM + "'/>")
					thief.ExpectNone()
					thief.Bind(nil) // still possible
					if live {
						juliet.ExpectNone() // nothing flushed, nobody thrown out
						juliet.Send("<message to='" + romeoFull + "' id='9'/>")
						romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='9'/>")
						return
					}
					again := resume(t, h, juliet, "0")
					again.Expect(resumed("1"), message("1"), message("2"), message("3"), ask)
				})
			})
		}
	}
}

func TestConcurrentTakers(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := muxtest.New(t, nil, &smacks{keep: time.Hour})
			romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
			if !live {
				juliet.Drop()
			}
			var takers []*muxtest.Client
			for range 8 {
				takers = append(takers, h.Dial(t, "juliet@example.net"))
			}
			var wg sync.WaitGroup
			var won atomic.Int32
			for _, c := range takers {
				wg.Go(func() {
					_, err := c.Stream.Resume(t.Context(), &mux.Resumption{ID: juliet.Session.ID(),
						Reply: func(*mux.Session) xmlstream.Marshaler { return mux.Raw("<won xmlns='" + nsToy + "'/>") },
						Check: func(s *mux.Session) error { // once only, as with a counter that is used up
							if won.Load() > 0 {
								return errors.New("gone")
							}
							return nil
						}})
					if err == nil {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			romeo.Send(send("1")...)
			got := 0
			for _, c := range takers {
				for _, el := range c.Arrived() {
					if strings.Contains(el, "id='1'") {
						got++
					}
				}
			}
			if got != 1 {
				t.Errorf("the message arrived %d times", got)
			}
			if n := len(h.Mux().Sessions(addr("juliet@example.net"))); n != 1 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

// What the old stream has in progress is waited for, and its reader is stopped.
func TestTakeOverWaitsForWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c}, &smacks{keep: time.Hour}, writing())
		juliet := enabled(t, h)
		romeo := h.Connect(t, romeoFull)
		c.Hold()
		juliet.Send("<message to='" + romeoFull + "' id='1'/>")
		again := h.Dial(t, "juliet@example.net")
		again.Write("<resume xmlns='" + nsSM + "' previd='" + juliet.Session.ID().String() + "' h='0'/>")
		h.Settle()
		again.ExpectNone()
		juliet.Write("<message to='" + romeoFull + "' id='2'/>")
		h.Settle()
		if juliet.Unread() != 1 {
			t.Error("the old stream is read although its session is being taken over")
		}
		romeo.Send(send("3")...) // comes meanwhile
		c.Release()
		h.Settle()
		again.Expect(resumed("2"), message("3"), ask)
		juliet.ExpectClosed("conflict")
		romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='1'/>")
		romeo.ExpectNone() // id 2 was not accepted
	})
}

// If they do not finish in time, the old stream goes on.
func TestTakeOverTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c}, &smacks{keep: time.Hour}, writing())
		juliet, romeo := enabled(t, h), h.Connect(t, romeoFull)
		c.Hold()
		juliet.Send("<message to='" + romeoFull + "' id='1'/>")
		again := h.Dial(t, "juliet@example.net")
		again.Write("<resume xmlns='" + nsSM + "' previd='" + juliet.Session.ID().String() + "' h='0'/>")
		h.Settle()
		put := mux.Make(mux.Head{Kind: mux.Message, ID: "put", From: addr("example.net")})
		juliet.Session.Put(mux.Item{Stanza: put, To: addr(julietFull)})
		juliet.ExpectNone() // nothing is written to a stream that is to be replaced
		time.Sleep(10*time.Second + 1)
		h.Settle()
		again.Expect("<failed xmlns='" + nsSM + "'/>")
		juliet.Expect("<message id='put' from='example.net' to='" + julietFull + "'/>")
		c.Release()
		juliet.Send("<message to='" + romeoFull + "' id='2'/>")
		romeo.Expect("<message from='"+julietFull+"' to='"+romeoFull+"' id='1'/>", "<message from='"+julietFull+"' to='"+romeoFull+"' id='2'/>")
	})
}

// writing is an extension that makes a durable write for every message, in the
// turns of both accounts.
func writing() mux.Extension {
	return ext{"writing", func(r *mux.Registry) {
		for _, p := range []mux.Point{mux.FromAccount, mux.ToAccount} {
			r.Guard(p, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				e.Work.Write(func(context.Context, mux.Tx) error { return nil })
				return mux.Pass, nil
			})
		}
	}}
}
