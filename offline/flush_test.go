package offline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/smacks"
)

// slow is a store whose reads wait, as those of a disk do.
type slow struct {
	offline.Memory
	mu   sync.Mutex
	wait chan struct{} // closed when reads may end; nil if they need not wait
	skip int           // but so many
	n    int           // reads
	err  error         // of those that waited
}

// hold makes reads wait, after some that do not.
func (s *slow) hold(after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait, s.skip = make(chan struct{}), after
}

func (s *slow) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wait)
	s.wait = nil
}

func (s *slow) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *slow) Load(ctx context.Context, account mux.Address, after offline.Message, limit, octets int) ([]offline.Message, bool, error) {
	list, more, err := s.Memory.Load(ctx, account, after, limit, octets)
	s.mu.Lock()
	s.n++
	wait := s.wait
	if s.skip--; s.skip >= 0 {
		wait = nil
	}
	s.mu.Unlock()
	if wait != nil {
		if <-wait; s.err != nil {
			return nil, false, s.err
		}
	}
	return list, more, err
}

// TestEndsWhileReading: a session ends while what waits is read for it; another one
// gets it.
func TestEndsWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		romeo.Send(chat("m1", "x"))
		store.hold(0)
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send("<presence/>")
		j.Drop()
		h.Settle()
		store.release()
		h.Settle()
		j = h.Connect(t, "juliet@example.net/balcony")
		j.Send("<presence/>")
		if got := ids(j); got != "m1" || stored(t, &store.Memory) != 0 {
			t.Errorf("got %q, %d are stored", got, stored(t, &store.Memory))
		}
	})
}

// TestAwayWhileReading: a client says that it is away while it is sent what waits;
// another one that is there gets the rest, and nothing is read for the first any more.
func TestAwayWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		for i := range 200 {
			romeo.Write(chat(fmt.Sprint("m", i), strings.Repeat("x", 1000)))
		}
		h.Settle()
		first, second := h.Connect(t, "juliet@example.net/first"), h.Connect(t, "juliet@example.net/second")
		first.Stall()
		first.Send("<presence/>")
		second.Send("<presence/>")
		first.Send("<presence type='unavailable'/>")
		reads := store.reads()
		first.Unstall()
		h.Settle()
		n := len(strings.Fields(ids(first))) + len(strings.Fields(ids(second)))
		if n != 200 || stored(t, &store.Memory) != 0 {
			t.Errorf("%d messages came, %d are stored", n, stored(t, &store.Memory))
		}
		if again := store.reads() - reads; again != 0 {
			t.Errorf("%d more reads for who is away", again)
		}
	})
}

// TestStoredWhileReading: what is stored while a session is sent what waits, because
// its client was away for a moment, does not wait longer.
func TestStoredWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		romeo.Send(chat("m1", "x"))
		store.hold(0)
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send("<presence/>")
		j.Send("<presence type='unavailable'/>")
		romeo.Send(chat("m2", "x"))
		j.Send("<presence/>")
		romeo.Send(chat("m3", "x"))
		store.release()
		h.Settle()
		if got := ids(j); got != "m1 m2 m3" || stored(t, &store.Memory) != 0 {
			t.Errorf("got %q, %d are stored", got, stored(t, &store.Memory))
		}
	})
}

// TestLongArchived: long messages of which only names are stored are sent bit by bit,
// like all others.
func TestLongArchived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(offline.Memory)
		a := archive.New(new(archive.Memory), nil)
		h, romeo := start(t, store, new(muxtest.Committer), &offline.Options{ReadsArchive: a.Reads, Archived: a.Messages}, a)
		var want []string
		for i := range 60 {
			romeo.Send(chat(fmt.Sprint("m", i), strings.Repeat("x", 100<<10)))
			want = append(want, fmt.Sprint("m", i))
		}
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Stall()
		j.Send("<presence/>")
		if n := len(j.Arrived()); n > 4 {
			t.Errorf("%d long messages for a client that does not read", n)
		}
		j.Unstall()
		h.Settle()
		if got := ids(j); got != strings.Join(want, " ") || stored(t, store) != 0 {
			t.Errorf("got %q, %d are stored", got, stored(t, store))
		}
	})
}

