package pep_test

import (
	"context"
	"encoding/xml"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// log notes what handlers are told.
type eventLog struct {
	mu   sync.Mutex
	list []string
}

// in short: who, kind, item, payload's text and marks.
func short(e pep.Event) string {
	b := e.From.String() + " " + e.Node + " " + e.Kind.String()
	if e.Item.ID != "" {
		b += " " + e.Item.ID
	}
	if e.Item.Payload != "" {
		b += "=" + strings.TrimSuffix(strings.TrimPrefix(string(e.Item.Payload), "<note xmlns='urn:x:note'>"), "</note>")
	}
	for mark, on := range map[string]bool{" again": !e.At.IsZero(), " fetched": e.Fetched, " known": e.Known} {
		if on {
			b += mark
		}
	}
	return b
}

func (l *eventLog) handle(_ context.Context, e pep.Event) { l.add(short(e)) }

func (l *eventLog) wrong(_ context.Context, e pep.Event, err error) {
	if errors.Is(err, pep.ErrPayload) {
		l.add("wrong " + e.Node + " " + e.Item.ID)
	}
}

func (l *eventLog) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

// expect compares what was noted since.
func (l *eventLog) expect(t testing.TB, what string, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.list, want) {
		t.Errorf("%s: told %q, want %q", what, l.list, want)
	}
	l.list = nil
}

// watched is a watch whose events go to the log.
func (l *eventLog) watched(node string, from pep.Senders) pep.Watch {
	return pep.Watch{Node: node, From: from, Payload: xml.Name{Space: "urn:x:note", Local: "note"}, Handle: l.handle, Wrong: l.wrong}
}

func mustWatch(t testing.TB, c *pep.Client, w pep.Watch) (stop func()) {
	t.Helper()
	stop, err := c.Watch(w)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

// event is a message with an event.
func event(from, inner string) string {
	if from != "" {
		from = " from='" + from + "'"
	}
	return "<message" + from + " to='" + julietFull + "' type='headline' id='e'><event xmlns='http://jabber.org/protocol/pubsub#event'>" + inner + "</event></message>"
}

func itemEvent(from, node, id, text string) string {
	return event(from, "<items node='"+node+"'><item id='"+id+"'>"+string(note(text))+"</item></items>")
}

// romeoIsContact is a roster.
func romeoIsContact(j jid.JID) bool { return j.String() == "romeo@example.net" }

// ways are the two ways in which a client gets events: both must judge alike.
func ways(t *testing.T, o *pep.ClientOptions, f func(t *testing.T, p *played, c *pep.Client)) {
	t.Run("mellium", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, emptyNodes)
			f(t, p, p.client(o))
		})
	})
	t.Run("client session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, emptyNodes)
			c := pep.NewClient(p.s, o)
			t.Cleanup(c.Close)
			cs, err := mux.NewClientSession(t.Context(), p.s, nil, c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cs.Close(nil) })
			go func() { _ = p.s.Serve(cs) }() // ends with the connection
			f(t, p, c)
		})
	})
}

// emptyNodes answers whatever is asked.
func emptyNodes(q clientIQ) string {
	if strings.Contains(q.Inner, "disco#info") {
		return strings.Replace(features(ps+"publish-options"), infoOf, infoOf+"<identity category='pubsub' type='pep'/>", 1)
	}
	return "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>"
}

