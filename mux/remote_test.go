package mux_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// farToy counts for another server's stream, and says what is asked of it.
type farToy struct{ st *mux.Stream }

const nsFar = "urn:x:far"

func farExt() mux.Extension {
	return ext{"far", func(r *mux.Registry) {
		r.Remote(nsFar, func(st *mux.Stream) mux.Remote { return farToy{st} })
	}}
}

func (x farToy) say(what string) {
	_ = x.st.Say(mux.Written(fmt.Sprintf("<%s xmlns='%s' n='%d' of='%d'/>", what, nsFar, x.st.Handled(), x.st.Received())))
}

func (x farToy) Nonza(_ context.Context, el *mux.Stanza) error {
	switch el.Name().Local {
	case "bad":
		return stream.BadFormat
	case "broken":
		return errors.New("no idea")
	case "panic":
		panic("no idea")
	case "later":
		n := x.st.Received()
		x.st.OnHandled(n, func() { x.say("later") })
	}
	x.say("said")
	return nil
}

func (x farToy) Parting() { x.say("last") }

func TestRemoteCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		committer := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: committer}, farExt(), writes())
		org := h.DialDomain(t, mux.Server, "example.org")
		msg := "<message from='a@example.org' to='" + julietFull + "'/>"
		org.Send(msg)
		org.Send("<x xmlns='" + nsFar + "'/>")
		org.Expect("<said xmlns='" + nsFar + "' n='1' of='1'/>")
		committer.Hold()
		org.Send(msg, "<x xmlns='"+nsFar+"'/>", "<later xmlns='"+nsFar+"'/>", msg)
		org.Expect("<said xmlns='"+nsFar+"' n='1' of='2'/>", "<said xmlns='"+nsFar+"' n='1' of='2'/>")
		org.ExpectNone()
		committer.Release()
		h.Settle()
		org.Expect("<later xmlns='" + nsFar + "' n='2' of='3'/>")
		org.Send("<x xmlns='" + nsFar + "'/>")
		org.Expect("<said xmlns='" + nsFar + "' n='3' of='3'/>")
		org.ExpectNone()
		if s, n := org.Stream.Received(), org.Stream.Handled(); s != 3 || n != 3 {
			t.Errorf("received %d, handled %d", s, n)
		}
		org.Stream.Close(nil)
		org.Expect("<last xmlns='"+nsFar+"' n='3' of='3'/>", "</stream:stream>")
	})
}

// writes has every message lead to a durable write.
func writes() mux.Extension {
	return ext{"writes", func(r *mux.Registry) {
		r.Guard(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
			writeNothing(e)
			return mux.Done, nil
		}, mux.Unknown())
	}}
}

// A failed commit ends the stream, and what was in it does not count, nor what came
// behind it.
func TestRemoteFailedCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		committer := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: committer}, farExt(), writes())
		org := h.DialDomain(t, mux.Server, "example.org")
		msg := "<message from='a@example.org' to='" + julietFull + "'/>"
		org.Send("<x xmlns='"+nsFar+"'/>", msg)
		committer.Hold()
		org.Send(msg)
		committer.Cut()
		org.Send(msg, "<later xmlns='"+nsFar+"'/>")
		committer.FailFirst(errors.New("disk full"))
		committer.Release()
		h.Settle()
		org.Expect("<said xmlns='"+nsFar+"' n='0' of='0'/>", "<said xmlns='"+nsFar+"' n='1' of='3'/>", "<last xmlns='"+nsFar+"' n='1' of='3'/>")
		org.ExpectClosed("internal-server-error")
	})
}

// The peer ends its stream: what it sent is finished before it is told the last.
func TestRemoteParting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		committer := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: committer}, farExt(), writes())
		var c recConn
		st := h.Mux().NewStream(&c, mux.Server)
		st.Authorize("example.org")
		committer.Hold()
		for _, text := range []string{"<x xmlns='" + nsFar + "'/>", "<message from='a@example.org' to='" + julietFull + "'/>"} {
			receive(t, st, text)
		}
		go func() {
			time.Sleep(time.Second)
			committer.Release()
		}()
		st.Gone(true)
		st.Close(nil) // too late to say more
		want := "<said xmlns='" + nsFar + "' n='0' of='0'/><last xmlns='" + nsFar + "' n='1' of='1'/>"
		if strings.Join(c.writes(), "") != want {
			t.Errorf("got %s", c.writes())
		}
	})
}

