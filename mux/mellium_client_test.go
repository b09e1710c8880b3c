package mux_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/mux"
)

// Each request gets exactly one answer, whoever it is that gives it.
func TestClientSessionAnswersOnce(t *testing.T) {
	t.Parallel()
	exts := with(func(r *mux.Registry) {
		answers(r, "now", empty)
		answers(r, "fails", func(context.Context, *mux.Event) (xmlstream.Marshaler, error) { return nil, errTest })
		answers(r, "never", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) { e.Later(); return nil, nil })
		answers(r, "soon", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			l := e.Later()
			time.AfterFunc(time.Second, func() { l.Reply(nil, nil); l.Reply(nil, nil) })
			return nil, nil
		})
		answers(r, "run", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
			e.Later().Run(func(context.Context) (xmlstream.Marshaler, error) { return nil, unavailable })
			return nil, nil
		})
		answers(r, "slow", func(context.Context, *mux.Event) (xmlstream.Marshaler, error) {
			time.Sleep(2 * time.Minute)
			return nil, nil
		}, mux.Blocks())
		r.Guard(mux.FromPeer, mux.IQ, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
			if e.Stanza.Has(name(nsToy, "dropped")) {
				return mux.Done, nil
			}
			return mux.Pass, nil
		})
	})
	to := " from='" + julietFull + "' to='" + botFull + "'"
	toy := func(local string) string { return "<" + local + " xmlns='" + nsToy + "'/>" }
	for _, tt := range []struct{ name, attrs, in, want string }{
		{"answered", "type='get'" + to, toy("now"), "result"},
		{"a set of what is for get", "type='set'" + to, toy("now"), "service-unavailable"},
		{"unknown", "type='get'" + to, "<x xmlns='urn:x'/>", "service-unavailable"},
		{"error", "type='get'" + to, toy("fails"), "internal-server-error"},
		{"later", "type='get'" + to, toy("soon"), "result"},
		{"later on a goroutine", "type='get'" + to, toy("run"), "service-unavailable"},
		{"later, but never", "type='get'" + to, toy("never"), "internal-server-error"},
		{"slower than we wait", "type='get' from='" + julietFull + "'", toy("slow"), "service-unavailable"},
		{"dropped by a guard", "type='get'" + to, toy("dropped"), "service-unavailable"},
		{"no payload", "type='get'" + to, "", "bad-request"},
		{"two payloads", "type='get'" + to, toy("now") + toy("now"), "bad-request"},
		{"of the server, without an address", "type='get'", toy("now"), "result"},
		{"of the server, later", "type='get'", toy("never"), "internal-server-error"},
		{"of the account", "type='get' from='bot@example.net'", toy("now"), "result"},
		{"of the account, unknown", "type='get' from='bot@example.net'", "<x xmlns='urn:x'/>", "service-unavailable"},
		{"from nowhere", "type='get' from='a@@'", toy("now"), "result"},
		{"result", "type='result'" + to, toy("now"), ""},
		{"error stanza", "type='error'" + to, "<error/>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := startBot(t, nil, exts)
				b.start()
				ask := "<iq id='1' " + tt.attrs + ">" + tt.in + "</iq>"
				b.send(ask)
				time.Sleep(5 * time.Minute)
				got := b.arrived()
				switch {
				case tt.want == "" && len(got) == 0:
				case tt.want == "" || len(got) != 1 || !strings.Contains(got[0], tt.want) || !strings.Contains(got[0], "1"):
					t.Fatalf("got %q, want one %s", got, tt.want)
				}
				// And the next one too, with the same id.
				b.send("<iq id='1' type='get'" + to + ">" + toy("now") + "</iq>")
				b.expect("<iq type='result' id='1' from='" + botFull + "' to='" + julietFull + "'/>")
			})
		})
	}
}