// TestAcknowledgedWhileReading: a message that is acknowledged while what waits is read
// for another session is not sent to that as well.
func TestAcknowledgedWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		h, romeo := start(t, store, new(muxtest.Committer), nil, managed(time.Minute))
		romeo.Send(chat("m1", "x"))
		first, second := h.Connect(t, "juliet@example.net/first"), h.Connect(t, "juliet@example.net/second")
		first.Send(enable)
		first.Clear()
		first.Send("<presence/>")
		if got := ids(first); !strings.HasPrefix(got, "m1") {
			t.Fatalf("got %q", got)
		}
		store.hold(0)
		second.Send("<presence/>")
		first.Send("<a xmlns='" + nsSM + "' h='1'/>")
		store.release()
		h.Settle()
		if got := ids(second); got != "" || stored(t, &store.Memory) != 0 {
			t.Errorf("got %q, %d are stored", got, stored(t, &store.Memory))
		}
	})
}

// TestReturnedWhileReading: what a session had that has ended is sent to one that is
// being sent what came later.
func TestReturnedWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		h, romeo := start(t, store, new(muxtest.Committer), nil, managed(time.Minute))
		for i := range 60 {
			romeo.Write(chat(fmt.Sprint("m", i), "x"))
		}
		h.Settle()
		first, second := h.Connect(t, "juliet@example.net/first"), h.Connect(t, "juliet@example.net/second")
		first.Send(enable)
		first.Clear()
		first.Send("<presence/>")
		if n := len(strings.Fields(ids(first))); n < 60 {
			t.Fatalf("%d messages came", n)
		}
		store.hold(1)
		second.Send("<presence/>")
		first.Close()
		h.Settle()
		store.release()
		h.Settle()
		if n := len(strings.Fields(ids(second))); n != 60 || stored(t, &store.Memory) != 0 {
			t.Errorf("then %d messages came, %d are stored", n, stored(t, &store.Memory))
		}
	})
}

// TestReturnedOfReader: what waits and a session had whose client reads the archive,
// before the server was started anew, is not held back from others.
func TestReturnedOfReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(stores)
		h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), Sessions: &st.sessions, NoRecover: true}, st.extensions(true, offline.Options{})...)
		h.AddAccount("juliet@example.net")
		h.Connect(t, romeoFull).Send(chat("m1", "x"))
		first := h.Connect(t, "juliet@example.net/first")
		first.Send(enable, "<presence/>")
		first.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
		h.Restart(st.extensions(true, offline.Options{})...)
		time.Sleep(time.Hour) // its window is over
		second := h.Connect(t, "juliet@example.net/second")
		second.Send("<presence/>")
		if got := ids(second); got != "m1" || stored(t, &st.offline) != 0 {
			t.Errorf("got %q, %d are stored", got, stored(t, &st.offline))
		}
	})
}

// TestRemovedBeforeCommit: a message that was on its way to an account when it was
// removed is not kept for whoever has that name next.
func TestRemovedBeforeCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, commits, a := new(offline.Memory), new(muxtest.Committer), archive.New(new(archive.Memory), nil)
		h, romeo := start(t, store, commits, &offline.Options{ReadsArchive: a.Reads, Archived: a.Messages}, a)
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send("<presence/>")
		commits.Hold()
		romeo.Send(chat("m1", "x"))
		h.RemoveAccount("juliet@example.net")
		done := make(chan error, 1)
		go func() { done <- h.Mux().RemoveAccount(t.Context(), juliet) }()
		h.Settle()
		commits.Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.Settle()
		if n := stored(t, store); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
		if got := ids(romeo); got != "m1!" {
			t.Errorf("romeo got %q", got)
		}
	})
}