func TestRemoteErrors(t *testing.T) {
	t.Parallel()
	for what, condition := range map[string]string{"bad": "bad-format", "broken": "internal-server-error", "panic": "internal-server-error"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, farExt())
				org := h.DialDomain(t, mux.Server, "example.org")
				org.Send("<" + what + " xmlns='" + nsFar + "'/>")
				if got := org.Next(); !strings.HasPrefix(got, "<last ") {
					t.Errorf("got %s", got)
				}
				org.ExpectClosed(condition)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, farExt())
		gateway := h.DialDomain(t, mux.Component, "x.example.net")
		if err := gateway.Stream.Say(mux.Written("<x xmlns='urn:x'/>")); !errors.Is(err, mux.ErrNoSession) {
			t.Errorf("said to a component: %v", err)
		}
		gateway.Stream.OnHandled(0, func() { t.Error("a component's stream counts") })
		if gateway.Stream.Received() != 0 || gateway.Stream.Handled() != 0 {
			t.Error("a component's stream counts")
		}
		gateway.Send("<x xmlns='" + nsFar + "'/>")
		gateway.ExpectClosed("unsupported-stanza-type")
	})
}

// A peer that asks and does not read is given up.
func TestRemoteDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{MaxQueue: 1000}, farExt())
		org := h.DialDomain(t, mux.Server, "example.org")
		org.Stall()
		for range 100 {
			org.Write("<x xmlns='" + nsFar + "'/>")
			h.Settle()
		}
		all := org.Arrived()
		if n := len(all); n < 10 || n > 30 || all[n-1] != muxtest.Dropped {
			t.Errorf("%d elements, then %s", n, all[n-1])
		}
	})
}

// While a stanza is not finished, there is a bound to what is remembered of those behind.
func TestRemoteFarAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		h := muxtest.New(t, &mux.Options{Credit: 4}, farExt(), ext{"slow", func(r *mux.Registry) {
			r.Guard(mux.ToAccount, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
				if e.Stanza.ID() == "slow" {
					<-held
				}
				return mux.Done, nil
			}, mux.Unknown(), mux.Blocks())
		}})
		st := h.Mux().NewStream(new(recConn), mux.Server)
		st.Authorize("example.org")
		const all = 1000
		done := make(chan struct{})
		go func() {
			defer close(done)
			receive(t, st, "<message from='a@example.org' to='"+romeoFull+"' id='slow'/>")
			for range all {
				receive(t, st, "<message from='a@example.org' to='"+julietFull+"'/>")
			}
			st.Flush()
		}()
		synctest.Wait()
		if n := st.Received(); n < 200 || n > 300 || st.Handled() != 0 || !st.Waiting() {
			t.Errorf("%d received, %d handled, waits: %v", n, st.Handled(), st.Waiting())
		}
		close(held)
		<-done
		synctest.Wait()
		if n := st.Handled(); n != 1+all {
			t.Errorf("%d handled", n)
		}
		st.Gone(false)
	})
}

// Nor does it help a peer to ask for so long that there is no end of its input.
func TestRemoteAsksWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{MaxQueue: 1000}, farExt())
		var c stuck
		st := h.Mux().NewStream(&c, mux.Server)
		st.Authorize("example.org")
		el, err := mux.Parse([]byte("<x xmlns='" + nsFar + "'/>"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; err == nil && n < 10000; n++ {
			err = st.Receive(t.Context(), el) // which nobody flushes
		}
		if !errors.Is(err, mux.ErrClosed) || n > 2000 {
			t.Errorf("%v after %d elements", err, n)
		}
		st.Gone(false)
		if c.octets == 0 || c.octets > 100_000 {
			t.Errorf("%d octets are written", c.octets)
		}
	})
}

// stuck is a connection whose peer reads nothing.
type stuck struct{ octets int }

func (c *stuck) Write(p []byte) error {
	c.octets += len(p)
	return nil
}

func (c *stuck) Pending() int { return c.octets }
func (c *stuck) Close(error)  {}

func TestRemoteRegistration(t *testing.T) {
	t.Parallel()
	bind := func(st *mux.Stream) mux.Remote { return farToy{st} }
	for name, f := range map[string]func(r *mux.Registry){
		"twice":   func(r *mux.Registry) { r.Remote(nsFar, bind); r.Remote(nsFar, bind) },
		"nothing": func(r *mux.Registry) { r.Remote(nsFar, nil) },
		"all":     func(r *mux.Registry) { r.Remote("", bind) },
		"stanzas": func(r *mux.Registry) { r.Remote(mux.NSClient, bind) },
	} {
		if _, err := mux.New(muxtest.NewHost(t), nil, ext{"far", f}); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
	m, err := mux.New(muxtest.NewHost(t), nil, farExt())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if m.Describe(&b); b.String() != "Remote {"+nsFar+"}: far\n" {
		t.Errorf("described as %s", b.String())
	}
}
