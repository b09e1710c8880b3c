package mux_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// Nothing a peer can make stays when it is of no more use: accounts, ways out,
// open requests.
func TestTablesDoNotLeak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer)}, &smacks{keep: time.Hour}, writing(), echo(t), new(quietStore))
		org := h.DialDomain(t, mux.Server, "example.org")
		romeo, juliet := h.Connect(t, romeoFull), enabled(t, h)
		for i := range 200 {
			romeo.Send(fmt.Sprintf("<message to='nobody%d@example.net' id='1'/>", i), fmt.Sprintf("<message to='a@d%d.example.org' id='1'/>", i),
				fmt.Sprintf("<message to='room%d@echo.example.net' id='1'/>", i))
			org.Send(fmt.Sprintf("<message from='u%d@example.org' to='nobody%d@example.net' id='1'/>", i, i))
			_ = query(h, "example.net", "juliet@example.net/gone", "")
		}
		a := query(h, "example.net", julietFull, "")
		time.Sleep(time.Minute)
		h.Settle()
		if got := a.get(); got.called != 1 {
			t.Errorf("called %d times", got.called)
		}
		juliet.Drop()
		time.Sleep(time.Hour + 1)
		romeo.Close()
		h.Settle()
		m := h.Mux()
		if m.Accounts() != 0 || m.Outlets() != 0 || m.Queries() != 0 || m.OpenWorks() != 0 {
			t.Errorf("left: %d accounts, %d ways out, %d requests, %d works", m.Accounts(), m.Outlets(), m.Queries(), m.OpenWorks())
		}
	})
}

// State of an account lasts as long as it is in use.
func TestAccountSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var key mux.AccountKey[int]
		h := muxtest.New(t, nil, with(func(r *mux.Registry) { key = mux.AccountSlot[int](r) }))
		count := func() (n int) {
			if err := h.Mux().Do(t.Context(), addr("romeo@example.net"), func(_ context.Context, e *mux.Event) {
				*key.Of(e)++
				n = *key.Peek(e)
			}); err != nil {
				t.Error(err)
			}
			return n
		}
		if a, b := count(), count(); a != 1 || b != 1 {
			t.Errorf("without a session: %d, %d", a, b)
		}
		romeo := h.Connect(t, romeoFull)
		if a, b := count(), count(); a != 1 || b != 2 {
			t.Errorf("with a session: %d, %d", a, b)
		}
		romeo.Close()
		if n := count(); n != 1 {
			t.Errorf("after the session: %d", n)
		}
	})
}

func TestRemoveAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		note := func(what string, e *mux.Event) {
			log = append(log, fmt.Sprintf("%s %s %d", what, e.Account.Local(), len(e.Sessions())))
		}
		h := muxtest.New(t, nil, &smacks{keep: time.Hour}, with(func(r *mux.Registry) {
			mux.On(r, func(_ context.Context, e *mux.Event, _ mux.AccountClosing) error { note("closing", e); return errTest })
			mux.On(r, func(_ context.Context, e *mux.Event, _ mux.AccountRemoved) error { note("removed", e); return nil })
			r.Lifecycle(mux.Lifecycle{Closed: func(_ context.Context, e *mux.Event) { note("closed", e) }})
		}))
		romeo, a, b := h.Connect(t, romeoFull), enabled(t, h), h.Connect(t, "juliet@example.net/b")
		a.Drop()
		h.RemoveAccount("juliet@example.net")
		if err := h.Mux().RemoveAccount(t.Context(), addr("juliet@example.net")); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if want := []string{"closing juliet 2", "closed juliet 1", "closed juliet 0", "removed juliet 0"}; !slices.Equal(log, want) {
			t.Errorf("got %q", log)
		}
		if got := b.Arrived(); len(got) != 2 || !strings.HasPrefix(got[0], "<stream:error>") {
			t.Errorf("the stream ended with %q", got)
		}
		again := h.Dial(t, "romeo@example.net")
		again.Send("<resume xmlns='" + nsSM + "' h='0' previd='" + a.Session.ID().String() + "'/>")
		again.Expect("<failed xmlns='" + nsSM + "'/>")
		romeo.Send("<message type='chat' to='juliet@example.net' id='1'><body>x</body></message>")
		romeo.Expect(refused("message", "juliet@example.net", romeoFull, "1", "cancel", "service-unavailable"))
	})
}

// Whether an account exists may have to be looked up, without holding up others.
func TestUnknownAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := new(store)
		h := muxtest.New(t, nil, st)
		romeo := h.Connect(t, romeoFull)
		h.AddAccount("there@example.net")
		h.Unknown("there@example.net")
		h.Unknown("none@example.net")
		romeo.Send("<message type='chat' to='there@example.net' id='1'><body>x</body></message>",
			"<message type='chat' to='none@example.net' id='2'><body>x</body></message>")
		romeo.Expect(refused("message", "none@example.net", romeoFull, "2", "cancel", "service-unavailable"))
		st.want(t, "1")
	})
}
