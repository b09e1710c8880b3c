package mux_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// What was queued before stream management was enabled, and not written because
// it was gated, is for the next stream, and tracked from then on.
func TestResumeWithQueuedBeforeTracking(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{true, false} { // resumed before the commit
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h, c := held(t, new(ledger), &smacks{keep: time.Hour}, st)
			romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
			c.Hold()
			romeo.Send(send("1")...)
			juliet.Send("<enable xmlns='" + nsSM + "'/>")
			juliet.ExpectNone() // behind what is gated
			juliet.Drop()
			if !early {
				c.Release()
				h.Settle()
			}
			again := resume(t, h, juliet, "0")
			again.Expect(resumed("0"), ask)
			if early {
				again.ExpectNone()
				c.Release()
			}
			again.Expect(message("1"))
			romeo.Send(send("2")...)
			again.Expect(message("2"))
			again.ExpectNone()
			again.Send("<a xmlns='" + nsSM + "' h='1'/>")
			again.Drop()
			time.Sleep(time.Hour + 1)
			h.Settle()
			st.want(t, "2 replay delayed") // the first was acknowledged
		})
	}
}

// The old stream's write fails when its session has been taken over already: who
// was writing goes on with the new one.
func TestOldWriteFailsDuringTakeOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, &smacks{keep: time.Hour})
		romeo := h.Connect(t, romeoFull)
		old, a := recorded(h, "juliet@example.net")
		s, err := old.Bind(t.Context(), &mux.BindOptions{Resource: "balcony"})
		if err != nil {
			t.Fatal(err)
		}
		receive(t, old, "<enable xmlns='"+nsSM+"'/>")
		old.Flush()
		a.hold, a.fail = make(chan struct{}), errTest
		romeo.Write(send("1")...)
		synctest.Wait() // it is being written
		st, b := recorded(h, "juliet@example.net")
		if _, err := st.Resume(t.Context(), &mux.Resumption{ID: s.ID(), Reply: func(*mux.Session) xmlstream.Marshaler {
			return mux.Raw("<resumed xmlns='" + nsSM + "'/>")
		}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := b.writes(); len(got) > 0 {
			t.Fatalf("two write at a time: %q", got)
		}
		close(a.hold)
		synctest.Wait()
		wantOrder(t, "new stream", []string{strings.Join(b.writes(), "")}, "<resumed xmlns='"+nsSM+"'/>"+
			"<message from='"+romeoFull+"' to='"+julietFull+"' id='1'><body>x</body></message>"+ask)
		romeo.Send(send("2")...)
		if got := b.writes(); !strings.Contains(got[len(got)-1], "id='2'") {
			t.Errorf("got %q", got)
		}
		old.Gone(false)
		st.Gone(false)
	})
}

// leaving is a request that ends the account's sessions, its own included, when
// gate is closed.
func leaving(gate chan struct{}) mux.Extension {
	return with(func(r *mux.Registry) {
		answers(r, "leave", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			<-gate
			e.Reply(ctx, nil, nil)
			writeNothing(e)
			e.EndSessions(ctx, nil)
			return nil, nil
		}, mux.Blocks())
	})
}

// A session ends while a stream waits to take it over: the old stream gets the
// answer that it is owed and its end, the new one gets nothing.
func TestSessionEndsDuringTakeOver(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{true, false} { // the store takes longer than is waited for
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			h, c := held(t, &smacks{keep: time.Hour}, leaving(gate))
			juliet := enabled(t, h)
			juliet.Write(request("leave", "1"))
			h.Settle()
			taker := h.Dial(t, "juliet@example.net")
			done := make(chan error, 1)
			go func() {
				_, err := taker.Stream.Resume(t.Context(), &mux.Resumption{ID: juliet.Session.ID()})
				done <- err
			}()
			synctest.Wait()
			if len(done) > 0 {
				t.Fatal("Resume did not wait")
			}
			want := mux.ErrNoSession
			if late {
				c.Hold()
				want = mux.ErrBusy
			}
			close(gate)
			h.Settle()
			if late {
				time.Sleep(10*time.Second + 1)
				juliet.Write("<message id='2'/>") // is nobody's
				h.Settle()
				juliet.ExpectNone()
				c.Release()
			}
			if err := <-done; !errors.Is(err, want) {
				t.Errorf("Resume: %v", err)
			}
			juliet.Expect("<iq type='result' id='1' from='juliet@example.net' to='" + julietFull + "'/>")
			juliet.ExpectClosed("reset")
			juliet.ExpectNone()
			taker.ExpectClosed("reset") // all streams of the account end
			taker.ExpectNone()
			if s := juliet.Session; s.State() != mux.Gone || taker.Stream.Session() != nil || s.Stream() != nil {
				t.Errorf("the session is %s", s.State())
			}
		})
	}
}

// A panic in what a take-over calls does not undo it, nor reach further.
func TestPanicInTakeOver(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"Reply", "payload", "Attached", "Replay"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				armed := false
				h := muxtest.New(t, nil, &smacks{keep: time.Hour}, with(func(r *mux.Registry) {
					r.Lifecycle(mux.Lifecycle{Attached: func(*mux.Session) {
						if armed && what == "Attached" {
							panic("on purpose")
						}
					}})
					r.Outbound(mux.Hold, func(_ *mux.Session, next mux.Sink) mux.Sink {
						return replayer{next, func() error {
							if armed && what == "Replay" {
								panic("on purpose")
							}
							return nil
						}}
					})
				}))
				romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
				juliet.Drop()
				romeo.Send(send("1")...)
				armed = true
				again := h.Dial(t, "juliet@example.net")
				if err := again.Resume(&mux.Resumption{ID: juliet.Session.ID(), Reply: func(*mux.Session) xmlstream.Marshaler {
					switch what {
					case "Reply":
						panic("on purpose")
					case "payload":
						return panicPayload{}
					}
					return mux.Raw("<resumed xmlns='" + nsSM + "'/>")
				}}); err != nil {
					t.Fatal(err)
				}
				armed = false
				romeo.Send(send("2")...)
				got := strings.Join(again.Arrived(), "")
				if strings.Count(got, "id='1'") != 1 || strings.Count(got, "id='2'") != 1 {
					t.Errorf("got %s", got)
				}
				again.Send("<message to='" + romeoFull + "' id='3'/>")
				romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='3'/>")
			})
		})
	}
}

// replayer is a sink that does something at a replay.
type replayer struct {
	mux.Sink
	f func() error
}

func (k replayer) Replay() error { return k.f() }
