package pep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/pep"
)

// TestEventOrder: C-13: handlers may wait and ask, while the session is read; those of one
// node of one account are called in order.
func TestEventOrder(t *testing.T) {
	t.Parallel()
	ways(t, &pep.ClientOptions{Contact: romeoIsContact, Workers: 3}, func(t *testing.T, p *played, c *pep.Client) {
		log := new(eventLog)
		w := log.watched("n", pep.FromContacts)
		w.Handle = func(ctx context.Context, e pep.Event) {
			if e.Own {
				time.Sleep(time.Second)
			}
			if _, err := c.GetConfig(ctx, "n"); err != nil && !errors.Is(err, pep.ErrAnswer) {
				t.Errorf("asking: %v", err)
			}
			log.handle(ctx, e)
		}
		mustWatch(t, c, w)
		for i := range 3 {
			p.send(itemEvent("", "n", fmt.Sprint(i), "x"))
			p.send(itemEvent("romeo@example.net", "n", fmt.Sprint(i), "x"))
		}
		var own, romeo []string
		for i := range 3 {
			own = append(own, fmt.Sprintf("juliet@example.net n published %d=x", i))
			romeo = append(romeo, fmt.Sprintf("romeo@example.net n published %d=x", i))
		}
		log.expect(t, "those of who waits for nobody", romeo...)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		log.expect(t, "those behind the slow one", own...)
	})
}

// TestEventOverflow: C-13: what waits is bounded; the session is read on, and the handler is
// told that something is missing, in its place.
func TestEventOverflow(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*pep.ClientOptions{
		"events": {MaxEvents: 3, Contact: romeoIsContact},
		"octets": {MaxEventBytes: 3 * 280, Contact: romeoIsContact},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, emptyNodes)
			c := p.client(o)
			log := new(eventLog)
			hold := make(chan struct{})
			w := log.watched("n", pep.FromContacts)
			w.Handle = func(ctx context.Context, e pep.Event) {
				<-hold
				log.handle(ctx, e)
			}
			mustWatch(t, c, w)
			for i := range 9 {
				p.send(itemEvent("", "n", fmt.Sprint(i), "x"))
			}
			for i := range 9 {
				p.send(itemEvent("romeo@example.net", "n", fmt.Sprint(i), "x"))
			}
			if n := c.Stats().Overflow; n != 5+5 { // one of each is with its handler
				t.Errorf("%s: %d had no room", name, n)
			}
			close(hold)
			synctest.Wait()
			p.send(itemEvent("", "n", "9", "x"))
			slices.Sort(log.list)
			log.expect(t, name, "juliet@example.net n missed", "juliet@example.net n published 0=x", "juliet@example.net n published 1=x",
				"juliet@example.net n published 2=x", "juliet@example.net n published 3=x", "juliet@example.net n published 9=x",
				"romeo@example.net n missed", "romeo@example.net n published 0=x", "romeo@example.net n published 1=x",
				"romeo@example.net n published 2=x", "romeo@example.net n published 3=x")
		})
	}
}

// TestBegin: C-15: a new session reads what is not sent; nothing older overtakes an event.
func TestBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p *played
		items := "<items node='n'><item id='1'>" + string(note("a")) + "</item><item id='2'>" + string(note("b")) + "</item><item id='3'><x xmlns='urn:x'/></item></items>"
		meanwhile := ""
		p = dial(t, func(q clientIQ) string {
			switch {
			case strings.Contains(q.Inner, "disco#info"):
				return emptyNodes(q)
			case strings.Contains(q.Inner, "'gone'") || strings.Contains(q.Inner, `"gone"`):
				return "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
			case strings.Contains(q.Inner, "fails"):
				return "<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
			}
			return " " + meanwhile + "<iq type='result' id='${id}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>" + items + "</pubsub></iq>"
		})
		c := p.client(nil)
		log := new(eventLog)
		for _, node := range []string{"n", "gone", "fails", "sent"} {
			w := log.watched(node, pep.FromOwn)
			w.Fetch = node != "sent"
			mustWatch(t, c, w)
		}
		if err := c.Begin(t.Context()); !errors.Is(err, stanza.Error{Condition: stanza.InternalServerError}) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		slices.Sort(log.list)
		log.expect(t, "first", "juliet@example.net fails unread fetched", "juliet@example.net gone read fetched", "juliet@example.net n published 1=a fetched", "juliet@example.net n published 2=b fetched",
			"juliet@example.net n read fetched", "wrong n 3")
		meanwhile = itemEvent("", "n", "1", "newer")
		_ = c.Begin(t.Context())
		synctest.Wait()
		var got []string
		for _, s := range log.list {
			if strings.Contains(s, " n published") {
				got = append(got, strings.TrimSuffix(strings.TrimSuffix(strings.ReplaceAll(s, " fetched", ""), " known"), " "))
			}
		}
		if want := []string{"juliet@example.net n published 1=newer", "juliet@example.net n published 2=b"}; !slices.Equal(got, want) {
			t.Errorf("with an event meanwhile: told %q, want %q", got, want)
		}
	})
}

// TestFetch: C-12: an item whose event has no payload is read.
func TestFetch(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		t := s.t
		c := s.client(julietFull, nil)
		romeo := s.client("romeo@example.net/orchard", &pep.ClientOptions{Contact: func(j jid.JID) bool { return j.Equal(juliet) }})
		if _, err := c.Publish(t.Context(), "n", "1", note("x"), &pep.NodeOptions{Payloads: pep.No, Access: pep.AccessOpen}); err != nil {
			t.Fatal(err)
		}
		var got []pep.Published
		mustWatch(t, romeo, pep.Watch{Node: "n", From: pep.FromSubscribed, Silent: true, Handle: func(ctx context.Context, e pep.Event) {
			if e.Item.Payload != "" {
				t.Errorf("told %+v", e)
			}
			p, err := romeo.Fetch(ctx, e)
			if err != nil {
				t.Error(err)
			}
			got = append(got, p)
		}})
		s.present(romeo)
		if _, err := romeo.Subscribe(t.Context(), juliet, "n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(got) != 1 || got[0].Payload != note("x") {
			t.Errorf("got %+v", got)
		}
		if p, err := romeo.Fetch(t.Context(), pep.Event{Item: pep.Published{ID: "1", Payload: note("y")}}); err != nil || p.Payload != note("y") {
			t.Errorf("got %+v, error %v", p, err)
		}
	})
}

// TestClose: what waits is dropped, what runs is waited for with its context ended.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, emptyNodes)
		c := p.client(nil)
		n, ended := 0, false
		mustWatch(t, c, pep.Watch{Node: "n", Handle: func(ctx context.Context, _ pep.Event) {
			n++
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
		}})
		p.send(itemEvent("", "n", "1", "x") + itemEvent("", "n", "2", "x"))
		c.Close()
		if !ended {
			t.Error("a handler runs")
		}
		p.send(itemEvent("", "n", "3", "x"))
		if n != 1 {
			t.Errorf("%d were handled", n)
		}
		c.Use(p.s)
		stop := mustWatch(t, c, pep.Watch{Node: "m", Handle: func(context.Context, pep.Event) { n++ }})
		p.send(itemEvent("", "m", "3", "x"))
		stop()
		p.send(itemEvent("", "m", "4", "x"))
		if n != 2 {
			t.Errorf("%d were handled", n)
		}
	})
}

// TestClientTogether: requests at the same time do not disturb one another, though the
// context of each ends with it.
func TestClientTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, emptyNodes).client(nil)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 500 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					_, err := c.Publish(ctx, "n", "1", note("x"), nil)
					cancel()
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