// TestEventSenders: C-9, C-10, PRV-3: whose events are whose, in either way of getting them.
func TestEventSenders(t *testing.T) {
	t.Parallel()
	own, romeo, tybalt := "juliet@example.net", "romeo@example.net", "tybalt@example.net"
	ways(t, &pep.ClientOptions{Contact: romeoIsContact}, func(t *testing.T, p *played, c *pep.Client) {
		log := new(eventLog)
		mustWatch(t, c, log.watched("private", pep.FromOwn))
		mustWatch(t, c, log.watched("contacts", pep.FromContacts))
		mustWatch(t, c, log.watched("any", pep.FromSubscribed))
		if _, err := c.Subscribe(t.Context(), jid.MustParse(tybalt), "any"); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			node, from string
			taken      bool
		}{
			{"private", "", true},
			{"private", own, true},
			{"private", own + "/other", false},
			{"private", julietFull, false},
			{"private", romeo, false}, // CVE-2023-28686: a contact forges what is private
			{"private", "example.net", false},
			{"private", tybalt, false},
			{"contacts", "", true},
			{"contacts", own, true},
			{"contacts", romeo, true},
			{"contacts", "ROMEO@example.net", true}, // addresses are compared as they are prepared
			{"contacts", romeo + "/orchard", false},
			{"contacts", "room@chat.example.net/romeo", false},
			{"contacts", own + "/other", false},
			{"contacts", tybalt, false},
			{"any", "", true},
			{"any", romeo, true},
			{"any", tybalt, true},
			{"any", tybalt + "/x", false},
			{"any", "paris@example.net", false},
			{"unwatched", "", false},
		} {
			before := c.Stats()
			p.send(itemEvent(tt.from, tt.node, "1", "by "+tt.from))
			what := tt.node + " from " + tt.from
			if tt.taken {
				from := strings.ToLower(tt.from)
				if from == "" {
					from = own
				}
				log.expect(t, what, from+" "+tt.node+" published 1=by "+tt.from)
			} else {
				log.expect(t, what)
			}
			if (before == c.Stats()) != tt.taken {
				t.Errorf("%s: counted %+v", what, c.Stats())
			}
		}
		want := pep.Stats{Resource: 6, Foreign: 5, Unwatched: 1}
		if got := c.Stats(); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
		// A subscription that has ended is none, whoever has ended it.
		p.send(event(tybalt, "<subscription node='any' jid='"+own+"' subscription='none'/>"))
		log.expect(t, "the end", tybalt+" any subscription")
		p.send(itemEvent(tybalt, "any", "1", "x"))
		log.expect(t, "afterwards")
	})
}

// TestEventTwoWatchers: C-9: what one watcher of a node accepts is not told to another who
// does not.
func TestEventTwoWatchers(t *testing.T) {
	t.Parallel()
	ways(t, &pep.ClientOptions{Contact: romeoIsContact}, func(t *testing.T, p *played, c *pep.Client) {
		logs := make(map[pep.Senders]*eventLog)
		for _, from := range []pep.Senders{pep.FromOwn, pep.FromContacts, pep.FromSubscribed} {
			logs[from] = new(eventLog)
			mustWatch(t, c, logs[from].watched("n", from))
		}
		if _, err := c.Subscribe(t.Context(), jid.MustParse("tybalt@example.net"), "n"); err != nil {
			t.Fatal(err)
		}
		for from, least := range map[string]pep.Senders{"juliet@example.net": pep.FromOwn, "romeo@example.net": pep.FromContacts, "tybalt@example.net": pep.FromSubscribed} {
			p.send(itemEvent(from, "n", "1", "x"))
			for accepts, log := range logs {
				if accepts < least {
					log.expect(t, from)
				} else {
					log.expect(t, from, from+" n published 1=x")
				}
			}
		}
	})
}

