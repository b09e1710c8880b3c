package blocking_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestPushWhileAway: BL-2, a session whose peer is away is told when it is back, also
// after a restart, and still asks for pushes then.
func TestPushWhileAway(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := new(blocking.Memory)
			exts := func() []mux.Extension { return im(store, nil, contacts(t)) }
			h := muxtest.New(t, &mux.Options{NoRecover: true, Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)}, exts()...)
			j := h.Connect(t, julietFull)
			j.Send(getList)
			j.Clear()
			j.Drop()
			if restart {
				h.Restart(exts()...)
			}
			h.Connect(t, "juliet@example.net/other").Send(setOf("block", "romeo@example.org"))
			again := h.Dial(t, "juliet@example.net")
			if err := again.Resume(&mux.Resumption{ID: j.Session.ID()}); err != nil {
				t.Fatal(err)
			}
			again.Expect(pushOf(julietFull, "block", "romeo@example.org"))
			again.ExpectNone()
		})
	}
}

// TestOnlyNewStanzas: BL-2, what waits for a session already stays.
func TestOnlyNewStanzas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, im(new(blocking.Memory), nil, contacts(t))...)
		j, org := h.Connect(t, julietFull), h.DialDomain(t, mux.Server, "example.org")
		j.Drop()
		before := "<message type='chat' from='" + romeoFull + "' to='" + julietFull + "'><body>before</body></message>"
		org.Send(before)
		h.Connect(t, "juliet@example.net/other").Send(setOf("block", "romeo@example.org"))
		org.Send(strings.Replace(before, "before", "after", 1))
		again := h.Dial(t, "juliet@example.net")
		if err := again.Resume(&mux.Resumption{ID: j.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		again.Expect(before)
		again.ExpectNone()
	})
}

// TestDurable: a set is answered, pushed and told when it is durable and not before.
// One whose commit fails never was.
func TestDurable(t *testing.T) {
	t.Parallel()
	for _, fail := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, store := new(muxtest.Committer), new(blocking.Memory)
			h := muxtest.New(t, &mux.Options{NoRecover: true, Committer: c}, im(store, nil, contacts(t))...)
			j, other := h.Connect(t, julietFull), h.Connect(t, "juliet@example.net/other")
			other.Send(getList)
			j.Send("<presence/>")
			j.Clear()
			other.Clear()
			h.Routed("example.org")
			c.Hold()
			j.Send(setOf("block", "romeo@example.org", "paris@example.org"))
			j.ExpectNone()
			other.ExpectNone()
			if got := h.Routed("example.org"); len(got) > 0 {
				t.Errorf("%q has left", got)
			}
			if fail {
				c.Fail(errors.New("on purpose"))
			}
			c.Release()
			h.Settle()
			want := "[]"
			if !fail {
				want = "[paris@example.org romeo@example.org]"
				j.Expect(done)
				other.Expect(pushOf("juliet@example.net/other", "block", "romeo@example.org", "paris@example.org"))
				h.ExpectRouted("example.org", "<presence type='unavailable' from='"+julietFull+"' to='romeo@example.org'/>",
					"<presence type='unavailable' from='"+julietFull+"' to='paris@example.org'/>")
			}
			if got := kept(t, store); got != want {
				t.Errorf("kept %s, want %s", got, want)
			}
			h.Routed("example.org")
			k := h.Connect(t, "juliet@example.net/k")
			k.Send("<message to='" + romeoFull + "' id='1'><body>Hi</body></message>")
			if got := h.Routed("example.org"); len(got) > 0 != fail {
				t.Errorf("failed %t: %q has left", fail, got)
			}
		})
	}
}

// broken is a store that cannot be read.
type broken struct {
	blocking.Memory
	fail bool
}

var errBroken = errors.New("broken on purpose")

func (b *broken) Load(ctx context.Context, account mux.Address) ([]mux.Address, error) {
	if b.fail {
		return nil, errBroken
	}
	return b.Memory.Load(ctx, account)
}

