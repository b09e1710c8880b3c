package mux_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// A handler that has delivered something and then waits does not keep the
// session's other output back.
func TestWaitingHandlerHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		push := mux.Make(mux.Head{Kind: mux.Message, ID: "push", From: addr("romeo@example.net")})
		h := muxtest.New(t, nil, &smacks{}, with(func(r *mux.Registry) {
			answers(r, "slow", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Deliver(mux.Item{Stanza: push, Flags: mux.Service}, e.Session)
				<-gate
				return nil, nil
			}, mux.Blocks())
		}))
		romeo := h.Connect(t, romeoFull)
		romeo.Send(request("slow", "1"))
		timer := mux.Make(mux.Head{Kind: mux.Message, ID: "timer", From: addr("example.net"), To: addr(romeoFull)})
		romeo.Session.Put(mux.Item{Stanza: timer})
		romeo.Expect("<message id='push' from='romeo@example.net' to='"+romeoFull+"'/>", "<message id='timer' from='example.net' to='"+romeoFull+"'/>")
		romeo.Send("<enable xmlns='" + nsSM + "'/>")
		romeo.Expect("<enabled xmlns='" + nsSM + "' id='*'/>")
		romeo.ExpectNone()
		close(gate)
		romeo.Expect(result("1", ""))
	})
}

// A message to the own account arrives within the turn of its sender: a handler
// there that waits does not stall the stream's reader, nor what was read before.
func TestWaitingForMessageToSelf(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"", " to='romeo@example.net'", " to='" + romeoFull + "'"} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			self := func(e *mux.Event) bool { return e.Stanza.ID() == "self" }
			h := muxtest.New(t, nil, with(func(r *mux.Registry) {
				r.Guard(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
					if self(e) {
						<-gate
					}
					return mux.Pass, nil
				}, mux.BlocksIf(self))
			}))
			romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
			romeo.Send(send("1")[0], "<message"+to+" id='self'/>", send("2")[0])
			if n := romeo.Unread(); n != 0 {
				t.Errorf("%d are not accepted", n)
			}
			juliet.Expect(message("1"))
			juliet.ExpectNone() // the account's turn is open
			close(gate)
			juliet.Expect(message("2"))
		})
	}
}

// When Do returns what its turn has led to is written, not only durable.
func TestDoReturnsWhenWritten(t *testing.T) {
	t.Parallel()
	for _, committer := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := new(muxtest.Committer)
			o := new(mux.Options)
			if committer {
				o.Committer = c
			}
			h := muxtest.New(t, o)
			st, conn := recorded(h, "romeo@example.net")
			if _, err := st.Bind(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			c.Hold()
			got := make(chan []string, 1)
			go func() {
				push := mux.Make(mux.Head{Kind: mux.Message, ID: "push"})
				if err := h.Mux().Do(t.Context(), addr("romeo@example.net"), func(_ context.Context, e *mux.Event) {
					writeNothing(e)
					e.Deliver(mux.Item{Stanza: push}, e.Sessions()...)
				}); err != nil {
					t.Error(err)
				}
				got <- conn.writes()
			}()
			synctest.Wait()
			h.Mux().Go(addr("juliet@example.net"), func(_ context.Context, e *mux.Event) { // the rest of the batch takes a while
				writeNothing(e)
				e.Work.After(func(error) { time.Sleep(time.Millisecond) })
			})
			synctest.Wait()
			c.Release()
			if got := <-got; len(got) != 1 || !strings.Contains(got[0], "id='push'") {
				t.Errorf("when Do returns %q is written", got)
			}
			st.Gone(false)
		})
	}
}

// A peer that ends its stream properly behind a request still gets the answer,
// also that to a request that ends its session, if the store is not too slow.
func TestAnswerBeforeProperEnd(t *testing.T) {
	t.Parallel()
	for _, local := range []string{"write", "leave"} {
		for _, slow := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				h, c := held(t, new(ledger), with(func(r *mux.Registry) {
					answers(r, "leave", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
						e.Reply(ctx, nil, nil)
						writeNothing(e)
						e.EndSessions(ctx, nil)
						return nil, nil
					})
				}))
				st, conn := recorded(h, "romeo@example.net")
				s, err := st.Bind(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				c.Hold()
				receive(t, st, request(local, "1"))
				began := time.Now()
				gone := make(chan []string, 1)
				go func() {
					st.Gone(true)
					gone <- conn.writes() // what comes later is lost
				}()
				synctest.Wait()
				h.Mux().Go(addr("juliet@example.net"), func(_ context.Context, e *mux.Event) { // the rest of the batch takes a while
					writeNothing(e)
					e.Work.After(func(error) { time.Sleep(time.Millisecond) })
				})
				synctest.Wait()
				if len(gone) > 0 {
					t.Fatal("Gone did not wait")
				}
				if !slow {
					c.Release()
					if got := <-gone; len(got) != 1 || !strings.Contains(got[0], "<iq ") || !strings.Contains(got[0], "type='result'") {
						t.Errorf("%s: got %q", local, got)
					}
				} else if got := <-gone; len(got) > 0 || time.Since(began) != 5*time.Second {
					t.Errorf("%s: got %q after %v", local, got, time.Since(began))
				}
				c.Release()
				synctest.Wait()
				if s.State() != mux.Gone {
					t.Errorf("%s: the session is %s", local, s.State())
				}
			})
		}
	}
}
