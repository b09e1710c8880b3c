package presence_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/presence"
)

// wait is the end of the sessions that keeper keeps, in a bubble.
func wait() {
	time.Sleep(time.Hour + 1)
	synctest.Wait()
}

// TestHibernation: PR-6, a session that may come back is still there for its
// contacts, and when it does not they are told, as are those that it told itself.
func TestHibernation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, append(extensions(filled(t), nil), keeper{})...)
		nurse, juliet := h.Connect(t, nurseFull), h.Connect(t, julietFull)
		nurse.Send("<presence/>")
		juliet.Send("<presence/>", "<presence to='room@rooms.example.org/J'/>")
		nurse.Clear()
		h.Routed("rooms.example.org")
		juliet.Drop()
		nurse.ExpectNone()

		again := h.Dial(t, "juliet@example.net")
		if err := again.Resume(&mux.Resumption{ID: juliet.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		again.Clear()
		again.Send("<presence><show>away</show></presence>")
		nurse.Expect("<presence from='" + julietFull + "' to='nurse@example.net'><show>away</show></presence>")
		again.Drop()
		nurse.ExpectNone()
		wait()
		nurse.Expect(unavailable(julietFull, "nurse@example.net"))
		nurse.ExpectNone()
		h.ExpectRouted("rooms.example.org", unavailable(julietFull, "room@rooms.example.org/J"))
	})
}

// TestRestart: PR-6, the same across a restart, by which nobody is told anything.
func TestRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := filled(t)
		exts := func() []mux.Extension {
			return append(extensions(store, &presence.Options{ProbesPerSecond: -1}), keeper{})
		}
		h := muxtest.New(t, &mux.Options{NoRecover: true, Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)}, exts()...)
		juliet := h.Connect(t, julietFull)
		juliet.Send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>", "<presence id='p'/>", "<presence to='room@rooms.example.org/J'/>", "<presence to='stranger@example.org'/>")
		h.Routed("rooms.example.org")
		h.Routed("example.org")
		h.Routed("example.com")
		h.Restart(exts()...)
		for _, domain := range []string{"rooms.example.org", "example.org", "example.com"} {
			if got := h.Routed(domain); len(got) > 0 {
				t.Errorf("%s was told %q", domain, got)
			}
		}
		nurse := h.Connect(t, nurseFull)
		nurse.Send("<presence/>")
		nurse.Expect("<presence from='"+nurseFull+"' to='"+nurseFull+"'/>", "<presence id='p' from='"+julietFull+"' to='"+nurseFull+"'/>")
		again := h.Dial(t, "juliet@example.net")
		if err := again.Resume(&mux.Resumption{ID: juliet.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		again.Clear()
		again.Send("<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='a@example.org'/></query></iq>")
		again.Expect("<iq type='set' to='"+julietFull+"' id='{*}'>{*}</iq>", "<iq type='result' from='juliet@example.net' to='"+julietFull+"' id='2'/>") // still interested
		again.Drop()
		h.Restart(exts()...)
		wait()
		h.ExpectRouted("rooms.example.org", unavailable(julietFull, "room@rooms.example.org/J"))
		h.ExpectRouted("example.org", unavailable(julietFull, "both@example.org"), unavailable(julietFull, "from@example.org"), unavailable(julietFull, "stranger@example.org"))
		h.ExpectRouted("example.com", unavailable(julietFull, "example.com"))
	})
}

// TestReplaced: a resource that is bound again: the old session's end is told
// before the new one is there (LC-12).
func TestReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, extensions(filled(t), nil)...)
		nurse, juliet := h.Connect(t, nurseFull), h.Connect(t, julietFull)
		nurse.Send("<presence/>")
		juliet.Send("<presence/>")
		nurse.Clear()
		h.Connect(t, julietFull).Send("<presence id='new'/>")
		nurse.Expect(unavailable(julietFull, "nurse@example.net"), "<presence id='new' from='"+julietFull+"' to='nurse@example.net'/>")
		nurse.ExpectNone()
	})
}

// TestPushWhileAway: RO-9, a session whose peer is away finds what changed in the
// roster when it is back.
func TestPushWhileAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, append(extensions(filled(t), nil), keeper{})...)
		juliet, other := h.Connect(t, julietFull), h.Connect(t, "juliet@example.net/other")
		juliet.Send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")
		juliet.Drop()
		other.Send("<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='a@example.org'/></query></iq>")
		again := h.Dial(t, "juliet@example.net")
		if err := again.Resume(&mux.Resumption{ID: juliet.Session.ID()}); err != nil {
			t.Fatal(err)
		}
		again.Expect("<iq type='set' to='" + julietFull + "' id='{*}'><query xmlns='jabber:iq:roster' ver='{*}'><item jid='a@example.org' subscription='none'/></query></iq>")
		again.ExpectNone()
	})
}
