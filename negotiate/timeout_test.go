package negotiate_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// waits checks that the server waits for just d more.
func (p *peer) waits(d time.Duration, then string) {
	p.t.Helper()
	time.Sleep(d - 1)
	synctest.Wait()
	p.expect("")
	time.Sleep(time.Nanosecond)
	p.expect(expand(then))
}

// TestServeTimeout: core-im LC-20, wherever the peer falls silent, and
// auth-register SC-22 inside an exchange.
func TestServeTimeout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, then string
		after            time.Duration // 0 for 60 s
	}{
		{"before anything", "", "{head}{error connection-timeout}", 0},
		{"in the header", "C: <stream:stream ", "{head}{error connection-timeout}", 0},
		{"after features", opened, "{error connection-timeout}", 0},
		{"in an element", opened + "C: <auth", "{error connection-timeout}", 0},
		{"in an exchange", opened + asks("x") + "S: <challenge{sasl}>bW9yZQ==</challenge>", "{error connection-timeout}", 30 * time.Second},
		{"before the second header", opened + "C: {romeo}\nS: {success}", "{head}{error connection-timeout}", 0},
		{"before bind", loggedIn, "{error connection-timeout}", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newSite(t, trusted()).connect()
				defer p.stop()
				p.run(tt.text)
				p.waits(cmp.Or(tt.after, 60*time.Second), tt.then)
				// White space does not help.
				time.Sleep(5*time.Second + 1)
				if !p.closed() {
					t.Error("the server waits for ever")
				}
			})
		})
	}
}

// TestServeTimeoutStep: in the exchange of a feature, which keeps a copy of
// credentials as well, there is no more time for a step, whatever time was given
// before (auth-register SC-22).
func TestServeTimeoutStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		f := nonza(asksMore(mux.Outcome{}))
		f.Deadline = 5 * time.Minute
		having(f)(&s)
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened + goes + "S: <more xmlns='urn:x'/>")
		time.Sleep(29 * time.Second)
		p.run(goes)
		time.Sleep(time.Minute)
		p.run(goes + "S: <more xmlns='urn:x'/>")
		p.waits(30*time.Second, "{error connection-timeout}")
	})
}

// TestServeTimeoutSlow: a peer that always says something has no more time.
func TestServeTimeoutSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, trusted()).connect()
		defer p.stop()
		p.run(opened)
		for range 59 {
			time.Sleep(time.Second)
			p.send(" ")
		}
		p.waits(time.Second, "{error connection-timeout}")
	})
}

// TestServeDeadline: a feature gives people time, but not for ever.
func TestServeDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		f := nonza(always(mux.Outcome{Reply: mux.Raw("<gone xmlns='urn:x'/>")}, nil))
		f.Deadline = 5 * time.Minute
		having(f)(&s)
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened)
		time.Sleep(59 * time.Second)
		for range 5 {
			p.run(goes + "S: <gone xmlns='urn:x'/>")
			time.Sleep(5*time.Minute - time.Second)
		}
		p.run(goes + "S: <gone xmlns='urn:x'/>")
		p.waits(time.Second, "{error connection-timeout}")
	})
}

func TestServeNoTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		s.opt.Timeout = -1
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened)
		time.Sleep(time.Hour)
		p.run("C: {romeo}\nS: {success}")
	})
}

// TestServeContext: the embedder may give up, which is nothing to tell.
func TestServeContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, trusted())
		client, server := net.Pipe()
		defer client.Close()
		tr := negotiate.NewConnTransport(server, &s.conn)
		st := s.host.Mux().NewStream(tr, mux.Client)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := s.n.Serve(ctx, st, tr)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
		if _, told := negotiate.StreamError(err); told {
			t.Error("a stream error")
		}
		st.Gone(false)
		tr.Finish()
	})
}

// TestServeRole: streams of others are not negotiated here.
func TestServeRole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, trusted())
		_, server := net.Pipe()
		tr := negotiate.NewConnTransport(server, nil)
		st := s.host.Mux().NewStream(tr, mux.Component)
		if err := s.n.Serve(t.Context(), st, tr); err == nil {
			t.Error("no error")
		}
		st.Gone(false)
		tr.Finish()
	})
}