// What handlers and others send before, while and after a request is answered
// arrives in order and without waiting for it.
func TestClientSessionSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		say := func(id string) *mux.Stanza {
			return mux.Make(mux.Head{Kind: mux.Message, ID: id, To: addr(julietFull)})
		}
		var later *mux.Later
		b := startBot(t, nil, with(func(r *mux.Registry) {
			answers(r, "ask", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				later = e.Later()
				e.Send(ctx, say("before"))
				return nil, nil
			})
			answers(r, "now", func(ctx context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Send(ctx, say("first"))
				e.Then(func(ctx context.Context, e *mux.Event) { e.Send(ctx, say("last")) })
				return nil, nil
			})
			r.Observe(mux.FromPeer, mux.Message, func(ctx context.Context, e *mux.Event) {
				e.Send(ctx, say("echo "+e.Stanza.ID()))
				e.Send(ctx, say("again "+e.Stanza.ID()))
			})
		}))
		b.start()
		ask := func(id, local string) string {
			return "<iq type='get' id='" + id + "' from='" + julietFull + "' to='" + botFull + "'><" + local + " xmlns='" + nsToy + "'/></iq>"
		}
		result := func(id string) string {
			return "<iq type='result' id='" + id + "' to='" + julietFull + "' from='" + botFull + "'/>"
		}
		message := func(id string) string { return "<message to='" + julietFull + "' id='" + id + "'/>" }
		b.send(ask("1", "ask"))
		b.expect(message("before"))
		b.Mux().Go(addr("bot@example.net"), func(ctx context.Context, e *mux.Event) { e.Send(ctx, say("meanwhile")) })
		b.expect(message("meanwhile"))
		if err := b.xmpp.Send(t.Context(), say("direct").TokenReader()); err != nil {
			t.Error(err)
		}
		b.expect(message("direct"))
		later.Reply(nil, nil)
		b.expect(result("1"))
		b.send(ask("2", "now"))
		b.expect(message("first"), result("2"), message("last"))
		b.send("<message id='m' from='" + julietFull + "'/><message id='n' from='" + julietFull + "'/>")
		b.expect(message("echo m"), message("again m"), message("echo n"), message("again n"))
	})
}

// Everybody sends at once, and the server reads slowly.
func TestClientSessionCrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBot(t, nil, with(func(r *mux.Registry) {
			answers(r, "run", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
				e.Later().Run(func(context.Context) (xmlstream.Marshaler, error) { return nil, nil })
				return nil, nil
			})
			r.Observe(mux.FromPeer, mux.Message, func(ctx context.Context, e *mux.Event) {
				e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message, To: addr(julietFull), ID: "echo"}))
			})
		}))
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					b.Mux().Go(addr("bot@example.net"), func(ctx context.Context, e *mux.Event) {
						e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message, To: addr(julietFull), ID: "other"}))
					})
				}
			})
		}
		for i := range 100 {
			b.out <- fmt.Sprintf("<iq type='get' id='i%d' from='%s'><run xmlns='%s'/></iq><message from='%s'/>", i, julietFull, nsToy, julietFull)
		}
		b.start()
		all.Wait()
		count := make(map[string]int)
		for _, el := range b.arrived() {
			switch {
			case strings.HasPrefix(el, "<iq "):
				count["iq"]++
			case strings.Contains(el, "echo"):
				count["echo"]++
			default:
				count["other"]++
			}
		}
		if count["iq"] != 100 || count["echo"] != 100 || count["other"] != 200 {
			t.Errorf("got %v", count)
		}
	})
}

func TestClientSessionNamespaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		echo := func(e *mux.Event) []mux.Child { return e.Stanza.Children() }
		b := startBot(t, nil, with(func(r *mux.Registry) {
			answers(r, "give", func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) { return echo(e)[0], nil })
			r.Observe(mux.FromPeer, mux.Message, func(ctx context.Context, e *mux.Event) {
				e.Send(ctx, mux.Make(mux.Head{Kind: mux.Message, To: addr(julietFull), ID: "1"}, echo(e)...))
			})
			r.Observe(mux.FromPeer, mux.Presence, func(ctx context.Context, e *mux.Event) {
				e.Deliver(mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: "2"}, echo(e)...), To: addr(julietFull)}, e.Session)
			})
			r.Observe(mux.FromPeer, mux.IQ, func(ctx context.Context, e *mux.Event) {
				e.SendItem(ctx, mux.Item{Stanza: mux.Make(mux.Head{Kind: mux.Message, ID: "x"}), ID: "3", To: addr(julietFull), Extra: []byte("<e xmlns='urn:e'/>")})
			})
		}))
		b.start()
		in := "<a xmlns='urn:a' b='&lt;&apos;&quot;' xml:lang='de'>t&amp;<b xmlns=''><body xmlns='jabber:client'>x</body></b>" +
			"<p:c xmlns:p='urn:p' p:q='1' r='p:qname'><p:d/><e/></p:c> </a>"
		b.send("<message from='" + julietFull + "'><body>1</body>" + in + "<y:z xmlns:y='urn:y'/></message>")
		b.expect("<message to='" + julietFull + "' id='1'><body>1</body>" + in + "<y:z xmlns:y='urn:y'/></message>")
		b.send("<presence from='" + julietFull + "'>" + in + "</presence>")
		b.expect("<message to='" + julietFull + "' id='2'>" + in + "</message>")
		b.send("<iq type='get' id='4' from='" + julietFull + "'><give xmlns='" + nsToy + "'>" + in + "</give></iq>")
		got := b.arrived()
		if len(got) != 2 || !strings.Contains(got[0], "xmlns:p=\"urn:p\"") || strings.Contains(got[0], "_xmlns") {
			t.Fatalf("got %q", got)
		}
		b.mu.Lock()
		b.got = got
		b.mu.Unlock()
		b.expect("<iq type='result' id='4' to='"+julietFull+"'><give xmlns='"+nsToy+"'>"+in+"</give></iq>",
			"<message to='"+julietFull+"' id='3'><e xmlns='urn:e'/></message>")
	})
}

func TestClientSessionQuery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, to, reply string
		matches         bool
	}{
		{"peer", julietFull, "from='" + julietFull + "' to='" + botFull + "' type='result'", true},
		{"peer's error", julietFull, "from='" + julietFull + "' type='error'", true},
		{"server", "example.net", "from='example.net' to='" + botFull + "' type='result'", true},
		{"account", "bot@example.net", "type='result'", true},
		{"account, by name", "bot@example.net", "from='bot@example.net' type='result'", true},
		{"account, by full name", "bot@example.net", "from='" + botFull + "' type='result'", true},
		{"no address", "", "type='result'", true},
		{"no address, by name", "", "from='bot@example.net' to='" + botFull + "' type='result'", true},
		{"no address, by the server", "", "from='example.net' type='result'", true},
		{"other resource", julietFull, "from='juliet@example.net/x' type='result'", false},
		{"a resource for the account", "juliet@example.net", "from='" + julietFull + "' type='result'", false},
		{"account for a resource", julietFull, "from='juliet@example.net' type='result'", false},
		{"nobody", julietFull, "type='result'", false},
		{"a stranger for the account", "bot@example.net", "from='" + julietFull + "' type='result'", false},
		{"a stranger for no address", "", "from='" + julietFull + "' type='result'", false},
		{"to another", julietFull, "from='" + julietFull + "' to='nurse@example.net' type='result'", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := startBot(t, nil)
				b.start()
				to := mux.Address{}
				attr := ""
				if tt.to != "" {
					to, attr = addr(tt.to), " to='"+tt.to+"'"
				}
				a := new(asked)
				q := mux.RawChild(name("urn:q", "q"), "<q xmlns='urn:q'/>")
				b.Mux().Query(t.Context(), mux.Make(mux.Head{Kind: mux.IQ, Type: "get", ID: "7", From: addr("bot@example.net"), To: to}, q), a.f)
				b.expect("<iq type='get' id='7' from='bot@example.net'" + attr + "><q xmlns='urn:q'/></iq>")
				reply := "<iq id='7' " + tt.reply + "><error type='cancel'/></iq>"
				b.send(reply, reply)
				got := a.get()
				if tt.matches != (got.called == 1 && got.reply != nil && got.err == nil) {
					t.Errorf("got %+v", got)
				}
				time.Sleep(time.Minute)
				if got := a.get(); got.called != 1 || !tt.matches && !errors.Is(got.err, mux.ErrTimeout) {
					t.Errorf("in the end %+v", got)
				}
				b.expect()
			})
		})
	}
}