// TestRemovedWithSession: what a session had when its account was removed comes back to
// who sent it.
func TestRemovedWithSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(offline.Memory)
		h, romeo := start(t, store, new(muxtest.Committer), nil, managed(time.Minute))
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send(enable, "<presence/>")
		romeo.Send(chat("m1", "x"))
		h.RemoveAccount("juliet@example.net")
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Error(err)
		}
		if got := ids(romeo); got != "m1!" || stored(t, store) != 0 {
			t.Errorf("romeo got %q, %d are stored", got, stored(t, store))
		}
	})
}

// TestSlowToAcknowledge: more waits than a session may have unacknowledged; it is sent
// as the client acknowledges.
func TestSlowToAcknowledge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(stores)
		store := &st.offline
		h, romeo := start(t, store, new(muxtest.Committer), nil, smacks.New(&st.streams, &smacks.Options{MaxQueue: 100}))
		var want []string
		for i := range 400 {
			romeo.Write(chat(fmt.Sprint("m", i), "x"))
			want = append(want, fmt.Sprint("m", i))
		}
		h.Settle()
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send(enable)
		j.Clear()
		j.Send("<presence/>")
		var got []string
		for range 20 {
			for _, id := range strings.Fields(ids(j)) {
				if strings.HasPrefix(id, "m") {
					got = append(got, id)
				} else if strings.HasPrefix(id, "<") {
					t.Fatalf("got %s", id)
				}
			}
			j.Send(fmt.Sprintf("<a xmlns='"+nsSM+"' h='%d'/>", len(got)))
		}
		if !slices.Equal(got, want) || stored(t, store) != 0 {
			t.Errorf("got %v, %d are stored", got, stored(t, store))
		}
	})
}

// TestAfterQuery: what comes after a client has asked its archive, or has bound by Bind
// 2, and before it is there, is sent: the client does not know of it (IN-10).
func TestAfterQuery(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			st := new(stores)
			h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), Sessions: &st.sessions, NoRecover: true}, st.extensions(true, offline.Options{})...)
			h.AddAccount("juliet@example.net")
			romeo := h.Connect(t, romeoFull)
			romeo.Send(chat("m1", "x"))
			j := h.Dial(t, "juliet@example.net")
			j.Bind(&mux.BindOptions{Bind2: true})
			j.Send(enable)
			enabled := j.Recv()
			romeo.Send(chat("m2", "x"))
			if restart {
				h.Restart(st.extensions(true, offline.Options{})...)
				j = h.Dial(t, "juliet@example.net")
				j.Send("<resume xmlns='" + nsSM + "' previd='" + enabled.Attr("id") + "' h='0'/>")
				j.Clear()
			}
			j.Send("<presence/>")
			if got := ids(j); got != "m2" || stored(t, &st.offline) != 1 && stored(t, &st.offline) != 0 {
				t.Errorf("got %q, %d are stored", got, stored(t, &st.offline))
			}
		})
	}
}

// TestQueryOverRestart: a query whose answer was not complete when the server stopped
// fails, so that the client of a session that goes on asks again.
func TestQueryOverRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(stores)
		h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), Sessions: &st.sessions, NoRecover: true}, st.extensions(true, offline.Options{})...)
		h.AddAccount("juliet@example.net")
		romeo := h.Connect(t, romeoFull)
		for i := range 20 {
			romeo.Send(chat(fmt.Sprint("m", i), strings.Repeat("x", 10<<10)))
		}
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send(enable)
		enabled := j.Recv()
		j.Stall()
		j.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
		had := len(strings.Fields(ids(j)))
		h.Restart(st.extensions(true, offline.Options{})...)
		j = h.Dial(t, "juliet@example.net")
		j.Send(fmt.Sprintf("<resume xmlns='"+nsSM+"' previd='%s' h='%d'/>", enabled.Attr("id"), had))
		if got := ids(j); !strings.HasSuffix(got, "q!") {
			t.Errorf("after %d results got %q", had, got)
		}
	})
}

