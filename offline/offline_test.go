package offline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
)

var juliet = mux.MustParseAddress("juliet@example.net")

const romeoFull = "romeo@example.net/orchard"

func chat(id, body string) string {
	return "<message to='juliet@example.net' type='chat' id='" + id + "'><body>" + body + "</body></message>"
}

// ids are those of the messages that have arrived.
func ids(c *muxtest.Client) string {
	var list []string
	for _, el := range c.Arrived() {
		s, err := mux.Parse([]byte(el))
		if err != nil {
			list = append(list, el)
			continue
		}
		id := s.ID()
		if id == "" { // a question
			continue
		}
		if s.Type() == "error" {
			id += "!"
		}
		list = append(list, id)
	}
	c.Clear()
	return strings.Join(list, " ")
}

// stored is how many messages are stored for juliet.
func stored(t *testing.T, s offline.Store) int {
	t.Helper()
	u, err := s.Usage(t.Context(), juliet)
	if err != nil {
		t.Fatal(err)
	}
	return u.Messages
}

// start is a host with the extension alone, and romeo.
func start(t *testing.T, s offline.Store, commits *muxtest.Committer, o *offline.Options, more ...mux.Extension) (*muxtest.Host, *muxtest.Client) {
	t.Helper()
	h := muxtest.New(t, &mux.Options{Committer: commits, NoRecover: true}, append([]mux.Extension{offline.New(s, o)}, more...)...)
	h.AddAccount("juliet@example.net")
	return h, h.Connect(t, romeoFull)
}

// TestCommitFails: what cannot be stored was not taken.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, commits := new(offline.Memory), new(muxtest.Committer)
		_, romeo := start(t, store, commits, &offline.Options{MaxMessages: 1})
		commits.Hold()
		romeo.Send(chat("m1", "x"))
		commits.Fail(errors.New("the disk is full"))
		commits.Release()
		romeo.ExpectClosed("internal-server-error")
		if n := stored(t, store); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

// TestCommitFailsThenRoom: a message that was not stored takes no room.
func TestCommitFailsThenRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, commits := new(offline.Memory), new(muxtest.Committer)
		h, romeo := start(t, store, commits, &offline.Options{MaxMessages: 1})
		commits.Hold()
		romeo.Send(chat("m1", "x"))
		commits.Fail(errors.New("the disk is full"))
		commits.Release()
		h.Settle()
		romeo = h.Connect(t, romeoFull)
		romeo.Send(chat("m2", "x"), chat("m3", "x"))
		if got := ids(romeo); got != "m3!" || stored(t, store) != 1 {
			t.Errorf("got %s, %d are stored", got, stored(t, store))
		}
	})
}

// TestRemovalFails: what has arrived and could not be removed comes again, and is
// removed then.
func TestRemovalFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, commits := new(offline.Memory), new(muxtest.Committer)
		h, romeo := start(t, store, commits, nil)
		romeo.Send(chat("m1", "x"), chat("m2", "x"))
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send("<presence><priority>-1</priority></presence>")
		commits.Hold()
		j.Send("<presence/>")
		commits.Commit() // the presence: now it is sent what waits
		h.Settle()
		if got := ids(j); got != "m1 m2" {
			t.Errorf("got %s", got)
		}
		commits.Fail(errors.New("the disk is full"))
		commits.Release()
		h.Settle()
		if n := stored(t, store); n != 2 {
			t.Errorf("%d messages are stored", n)
		}
		romeo.Send(chat("m3", "x"))
		j.Send("<presence type='unavailable'/>")
		romeo.Send(chat("m4", "x"))
		j.Send("<presence/>")
		h.Settle()
		if got := ids(j); got != "m3 m4" {
			t.Errorf("then got %s", got)
		}
		if n := stored(t, store); n != 0 {
			t.Errorf("then %d messages are stored", n)
		}
	})
}

// TestRoom: octets are bounded, and an archive answers for what there is no room for.
func TestRoom(t *testing.T) {
	t.Parallel()
	for _, archived := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := new(offline.Memory)
			var more []mux.Extension
			want := "m3!"
			if archived {
				more, want = append(more, archive.New(new(archive.Memory), nil)), ""
			}
			_, romeo := start(t, store, new(muxtest.Committer), &offline.Options{MaxBytes: 3200}, more...)
			romeo.Send(chat("m1", strings.Repeat("x", 900)), chat("m2", strings.Repeat("x", 900)), chat("m3", strings.Repeat("x", 900)))
			romeo.Send(chat("m4", "x"))
			if got := ids(romeo); got != want || stored(t, store) != 3 {
				t.Errorf("archive %t: got %q, %d are stored", archived, got, stored(t, store))
			}
		})
	}
}