// TestEventForged: C-8: an event counts only where it stands in the message itself, and
// not in one that is no event.
func TestEventForged(t *testing.T) {
	t.Parallel()
	ways(t, &pep.ClientOptions{Contact: romeoIsContact}, func(t *testing.T, p *played, c *pep.Client) {
		log := new(eventLog)
		mustWatch(t, c, log.watched("private", pep.FromOwn))
		mustWatch(t, c, log.watched("contacts", pep.FromContacts))
		inner := itemEvent("juliet@example.net", "private", "1", "x")
		within := "<forwarded xmlns='urn:xmpp:forward:0'>" + strings.Replace(inner, "<message", "<message xmlns='jabber:client'", 1) + "</forwarded>"
		for name, text := range map[string]string{
			"carbon of another":  "<message from='romeo@example.net'><received xmlns='urn:xmpp:carbons:2'>" + within + "</received></message>",
			"own carbon":         "<message from='juliet@example.net'><sent xmlns='urn:xmpp:carbons:2'>" + within + "</sent></message>",
			"own carbon, nobody": "<message><sent xmlns='urn:xmpp:carbons:2'>" + within + "</sent></message>",
			"archive":            "<message from='juliet@example.net'><result xmlns='urn:xmpp:mam:2' id='1'>" + within + "</result></message>",
			"forwarded":          "<message from='romeo@example.net'>" + within + "</message>",
			"error":              strings.Replace(inner, "headline", "error", 1),
			"presence":           strings.ReplaceAll(strings.ReplaceAll(strings.Replace(inner, " type='headline'", "", 1), "<message", "<presence"), "</message", "</presence"),
			"another namespace":  strings.Replace(inner, "pubsub#event", "pubsub#events", 1),
			"the wrong element":  strings.ReplaceAll(strings.ReplaceAll(inner, "<event", "<events"), "</event", "</events"),
			"no node":            strings.Replace(inner, " node='private'", "", 1),
			"items elsewhere":    strings.Replace(inner, "<items", "<items xmlns='urn:y'", 1),
			"payload decides":    "<message from='juliet@example.net'>" + string(note("x")) + "</message>",
		} {
			p.send(text)
			log.expect(t, name)
		}
		if strings.HasSuffix(t.Name(), "session") { // mellium's mux ends the session
			p.send(strings.Replace(inner, "juliet@example.net'", "a@@b'", 1))
			log.expect(t, "malformed sender")
			if n := c.Stats().Malformed; n != 2 {
				t.Errorf("%d were malformed", n)
			}
		}
		p.send(inner)
		log.expect(t, "genuine", "juliet@example.net private published 1=x")
	})
}

// TestEventPayload: C-11: wrong payloads go to those who want to know of them.
func TestEventPayload(t *testing.T) {
	t.Parallel()
	ways(t, nil, func(t *testing.T, p *played, c *pep.Client) {
		log := new(eventLog)
		w := log.watched("n", pep.FromOwn)
		w.MaxPayload = 100
		mustWatch(t, c, w)
		w.Node, w.Wrong = "quiet", nil
		mustWatch(t, c, w)
		for _, tt := range []struct{ name, payload, want string }{
			{"right", string(note("x")), "juliet@example.net n published 1=x"},
			{"none", "", "juliet@example.net n published 1"},
			{"white space", " \n ", "juliet@example.net n published 1"},
			{"another namespace", "<note xmlns='urn:x:other'/>", "wrong n 1"},
			{"another element", "<notes xmlns='urn:x:note'/>", "wrong n 1"},
			{"that of the event", "<note/>", "wrong n 1"},
			{"two", string(note("x") + note("y")), "wrong n 1"},
			{"text", "x", "wrong n 1"},
			{"too large", string(note(strings.Repeat("x", 100))), "wrong n 1"},
		} {
			p.send(event("", "<items node='n'><item id='1'>"+tt.payload+"</item></items>"))
			log.expect(t, tt.name, tt.want)
			p.send(event("", "<items node='quiet'><item id='1'>"+tt.payload+"</item></items>"))
			if strings.HasPrefix(tt.want, "wrong") {
				log.expect(t, tt.name)
			} else {
				log.expect(t, tt.name, strings.Replace(tt.want, " n ", " quiet ", 1))
			}
		}
		if n := c.Stats().Wrong; n != 12 {
			t.Errorf("%d were wrong", n)
		}
	})
}

