package mux_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

var update = flag.Bool("update", false, "write golden files")

// stopper notes its end.
type stopper struct {
	name string
	log  *[]string
}

func (x stopper) Name() string { return x.name }

func (x stopper) Register(r *mux.Registry) error {
	r.Lifecycle(mux.Lifecycle{Closed: func(_ context.Context, e *mux.Event) {
		*x.log = append(*x.log, x.name+" closed "+e.Session.JID().Local())
	}})
	return nil
}

func (x stopper) Start(context.Context, *mux.Mux) error {
	*x.log = append(*x.log, x.name+" start")
	return nil
}

func (x stopper) Shutdown(context.Context) error {
	*x.log = append(*x.log, x.name+" shutdown")
	return nil
}

// Readers stop, what is in progress finishes and is written, sessions end,
// extensions are told, in that order.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log []string
		x := new(ledger)
		h, c := held(t, x, stopper{"one", &log}, stopper{"two", &log})
		romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		c.Hold()
		romeo.Send(request("write", "1"))
		romeo.Send(send("2")...)
		done := make(chan error, 1)
		go func() { done <- h.Mux().Shutdown(context.Background()) }()
		h.Settle()
		if len(done) > 0 {
			t.Fatal("Shutdown did not wait for the store")
		}
		romeo.Write(request("write", "3")) // comes too late
		h.Settle()
		if romeo.Unread() != 1 {
			t.Error("a stream is read during shutdown")
		}
		c.Release()
		h.Settle()
		if err := <-done; err != nil {
			t.Error(err)
		}
		romeo.Expect(result("1", ""))
		romeo.ExpectClosed("system-shutdown")
		juliet.Expect(message("2"))
		juliet.ExpectClosed("system-shutdown")
		romeo.ExpectNone()
		if !slices.Equal(x.stored["romeo"], []string{"1", "2"}) {
			t.Errorf("stored %v", x.stored)
		}
		slices.Sort(log[2:6])
		if want := []string{"one start", "two start", "one closed juliet", "one closed romeo", "two closed juliet", "two closed romeo",
			"one shutdown", "two shutdown"}; !slices.Equal(log, want) {
			t.Errorf("got %q", log)
		}
		if err := h.Mux().Do(t.Context(), addr("romeo@example.net"), func(context.Context, *mux.Event) {}); !errors.Is(err, mux.ErrClosed) {
			t.Errorf("Do after the end: %v", err)
		}
		if err := h.Mux().Shutdown(t.Context()); !errors.Is(err, mux.ErrClosed) {
			t.Errorf("second Shutdown: %v", err)
		}
	})
}

// A store that never answers does not keep the process from ending.
func TestShutdownTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, c := held(t, new(ledger))
		romeo := h.Connect(t, romeoFull)
		c.Hold()
		romeo.Send(request("write", "1"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		if err := h.Mux().Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("took %v", d)
		}
		romeo.ExpectClosed("system-shutdown") // and no answer: nothing was durable
		c.Release()
		h.Settle()
	})
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	h := muxtest.NewHost(t)
	_, err := mux.New(h, nil,
		with(func(r *mux.Registry) {
			r.Guard(mux.FromPeer, mux.Message, nil)
			r.Entity("a@b", func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Pass, nil })
			r.IQ(mux.AtHost, stanza.ResultIQ, name("a", "b"), empty)
			answers(r, "x", empty)
			answers(r, "x", empty)
			r.Outbound(mux.Hold, nil)
			mux.PersistentSlot(r, "", mux.Codec[int]{})
			r.Feature(mux.Feature{})
			r.Inline(mux.Inline{})
			r.Disco(mux.AtHost, nil)
			r.Undelivered(mux.Message, nil)
			r.Nonza(name("a", "b"), nil)
		}), with(func(*mux.Registry) {}))
	if err == nil {
		t.Fatal("no error")
	}
	if n := bytes.Count([]byte(err.Error()), []byte("\n")) + 1; n != 14 {
		t.Errorf("%d errors:\n%v", n, err)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	var log []string
	m, err := mux.New(muxtest.NewHost(t), nil, &csi{}, &smacks{}, tracer{"first", &log}, tracer{"second", &log}, echo(t),
		ext{"all", func(r *mux.Registry) {
			answers(r, "x", empty)
			r.Undelivered(mux.Message|mux.IQ, func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Done, nil })
			r.Inbound(mux.Track, func(_ *mux.Session, next mux.Sink) mux.Sink { return next })
			r.Guard(mux.ToAccount, mux.AnyStanza, func(context.Context, *mux.Event) (mux.Verdict, error) { return mux.Pass, nil })
		}}, member{"a", mux.InBind, &log, false})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	m.Describe(&b)
	const golden = "testdata/describe.golden"
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != string(want) {
		t.Errorf("differs from %s:\n%s", golden, b.String())
	}
}