// TestSlowReader: much waits; it is sent as the client reads, and what comes meanwhile
// behind it (IN-19). Should the client have enough, the rest waits for the next.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(offline.Memory)
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		var want []string
		for i := range 400 {
			romeo.Write(chat(fmt.Sprint("m", i), strings.Repeat("x", 1000)))
			want = append(want, fmt.Sprint("m", i))
		}
		h.Settle()
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Stall()
		j.Send("<presence/>")
		romeo.Send(chat("live", "x"))
		if n := len(j.Arrived()); n == 0 || n > 250 {
			t.Errorf("%d messages for a client that does not read", n)
		}
		if n := stored(t, store); n < 150 {
			t.Errorf("%d messages are stored", n)
		}
		j.Unstall()
		h.Settle()
		if got := ids(j); got != strings.Join(want, " ")+" live" {
			t.Errorf("got %s", got)
		}
		if n := stored(t, store); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

// TestHadEnough: a client that goes before it has had everything leaves the rest for
// another session, which is there already.
func TestHadEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(offline.Memory)
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		for i := range 400 {
			romeo.Write(chat(fmt.Sprint("m", i), strings.Repeat("x", 1000)))
		}
		h.Settle()
		first, second := h.Connect(t, "juliet@example.net/first"), h.Connect(t, "juliet@example.net/second")
		first.Stall()
		first.Send("<presence/>")
		second.Send("<presence/>")
		if got := ids(second); got != "" {
			t.Errorf("both get it: %s", got)
		}
		had := strings.Fields(ids(first))
		first.Drop()
		h.Settle()
		got := append(had, strings.Fields(ids(second))...)
		for i := range 400 {
			if !slices.Contains(got, fmt.Sprint("m", i)) {
				t.Errorf("m%d is lost", i)
			}
		}
		if n := stored(t, store); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

// TestArchiveGone: what the archive does not have any more is not waited for.
func TestArchiveGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, kept := new(offline.Memory), new(archive.Memory)
		a := archive.New(kept, nil)
		h, romeo := start(t, store, new(muxtest.Committer), &offline.Options{ReadsArchive: a.Reads, Archived: a.Messages}, a)
		romeo.Send(chat("m1", "x"))
		time.Sleep(time.Hour)
		romeo.Send(chat("m2", "x"))
		if err := kept.Remove(juliet, archive.Removal{Before: time.Now(), Limit: 1})(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send("<presence/>")
		if got := ids(j); got != "m2" || stored(t, store) != 0 {
			t.Errorf("got %s, %d are stored", got, stored(t, store))
		}
	})
}

// TestStoreFails: without the store nobody is told that a message was taken, and what
// it has is not lost.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &failing{}
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		romeo.Send(chat("m1", "x"))
		store.err = errors.New("the disk is broken")
		j := h.Connect(t, "juliet@example.net/balcony")
		j.Send("<presence/>")
		if got := ids(j); got != "" {
			t.Errorf("got %s", got)
		}
		romeo.Send(chat("m2", "x")) // passes by: there is nothing to wait for
		if got := ids(j); got != "m2" {
			t.Errorf("got %s", got)
		}
		store.err = nil
		j.Send("<presence type='unavailable'/>", "<presence/>")
		if got := ids(j); got != "m1" {
			t.Errorf("got %s", got)
		}
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		store.err = errors.New("the disk is broken")
		romeo.Send(chat("m3", "x"))
		if got := ids(romeo); got != "m3!" {
			t.Errorf("got %s", got)
		}
	})
}

// failing is a store whose reads can fail.
type failing struct {
	offline.Memory
	err error
}

func (f *failing) Load(ctx context.Context, account mux.Address, after offline.Message, limit, octets int) ([]offline.Message, bool, error) {
	if f.err != nil {
		return nil, false, f.err
	}
	return f.Memory.Load(ctx, account, after, limit, octets)
}

func (f *failing) Usage(ctx context.Context, account mux.Address) (offline.Usage, error) {
	if f.err != nil {
		return offline.Usage{}, f.err
	}
	return f.Memory.Usage(ctx, account)
}

// TestAccountRemoved: what is stored goes with its account.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(offline.Memory)
		h, romeo := start(t, store, new(muxtest.Committer), nil)
		romeo.Send(chat("m1", "x"))
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		if n := stored(t, store); n != 0 {
			t.Errorf("%d messages are stored", n)
		}
	})
}

// TestDisco: the feature of the server (DI-1).
func TestDisco(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, offline.New(new(offline.Memory), nil))
	q := &mux.DiscoQuery{Scope: mux.AtHost, Address: mux.MustParseAddress("example.net")}
	if err := h.Mux().Disco(t.Context(), q); err != nil || fmt.Sprint(q.Features) != "[msgoffline]" {
		t.Errorf("got %v, error %v", q.Features, err)
	}
}

// Example: messages wait, here without an archive.
func Example() {
	m, err := mux.New(nil, nil, offline.New(new(offline.Memory), nil)) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	fmt.Println(m.Disco(context.Background(), q), q.Features)
	// Output: <nil> [msgoffline]
}