// TestEventKinds: C-12, C-14: all kinds of events, in order, with what they say.
func TestEventKinds(t *testing.T) {
	t.Parallel()
	ways(t, nil, func(t *testing.T, p *played, c *pep.Client) {
		var got []pep.Event
		mustWatch(t, c, pep.Watch{Node: "n", Handle: func(_ context.Context, e pep.Event) { got = append(got, e) }})
		p.send(event("", "<items node='n'><item id='a' publisher='romeo@example.net'>"+string(note("x"))+"</item><retract id='b'/><item id='c'/></items>"))
		p.send(event("", "<purge node='n'/>"))
		p.send(event("", "<configuration node='n'><x xmlns='jabber:x:data' type='result'><field var='pubsub#title'><value>T</value></field></x></configuration>"))
		p.send(event("", "<configuration node='n'/>"))
		p.send(event("", "<subscription node='n' jid='juliet@example.net' subscription='pending'/>"))
		p.send(event("", "<delete node='n'><redirect uri='xmpp:x'/></delete>"))
		p.send(event("", "<later node='n'/>"))
		p.send(strings.Replace(itemEvent("", "n", "d", "y"), "</message>", "<delay xmlns='urn:xmpp:delay' stamp='2026-06-01T10:00:00Z'/></message>", 1))
		own := jid.MustParse("juliet@example.net")
		e := pep.Event{From: own, Own: true, Node: "n"}
		with := func(f func(e *pep.Event)) pep.Event {
			e := e
			f(&e)
			return e
		}
		want := []pep.Event{
			with(func(e *pep.Event) {
				e.Item = pep.Published{ID: "a", Publisher: jid.MustParse("romeo@example.net"), Payload: note("x")}
			}),
			with(func(e *pep.Event) { e.Kind, e.Item.ID = pep.ItemRetracted, "b" }),
			with(func(e *pep.Event) { e.Item.ID = "c" }),
			with(func(e *pep.Event) { e.Kind = pep.NodePurged }),
			with(func(e *pep.Event) { e.Kind, e.Config = pep.NodeConfigured, pep.Fields{"title": {"T"}} }),
			with(func(e *pep.Event) { e.Kind, e.Config = pep.NodeConfigured, pep.Fields{} }),
			with(func(e *pep.Event) {
				e.Kind, e.Subscription = pep.SubscriptionChanged, pep.Subscription{Node: "n", JID: own, State: "pending"}
			}),
			with(func(e *pep.Event) { e.Kind, e.Redirect = pep.NodeDeleted, "xmpp:x" }),
			with(func(e *pep.Event) {
				e.Item, e.At = pep.Published{ID: "d", Payload: note("y")}, time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC)
			}),
		}
		synctest.Wait()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// TestEventKnown: C-13, C-14: what says nothing new is marked, for each watcher and item.
func TestEventKnown(t *testing.T) {
	t.Parallel()
	ways(t, &pep.ClientOptions{Contact: romeoIsContact}, func(t *testing.T, p *played, c *pep.Client) {
		log := new(eventLog)
		mustWatch(t, c, log.watched("n", pep.FromContacts))
		again := func(text string) string {
			return strings.Replace(text, "</message>", "<delay xmlns='urn:xmpp:delay' stamp='2026-06-01T10:00:00Z'/></message>", 1)
		}
		romeo := "romeo@example.net"
		for _, s := range []struct{ in, want string }{
			{itemEvent(romeo, "n", "1", "x"), " published 1=x"},
			{again(itemEvent(romeo, "n", "1", "x")), " published 1=x again known"},
			{itemEvent(romeo, "n", "2", "x"), " published 2=x"},
			{itemEvent(romeo, "n", "1", "y"), " published 1=y"},
			{itemEvent(romeo, "n", "1", "x"), " published 1=x"},
			{event(romeo, "<items node='n'><retract id='1'/></items>"), " retracted 1"},
			{again(itemEvent(romeo, "n", "1", "x")), " published 1=x again"},
			{event(romeo, "<purge node='n'/>"), " purged"},
			{itemEvent(romeo, "n", "2", "x"), " published 2=x"},
		} {
			p.send(s.in)
			synctest.Wait()
			log.mu.Lock()
			// The marks come in no order.
			if got := log.list; len(got) != 1 || len(got[0]) != len(romeo+" n"+s.want) || strings.Contains(got[0], "known") != strings.Contains(s.want, "known") {
				t.Errorf("told %q, want %q", got, romeo+" n"+s.want)
			}
			log.list = nil
			log.mu.Unlock()
		}
		p.send(itemEvent("", "n", "2", "x")) // of another account
		log.expect(t, "own", "juliet@example.net n published 2=x")
		c.Use(p.s) // another session knows what this one knew
		p.send(again(itemEvent(romeo, "n", "2", "x")))
		synctest.Wait()
		if len(log.list) != 1 || !strings.Contains(log.list[0], "known") {
			t.Errorf("told %q", log.list)
		}
	})
}

// TestWatchFeatures: C-7: the list of what is wanted, told once it has settled, and in
// answers to whoever asks.
func TestWatchFeatures(t *testing.T) {
	t.Parallel()
	var c *pep.Client
	var told []string
	o := &pep.ClientOptions{Changed: func() { told = append(told, strings.Join(c.Features(), " ")) }}
	handle := func(context.Context, pep.Event) {}
	ways(t, o, func(t *testing.T, p *played, client *pep.Client) {
		c, told = client, nil
		expect := func(what string, want ...string) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if !slices.Equal(told, want) {
				t.Errorf("%s: told %q, want %q", what, told, want)
			}
			told = nil
		}
		if _, err := c.Watch(pep.Watch{Node: "b"}); err == nil {
			t.Error("a watch without a handler")
		}
		if _, err := c.Watch(pep.Watch{Handle: handle}); err == nil {
			t.Error("a watch without a node")
		}
		stopB := mustWatch(t, c, pep.Watch{Node: "b", Handle: handle})
		mustWatch(t, c, pep.Watch{Node: "a", Handle: handle})
		mustWatch(t, c, pep.Watch{Node: "silent", Silent: true, Handle: handle})
		expect("several at once", "a+notify b+notify")
		again := mustWatch(t, c, pep.Watch{Node: "a", Handle: handle})
		expect("another of the same")
		again()
		expect("and its end")
		stopB()
		mustWatch(t, c, pep.Watch{Node: "b", Handle: handle})
		expect("there and back")
		stopB()
		stopB()
		expect("stopped twice")
	})
}

// TestDiscoAnswered: C-7: service discovery is answered with the list, also where the own
// account, the server or a contact asks by its bare address.
func TestDiscoAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, emptyNodes)
		c := pep.NewClient(p.s, nil)
		t.Cleanup(c.Close)
		cs, err := mux.NewClientSession(t.Context(), p.s, nil, c, disco.New(nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cs.Close(nil) })
		go func() { _ = p.s.Serve(cs) }() // ends with the connection
		mustWatch(t, c, pep.Watch{Node: "urn:x:n", Handle: func(context.Context, pep.Event) {}})
		for _, from := range []string{"", "juliet@example.net", "example.net", "romeo@example.net", "romeo@example.net/x"} {
			attr := ""
			if from != "" {
				attr = " from='" + from + "'"
			}
			p.requests()
			p.send("<iq type='get' id='d'" + attr + " to='" + julietFull + "'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
			l := p.requests()
			if len(l) != 1 || l[0].Type != "result" || l[0].ID != "d" || strings.Count(l[0].Inner, "urn:x:n+notify") != 1 {
				t.Errorf("from %q: answered %+v", from, l)
			}
		}
		// The same for who has mellium's mux.
		m := xmppmux.New(stanza.NSClient, c.Handle())
		for node, want := range map[string]int{"": 1, "https://client.example#ver": 1, "other": 0} {
			n := 0
			err := m.ForFeatures(node, func(f info.Feature) error {
				if f.Var == "urn:x:n+notify" {
					n++
				}
				return nil
			})
			if err != nil || n != want {
				t.Errorf("node %q: %d times, error %v", node, n, err)
			}
		}
	})
}

// tokens are those of a message, for a handler.
type tokens struct {
	xml.TokenReader
	xmlstream.Encoder
}

// TestEventMalformedSender: C-9: who is no address is not the own account, whatever has
// dispatched the message.
func TestEventMalformedSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, emptyNodes).client(nil)
		log := new(eventLog)
		mustWatch(t, c, log.watched("n", pep.FromOwn))
		for from, want := range map[string]string{"a@@b": "", "": "juliet@example.net n published 1=x"} {
			text := itemEvent("juliet@example.net", "n", "1", "x")
			text = strings.Replace(text, "from='juliet@example.net'", "xmlns='jabber:client' from='"+from+"'", 1)
			if err := c.HandleMessage(stanza.Message{}, tokens{xml.NewDecoder(strings.NewReader(text)), nil}); err != nil {
				t.Fatal(err)
			}
			if want == "" {
				log.expect(t, from)
			} else {
				log.expect(t, from, want)
			}
		}
		if n := c.Stats().Malformed; n != 1 {
			t.Errorf("%d were malformed", n)
		}
	})
}
