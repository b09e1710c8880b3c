package mux_test

import (
	"context"
	"encoding/xml"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// hostRequest is a request of somebody at example.org to the served domain.
func hostRequest(local, id string) string {
	return "<iq type='get' id='" + id + "' from='nurse@example.org/x' to='example.net'><" + local + " xmlns='" + nsToy + "'/></iq>"
}

// An answer that is given early waits for what the request has written; if that
// fails it is an error.
func TestLateAnswerWaitsForCommit(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{true, false} {
		for _, remote := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				h, c := held(t, with(func(r *mux.Registry) {
					answers(r, "late", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
						e.Later().Reply(nil, nil)
						writeNothing(e)
						return nil, nil
					})
				}))
				romeo, org := h.Connect(t, romeoFull), h.DialDomain(t, mux.Server, "example.org")
				c.Hold()
				if remote {
					org.Send(hostRequest("late", "1"))
				} else {
					romeo.Send(request("late", "1"))
				}
				romeo.ExpectNone()
				if got := h.Routed("example.org"); len(got) > 0 {
					t.Errorf("answered before the commit: %q", got)
				}
				if fails {
					c.Fail(errTest)
				}
				c.Release()
				switch {
				case remote && fails:
					h.ExpectRouted("example.org", refused("iq", "example.net", "nurse@example.org/x", "1", "wait", "internal-server-error"))
				case remote:
					h.ExpectRouted("example.org", "<iq type='result' id='1' from='example.net' to='nurse@example.org/x'/>")
				case fails:
					romeo.ExpectClosed("internal-server-error") // the stream of a stanza whose commit failed
				default:
					romeo.Expect(result("1", ""))
				}
				time.Sleep(time.Minute)
				romeo.ExpectNone()
				if got := h.Routed("example.org"); len(got) > 0 {
					t.Errorf("answered again: %q", got)
				}
			})
		}
	}
}

// panicPayload is a payload that cannot be written.
type panicPayload struct{}

func (panicPayload) TokenReader() xml.TokenReader { panic("on purpose") }

// A payload that panics is an error to who asked, once, and to nobody else.
func TestPayloadPanics(t *testing.T) {
	t.Parallel()
	for _, local := range []string{"now", "later", "run", "reply"} {
		t.Run(local, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, with(func(r *mux.Registry) {
					answers(r, "now", func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return panicPayload{}, nil })
					answers(r, "later", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
						e.Later().Reply(panicPayload{}, nil)
						return nil, nil
					})
					answers(r, "run", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
						e.Later().Run(func(context.Context) (xmlstream.Marshaler, error) { return panicPayload{}, nil })
						return nil, nil
					})
					answers(r, "reply", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
						e.Reply(ctx, panicPayload{}, nil)
						return nil, nil
					})
					answers(r, "fine", empty)
				}))
				romeo, org := h.Connect(t, romeoFull), h.DialDomain(t, mux.Server, "example.org")
				romeo.Send(request(local, "1"))
				romeo.Expect("<iq type='error' id='1' from='romeo@example.net' to='" + romeoFull + "'><error type='wait'>" +
					"<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
				org.Send(hostRequest(local, "2"))
				h.ExpectRouted("example.org", refused("iq", "example.net", "nurse@example.org/x", "2", "wait", "internal-server-error"))
				time.Sleep(time.Minute)
				romeo.Send(request("fine", "3")) // the streams go on
				romeo.Expect(result("3", ""))
				org.Send(hostRequest("fine", "4"))
				h.ExpectRouted("example.org", "<iq type='result' id='4' from='example.net' to='nurse@example.org/x'/>")
				romeo.ExpectNone()
			})
		})
	}
}

// refuseIQ is a sink that takes no requests.
type refuseIQ struct{ next mux.Sink }

func (k refuseIQ) Put(it *mux.Item) error {
	if it.Stanza.Kind() == mux.IQ && it.Stanza.Type() == "get" {
		return mux.ErrOverflow
	}
	return k.next.Put(it)
}

// Who says Done to a request that nobody took has not answered it.
func TestUndeliveredRequest(t *testing.T) {
	t.Parallel()
	for _, replies := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := muxtest.New(t, nil, with(func(r *mux.Registry) {
				r.Outbound(mux.Hold, func(_ *mux.Session, next mux.Sink) mux.Sink { return refuseIQ{next} })
				r.Undelivered(mux.AnyStanza, func(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
					if replies {
						e.Reply(ctx, nil, nil)
					}
					return mux.Done, nil
				})
			}))
			romeo := h.Connect(t, romeoFull)
			h.Connect(t, julietFull)
			romeo.Send("<iq type='get' id='1' to='" + julietFull + "'><x xmlns='urn:x'/></iq>")
			if replies {
				romeo.Expect("<iq type='result' id='1' from='" + julietFull + "' to='" + romeoFull + "'/>")
			} else {
				romeo.Expect(refused("iq", julietFull, romeoFull, "1", "cancel", "service-unavailable"))
			}
			time.Sleep(time.Minute)
			romeo.ExpectNone()
		})
	}
}

// An error that comes with a promise is the answer, at once.
func TestErrorAfterPromise(t *testing.T) {
	t.Parallel()
	forbidden := stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	promise := func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
		if e.Stanza.Type() != "get" {
			return mux.Pass, nil
		}
		e.Later()
		return mux.Done, forbidden
	}
	for what, register := range map[string]func(r *mux.Registry){
		"FromPeer":    func(r *mux.Registry) { r.Guard(mux.FromPeer, mux.IQ, promise) },
		"FromAccount": func(r *mux.Registry) { r.Modify(mux.FromAccount, mux.IQ, promise) },
		"ToAccount":   func(r *mux.Registry) { r.Guard(mux.ToAccount, mux.IQ, promise) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, with(register))
				romeo, juliet := h.Connect(t, romeoFull), h.Connect(t, julietFull)
				romeo.Send("<iq type='get' id='1' to='" + julietFull + "'><x xmlns='urn:x'/></iq>")
				romeo.Expect(refused("iq", julietFull, romeoFull, "1", "auth", "forbidden"))
				time.Sleep(time.Minute)
				romeo.ExpectNone()
				juliet.ExpectNone()
			})
		})
	}
}

// promised are the answers that are due.
type promised struct {
	mu   sync.Mutex
	list []*mux.Later
}

func (p *promised) add(l *mux.Later) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, l)
}

func (p *promised) all() []*mux.Later {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list
}

// Answers that are due later count as in progress: a peer cannot have more of
// them than it has credit.
func TestPromisesTakeCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open promised
		h := muxtest.New(t, &mux.Options{Credit: 4}, with(func(r *mux.Registry) {
			answers(r, "late", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				open.add(e.Later())
				return nil, nil
			})
		}))
		romeo := h.Connect(t, romeoFull)
		const n = 100
		for range n {
			romeo.Write(request("late", "1"))
		}
		want := func(made int) {
			t.Helper()
			h.Settle()
			if got := len(open.all()); got != made || romeo.Unread() != n-made || romeo.Stream.Waiting() != (made < n) {
				t.Fatalf("%d promises were made, want %d; %d stanzas are not accepted", got, made, romeo.Unread())
			}
		}
		want(4)
		open.all()[0].Reply(nil, nil)
		open.all()[2].Reply(nil, nil)
		romeo.Expect(result("1", ""), result("1", ""))
		want(6)
		time.Sleep(30*time.Second + 1) // what nobody keeps is answered with an error
		want(10)
		for i := 6; i < len(open.all()); i++ {
			open.all()[i].Reply(nil, nil)
			h.Settle()
		}
		want(n)
	})
}