// TestUnreadable: a list that cannot be read blocks, and senders learn that something
// is wrong; when it can be read again all is well.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &broken{fail: true}
		h := muxtest.New(t, &mux.Options{NoRecover: true}, blocking.New(store, nil))
		j, org := h.Connect(t, julietFull), h.DialDomain(t, mux.Server, "example.org")
		j.Send("<presence/>")
		internal := func(s string) {
			t.Helper()
			if !strings.Contains(s, "internal-server-error") || !strings.Contains(s, "type='wait'") {
				t.Errorf("got %s", s)
			}
		}
		j.Clear()
		for _, s := range []string{getList, setOf("block", "a.org"), setOf("unblock", "a.org"), setOf("unblock"), "<message to='" + romeoFull + "' id='1'/>", "<iq type='get' to='" + romeoFull + "' id='1'><a xmlns='urn:a'/></iq>"} {
			j.Send(s)
			internal(j.Next())
		}
		for _, s := range []string{"<message", "<iq type='get'"} {
			org.Send(s + " from='" + romeoFull + "' to='" + julietFull + "' id='1'><a xmlns='urn:a'/>" + map[bool]string{true: "</iq>", false: "</message>"}[s[1] == 'i'])
			got := h.Routed("example.org")
			if len(got) != 1 {
				t.Fatalf("%s: answered with %q", s, got)
			}
			internal(got[0])
		}
		org.Send("<presence from='" + romeoFull + "' to='" + julietFull + "'/>")
		j.Send("<message to='juliet@example.net/balcony' id='2'><body>to myself</body></message>")
		j.Expect("<message from='" + julietFull + "' to='" + julietFull + "' id='2'><body>to myself</body></message>")
		j.ExpectNone()
		store.fail = false
		org.Send("<presence from='" + romeoFull + "' to='" + julietFull + "'/>")
		j.Expect("<presence from='" + romeoFull + "' to='" + julietFull + "'/>")
	})
}

// slow is a store that is read when it is told to.
type slow struct {
	blocking.Memory
	ready chan struct{}
}

func (s *slow) Load(ctx context.Context, account mux.Address) ([]mux.Address, error) {
	if account == juliet {
		<-s.ready
	}
	return s.Memory.Load(ctx, account)
}

// TestOthersGoOn: while a list is read, only the account it belongs to waits.
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &slow{ready: make(chan struct{})}
		r := im(store, nil, contacts(t))
		h := muxtest.New(t, &mux.Options{NoRecover: true}, r...)
		j, n := h.Connect(t, julietFull), h.Connect(t, "nurse@example.net/kitchen")
		n.Send("<presence/>", "<message to='"+julietFull+"' id='1'/>", "<message to='nurse@example.net' id='2'/>")
		n.Expect("<presence from='nurse@example.net/kitchen' to='nurse@example.net/kitchen'/>", "<message from='nurse@example.net/kitchen' to='nurse@example.net' id='2'/>")
		j.Send("<presence/>")
		j.ExpectNone()
		n.Send("<message to='nurse@example.net' id='3'/>")
		n.Expect("<message from='nurse@example.net/kitchen' to='nurse@example.net' id='3'/>")
		close(store.ready)
		h.Settle()
		if got := j.Arrived(); len(got) < 2 {
			t.Errorf("got %q", got)
		}
	})
}

// TestReaderGoesOn: what a client says may make the server send to others in the
// same turn, which asks for the list; its stream is read on meanwhile.
func TestReaderGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &slow{ready: make(chan struct{})}
		tell := toy{"tell", func(r *mux.Registry) {
			r.Observe(mux.FromPeer, mux.Presence, func(ctx context.Context, e *mux.Event) {
				e.SendItem(ctx, mux.Item{Stanza: e.Stanza, To: addr("romeo@example.org"), Flags: mux.Service})
			})
		}}
		h := muxtest.New(t, &mux.Options{NoRecover: true}, blocking.New(store, nil), tell)
		j := h.Connect(t, julietFull)
		j.Send("<presence/>", "<presence id='2'/>")
		if n := j.Unread(); n != 0 {
			t.Errorf("%d stanzas are not read", n)
		}
		if got := h.Routed("example.org"); len(got) > 0 {
			t.Errorf("%q has left before the list was read", got)
		}
		close(store.ready)
		h.Settle()
		if got := h.Routed("example.org"); len(got) != 2 {
			t.Errorf("got %q", got)
		}
	})
}

// TestInterestIsSaved: that a session is to be told is kept as soon as it has asked.
func TestInterestIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sessions := new(mux.MemorySessions)
		h := muxtest.New(t, &mux.Options{NoRecover: true, Sessions: sessions, Committer: new(muxtest.Committer)}, blocking.New(new(blocking.Memory), nil))
		h.Connect(t, julietFull).Send(getList)
		list, err := sessions.Load(t.Context())
		if err != nil || len(list) != 1 || !strings.Contains(string(list[0].Data), `"blocking":"AQ=="`) {
			t.Errorf("saved %+v, error %v", list, err)
		}
	})
}
