package smacks_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// Without a store of its own nothing is promised across a shutdown: who waits or is
// there gets its messages disposed of in time.
func TestShutdownWithoutStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.NewHost(t)
		h.AddAccount("romeo@example.net", "juliet@example.net")
		h.Open(&mux.Options{Sessions: new(mux.MemorySessions)}, smacks.New(nil, nil))
		romeo := h.Connect(t, romeoFull)
		juliet, token := enabled(t, h)
		romeo.Send(chat("1"))
		juliet.Clear()
		h.Restart(smacks.New(nil, nil))
		juliet.ExpectClosed("system-shutdown")
		c := resume(t, h, token, "0")
		c.Expect(unknown)
	})
}

// Without a store a session waits for its client all the same, while the process lives.
func TestResumeWithoutStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.NewHost(t)
		h.AddAccount("romeo@example.net", "juliet@example.net")
		log := new(logged)
		h.Open(&mux.Options{Logger: slog.New(log)}, smacks.New(nil, nil))
		romeo := h.Connect(t, romeoFull)
		juliet, token := enabled(t, h)
		romeo.Send(chat("1"))
		juliet.Clear()
		juliet.Drop()
		romeo.Send(chat("2"))
		time.Sleep(time.Minute)
		again := resume(t, h, token, "0")
		again.Expect(resumedWith(token, "0"), late("1"), late("2"), ask)
		again.Send(ack("2"))
		again.Close()
		resume(t, h, token, "0").Expect(known("0"))
		if err := h.Mux().RemoveAccount(t.Context(), mux.MustParseAddress("juliet@example.net")); err != nil {
			t.Error(err)
		}
		h.Settle()
		romeo.ExpectNone()
		if len(log.all) > 0 {
			t.Errorf("logged: %q", log.all)
		}
	})
}

// Without a committer sessions are saved by a shutdown that is in order, with all that
// they keep, whether they are connected or wait (smacks SM-96).
func TestShutdownWithoutCommitter(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var store smacks.Memory
			h := muxtest.NewHost(t)
			h.AddAccount("romeo@example.net", "juliet@example.net")
			h.Open(&mux.Options{Sessions: new(mux.MemorySessions)}, smacks.New(&store, nil))
			romeo := h.Connect(t, romeoFull)
			juliet, token := enabled(t, h)
			romeo.Send(chats(1, 3)...)
			juliet.Send(ack("1"), "<message to='"+romeoFull+"'/>")
			juliet.Clear()
			time.Sleep(time.Second)
			s, err := store.Load(t.Context(), time.Now())
			if err != nil || len(s) != 1 || len(s[0].Entries) > 0 || s[0].Counters.Acked > 0 {
				t.Errorf("kept before: %+v, %v", s, err)
			}
			if waits {
				juliet.Drop()
				romeo.Send(chat("4"))
			}
			romeo.Clear()
			for range 2 {
				h.Restart(smacks.New(&store, nil))
			}
			want := []string{resumedWith(token, "1"), late("2"), late("3")}
			if waits {
				want = append(want, late("4"))
			}
			juliet.Clear()
			again := resume(t, h, token, "1")
			again.Expect(append(want, ask)...)
			again.Send(ack(fmt.Sprint(len(want))))
			again.Close()
			h.Settle()
			if s, err = store.Load(t.Context(), time.Now()); err != nil || len(s) != 1 || s[0].Last == nil {
				t.Errorf("kept of its end: %+v, %v", s, err)
			}
		})
	}
}
