package mux_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// restarting is a host whose sessions survive.
func restarting(t *testing.T, exts ...mux.Extension) *muxtest.Host {
	return muxtest.New(t, &mux.Options{Sessions: new(mux.MemorySessions), Committer: new(muxtest.Committer)}, exts...)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			st := new(store)
			h := restarting(t, &smacks{keep: time.Hour}, st)
			romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
			juliet.Send("<message to='" + romeoFull + "' id='9'/>")
			romeo.Expect("<message from='" + julietFull + "' to='" + romeoFull + "' id='9'/>")
			romeo.Send(send("1", "2")...)
			juliet.Expect(message("1"), message("2"))
			if !live {
				juliet.Drop()
			}
			h.Restart(&smacks{keep: time.Hour}, st)
			romeo.ExpectClosed("system-shutdown")
			if live {
				juliet.Expect(muxtest.Dropped)
			}
			st.want(t)
			s := h.Mux().SessionByID(juliet.Session.ID())
			if s == nil {
				t.Fatal("the session is gone")
			}
			if s.State() != mux.Hibernating || s.JID() != addr(julietFull) || !s.Available() || s.Handled() != 2 || !s.Created().Equal(juliet.Session.Created()) {
				t.Errorf("restored: %s %s available %t, handled %d", s.State(), s.JID(), s.Available(), s.Handled())
			}
			romeo = h.Connect(t, romeoFull)
			romeo.Send(send("3")...)
			again := resume(t, h, juliet, "1")
			again.Expect(resumed("2"), message("2"), message("3"), ask)
			again.ExpectNone()
		})
	}
}

// A window goes on through a restart; what is over then is disposed of, when the
// extensions have started.
func TestRestartEndsWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		sessions := new(mux.MemorySessions)
		h := muxtest.New(t, &mux.Options{Sessions: sessions}, &smacks{keep: time.Hour}, st)
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		romeo.Send("<message type='chat' to='" + julietFull + "' id='1'><body>x</body></message>")
		juliet.Drop()
		time.Sleep(40 * time.Minute)
		h.Restart(&smacks{keep: time.Hour}, st)
		st.want(t)
		time.Sleep(20*time.Minute + 1)
		h.Settle()
		st.want(t, "1 replay")
		if left, err := sessions.Load(t.Context()); err != nil || len(left) > 0 {
			t.Errorf("the store still has %v (%v)", left, err)
		}
	})
}

// starter is a store that must be started before it is used.
type starter struct {
	store
	started, early bool
}

func (x *starter) Register(r *mux.Registry) error {
	r.Undelivered(mux.Message, func(context.Context, *mux.Event) (mux.Verdict, error) {
		x.early = x.early || !x.started
		return mux.Pass, nil
	})
	return x.store.Register(r)
}

func (x *starter) Start(context.Context, *mux.Mux) error {
	x.started = true
	return nil
}

func TestWindowOverAtRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sessions := new(mux.MemorySessions)
		h := muxtest.New(t, &mux.Options{Sessions: sessions}, &smacks{keep: time.Hour})
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		romeo.Send(send("1")...)
		juliet.Drop()
		if err := h.Mux().Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		st := new(starter)
		h2 := muxtest.NewHost(t)
		h2.AddAccount("juliet@example.net")
		h2.Open(&mux.Options{Sessions: sessions}, &smacks{keep: time.Hour}, st)
		h2.Settle()
		st.want(t, "1 replay")
		if st.early {
			t.Error("disposed of before the extensions had started")
		}
	})
}

// After a crash sessions are restored from the last commit; what cannot be read
// is dropped.
func TestCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sessions := new(mux.MemorySessions)
		save := func(s mux.SavedSession) {
			if err := sessions.Save(s)(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		good := mux.SessionID{1}
		save(mux.SavedSession{ID: good.String(), JID: addr(julietFull), Data: []byte(`{"v":1,"h":7,"slots":{"smacks":"NSAzIHRydWUKPG1lc3NhZ2UgaWQ9JzEnLz4KPG1lc3NhZ2UgaWQ9JzInLz4="}}`)})
		save(mux.SavedSession{ID: mux.SessionID{2}.String(), JID: addr("juliet@example.net/x"), Data: []byte(`{"v":1,"slots":{"smacks":"bm9uc2Vuc2U="}}`)})
		save(mux.SavedSession{ID: mux.SessionID{3}.String(), JID: addr("juliet@example.net/y"), Data: []byte(`{"v":2}`)})
		save(mux.SavedSession{ID: mux.SessionID{4}.String(), JID: addr("juliet@example.net/z"), Data: []byte(`garbage`)})
		save(mux.SavedSession{ID: mux.SessionID{5}.String(), JID: addr("nobody@example.net/z"), Data: []byte(`{"v":1}`)})
		save(mux.SavedSession{ID: "short", JID: addr("juliet@example.net/w"), Data: []byte(`{"v":1}`)})
		h := muxtest.NewHost(t)
		h.AddAccount("juliet@example.net")
		h.Open(&mux.Options{Sessions: sessions}, &smacks{keep: time.Hour})
		if n := len(h.Mux().Sessions(addr("juliet@example.net"))); n != 1 {
			t.Errorf("%d sessions", n)
		}
		c := h.Dial(t, "juliet@example.net")
		c.Send("<resume xmlns='" + nsSM + "' previd='" + good.String() + "' h='4'/>")
		c.Expect(resumed("7"), "<message id='2'/>", ask)
		left, err := sessions.Load(t.Context())
		if err != nil || len(left) != 1 {
			t.Errorf("the store has %v (%v)", left, err)
		}
	})
}

// A session that is saved with a stanza's writes says that the stanza was
// handled: after a crash it is not sent again.
func TestSavedWithItsStanza(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sessions, c := new(mux.MemorySessions), new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: c, Sessions: sessions}, &smacks{keep: time.Hour}, writing(), with(func(r *mux.Registry) {
			r.Seal(func(w *mux.Work) {
				if s, _ := w.Origin(); s != nil {
					w.Save(s)
				}
			})
		}))
		saved := func() string {
			all, err := sessions.Load(t.Context())
			if err != nil || len(all) > 1 {
				t.Fatalf("%d sessions, %v", len(all), err)
			}
			if len(all) == 0 {
				return ""
			}
			_, after, _ := strings.Cut(string(all[0].Data), `"h":`)
			number, _, _ := strings.Cut(after, ",")
			return number
		}
		juliet := enabled(t, h)
		for i := range 3 {
			juliet.Send("<message to='juliet@example.net/none' id='1'/>")
			if got, want := saved(), strconv.Itoa(i+2); got != want { // the presence was the first
				t.Errorf("saved %s, want %s", got, want)
			}
		}
		c.Hold()
		juliet.Send("<message to='juliet@example.net/none' id='1'/>", "<presence/>")
		if got := saved(); got != "4" {
			t.Errorf("saved %s before the commit", got)
		}
	})
}