// TestEndedBehindAcknowledgement: a session ends when its client has just acknowledged
// what waited, before that is removed. Nobody else gets it.
func TestEndedBehindAcknowledgement(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{false, true} { // another Work removes it meanwhile
		synctest.Test(t, func(t *testing.T) {
			store, commits := new(offline.Memory), new(muxtest.Committer)
			h, romeo := start(t, store, commits, nil, managed(time.Minute))
			romeo.Send(chat("m1", "x"))
			first, second := h.Connect(t, "juliet@example.net/first"), h.Connect(t, "juliet@example.net/second")
			first.Send(enable)
			first.Clear()
			first.Send("<presence/>")
			if got := ids(first); !strings.HasPrefix(got, "m1") {
				t.Fatalf("got %q", got)
			}
			second.Send("<presence/>")
			h.Settle()
			gate := make(chan struct{})
			h.Mux().Go(juliet, func(context.Context, *mux.Event) { <-gate })
			h.Settle()
			h.Mux().Go(juliet, func(ctx context.Context, e *mux.Event) { e.EndSession(ctx, first.Session, nil) })
			h.Settle()
			first.Write("<a xmlns='" + nsSM + "' h='1'/>")
			h.Settle()
			if sealed {
				commits.Hold()
				h.Mux().Go(mux.MustParseAddress("romeo@example.net"), func(_ context.Context, e *mux.Event) {
					e.Work.Write(func(context.Context, mux.Tx) error { return nil })
				})
				h.Settle()
			}
			close(gate)
			h.Settle()
			commits.Release()
			h.Settle()
			if got := ids(second); got != "" || stored(t, store) != 0 {
				t.Errorf("sealed %v: got %q, %d are stored", sealed, got, stored(t, store))
			}
			first.Clear()
		})
	}
}

// TestReadFailsForOther: what waits cannot be read for a session, and another one has
// come meanwhile: that gets it.
func TestReadFailsForOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(slow)
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		romeo.Send(chat("m1", "x"))
		first, second := h.Connect(t, "juliet@example.net/first"), h.Connect(t, "juliet@example.net/second")
		store.err = errors.New("the disk is broken")
		store.hold(0)
		first.Send("<presence/>")
		second.Send("<presence><priority>1</priority></presence>")
		store.release()
		h.Settle()
		if a, b := ids(first), ids(second); a != "" || b != "m1" || stored(t, &store.Memory) != 0 {
			t.Errorf("got %q and %q, %d are stored", a, b, stored(t, &store.Memory))
		}
	})
}

// TestGoesToTheNext: what a session had and its client did not is for the one of highest
// priority that is connected.
func TestGoesToTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(offline.Memory)
		h, romeo := start(t, store, new(muxtest.Committer), nil, managed(time.Hour))
		romeo.Send(chat("m1", "x"))
		first := h.Connect(t, "juliet@example.net/first")
		first.Send(enable)
		first.Clear()
		first.Send("<presence/>")
		if got := ids(first); !strings.HasPrefix(got, "m1") {
			t.Fatalf("got %q", got)
		}
		var others []*muxtest.Client
		for i, priority := range []int{-1, 1, 3, 2, 9} {
			c := h.Connect(t, fmt.Sprint("juliet@example.net/", i))
			c.Send(enable)
			c.Clear()
			c.Send(fmt.Sprintf("<presence><priority>%d</priority></presence>", priority))
			others = append(others, c)
		}
		others[4].Drop() // and waits
		h.Settle()
		first.Close()
		h.Settle()
		for i, c := range others[:4] {
			want := ""
			if i == 2 {
				want = "m1"
			}
			if got := ids(c); got != want {
				t.Errorf("%d got %q, want %q", i, got, want)
			}
		}
	})
}
