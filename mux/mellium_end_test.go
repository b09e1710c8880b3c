package mux_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

const resetError = "<error xmlns='http://etherx.jabber.org/streams'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>"

// closing is a bot that is told to close by a message or a request, whose answer
// says why.
func closing(c **bot, why error) mux.Extension {
	say := func(ctx context.Context, e *mux.Event) {
		e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message, ID: "bye"}))
	}
	return with(func(r *mux.Registry) {
		answers(r, "close", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			e.Then(func(context.Context, *mux.Event) { (*c).Close(why) })
			return nil, nil
		})
		answers(r, "never", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) { e.Later(); return nil, nil })
		r.Observe(mux.FromPeer, mux.Message, func(ctx context.Context, e *mux.Event) {
			say(ctx, e)
			e.Mux().Go(e.Account, func(context.Context, *mux.Event) { (*c).Close(why) })
		})
	})
}

// Close ends the session and the mux, whoever calls it and whatever is going on.
func TestClientSessionClose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, send string
		call       bool // Close, from the outside
		err        error
		want       []string
	}{
		{"idle", "", true, nil, []string{closeTag}},
		{"stream error", "", true, stream.Reset, []string{resetError, closeTag}},
		{"at once", "", true, errTest, []string{cut}},
		{"while a request is open", "<iq type='get' id='1'><never xmlns='" + nsToy + "'/></iq>", true, nil, []string{closeTag}},
		{"at once, while a request is open", "<iq type='get' id='1'><never xmlns='" + nsToy + "'/></iq>", true, errTest, []string{cut}},
		{"by a message", "<message id='m'/>", false, nil, []string{"<message id='bye'/>", closeTag}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var b *bot
				b = startBot(t, nil, closing(&b, tt.err))
				b.start()
				session := b.Session()
				if tt.send != "" {
					b.send(tt.send)
				}
				if tt.call {
					b.Close(tt.err)
					b.Close(nil)
				}
				b.expect(tt.want...)
				b.send("<message id='late'/>", closeTag)
				if err, ok := ended(b.err); !ok || err != nil && proper(tt.err) {
					t.Errorf("Serve: %v, %v", err, ok)
				}
				checkEnded(t, b, session)
			})
		})
	}
}

func proper(err error) bool { return err == nil || errors.As(err, new(stream.Error)) }

// checkEnded checks that nothing is left of a client's mux.
func checkEnded(t *testing.T, b *bot, session *mux.Session) {
	t.Helper()
	synctest.Wait()
	if session.State() != mux.Gone {
		t.Errorf("the session is %s", session.State())
	}
	if n := b.Mux().OpenWorks(); n > 0 {
		t.Errorf("%d Works are open", n)
	}
	if err := b.Mux().Shutdown(t.Context()); !errors.Is(err, mux.ErrClosed) {
		t.Errorf("the mux was not shut down: %v", err)
	}
}

// A request that asks for the end is answered before it.
func TestClientSessionClosesAfterAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b *bot
		b = startBot(t, nil, closing(&b, nil))
		b.start()
		session := b.Session()
		b.send("<iq type='get' id='1' from='" + julietFull + "'><close xmlns='" + nsToy + "'/></iq>")
		b.expect("<iq type='result' id='1' to='"+julietFull+"'/>", closeTag)
		b.send(closeTag)
		if err, ok := ended(b.err); !ok || err != nil {
			t.Errorf("Serve: %v, %v", err, ok)
		}
		checkEnded(t, b, session)
	})
}

// The server may end first, or never.
func TestClientSessionServerCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBot(t, nil)
		b.start()
		session := b.Session()
		b.send(closeTag)
		b.expect(closeTag)
		if err, ok := ended(b.err); !ok || err != nil {
			t.Errorf("Serve: %v, %v", err, ok)
		}
		b.Close(nil)
		checkEnded(t, b, session)
	})
}

func TestClientSessionServerStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBot(t, nil)
		session := b.Session()
		b.Mux().Go(addr("bot@example.net"), func(ctx context.Context, e *mux.Event) {
			e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message}))
		})
		synctest.Wait()
		b.Close(nil) // the server does not even read
		time.Sleep(11 * time.Second)
		if err, ok := ended(b.err); !ok || err == nil {
			t.Errorf("Serve: %v, %v", err, ok)
		}
		checkEnded(t, b, session)
	})
}

// A server that does not read is given up.
func TestClientSessionOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBot(t, &mux.Options{MaxQueue: 1000})
		session := b.Session()
		body := mux.RawChild(name(mux.NSClient, "body"), "<body>"+strings.Repeat("x", 400)+"</body>")
		for range 4 {
			b.Mux().Go(addr("bot@example.net"), func(ctx context.Context, e *mux.Event) {
				e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message}, body))
			})
		}
		if err, ok := ended(b.err); !ok || err == nil {
			t.Errorf("Serve: %v, %v", err, ok)
		}
		checkEnded(t, b, session)
	})
}

// Shutting the mux down ends the stream properly: no server goes down.
func TestClientSessionShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBot(t, nil)
		b.start()
		session := b.Session()
		if err := b.Mux().Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		b.expect(closeTag)
		b.send(closeTag)
		checkEnded(t, b, session)
	})
}

func TestNewClientSessionFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, s := wired(t, "bot@example.net", "example.net", false)
		if _, err := mux.NewClientSession(t.Context(), s, nil); !errors.Is(err, mux.ErrNoSession) {
			t.Errorf("without a resource: %v", err)
		}
		w, s := wired(t, botFull, "example.net", false)
		w.start()
		if _, err := mux.NewClientSession(t.Context(), s, nil, ext{"a", func(*mux.Registry) {}}, ext{"a", func(*mux.Registry) {}}); err == nil {
			t.Error("twice the same extension is accepted")
		}
		w.expect()
		if _, err := mux.NewClientSession(t.Context(), s, nil, failing{with(func(*mux.Registry) {})}); !errors.Is(err, errTest) {
			t.Errorf("an extension does not start: %v", err)
		}
		w.expect(closeTag)
		if got := s.LocalAddr(); !got.Equal(jid.MustParse(botFull)) || s.State()&xmpp.OutputStreamClosed == 0 {
			t.Errorf("%s is open", got)
		}
	})
}

// failing does not start.
type failing struct{ mux.Extension }

func (failing) Start(context.Context, *mux.Mux) error { return errTest }

// A handler that panics ends the session with a stream error, once.
func TestClientSessionPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBot(t, nil, with(func(r *mux.Registry) {
			answers(r, "panic", func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { panic("on purpose") })
		}))
		b.start()
		b.send("<iq type='get' id='1' from='" + julietFull + "'><panic xmlns='" + nsToy + "'/></iq>")
		got := b.arrived()
		if len(got) < 2 || got[len(got)-1] != closeTag || !strings.Contains(strings.Join(got, ""), "internal-server-error") {
			t.Errorf("got %q", got)
		}
		b.send(closeTag)
		if _, ok := ended(b.err); !ok {
			t.Error("Serve goes on")
		}
	})
}
