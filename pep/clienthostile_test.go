package pep_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/pep"
)

var romeo = jid.MustParse("romeo@example.net")

// TestClientStalls: C-23: calls end with their contexts, and with the client, also while the
// server stops in the middle of an answer.
func TestClientStalls(t *testing.T) {
	t.Parallel()
	for _, closes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, func(clientIQ) string {
				return " <iq type='result' id='${id}' from='romeo@example.net'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>"
			})
			c := p.client(&pep.ClientOptions{Timeout: -1})
			ended := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				_, err := c.Newest(ctx, romeo, "n")
				ended <- err
			}()
			synctest.Wait()
			want := error(context.DeadlineExceeded)
			if closes {
				c.Close()
				want = pep.ErrDisconnected
			}
			select {
			case err := <-ended:
				if !errors.Is(err, want) {
					t.Errorf("closes %t: error %v", closes, err)
				}
			case <-time.After(2 * time.Hour):
				t.Errorf("closes %t: the call waits", closes)
			}
		})
	}
}

// TestClientUnread: C-23: a call ends with its context while another one is in its way,
// since the server reads no more.
func TestClientUnread(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	p := connect(t, func(clientIQ) string { <-stop; return "" })
	defer close(stop)
	c := p.client(&pep.ClientOptions{Timeout: -1})
	for range 3 {
		go func() { _, _ = c.Newest(t.Context(), romeo, "n") }() // ends with the test
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Newest(ctx, romeo, "n")
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the call waits")
	}
}

// TestClientEndless: C-5: pages that go round, or never end, come to an end.
func TestClientEndless(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(n int) int{
		"the same":       func(int) int { return 1 },
		"two in turn":    func(n int) int { return n % 2 },
		"seven, later":   func(n int) int { return max(n, 50) % 7 },
		"always another": func(n int) int { return n },
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			p := dial(t, func(clientIQ) string {
				if n++; n > 1000 {
					return "<error/>"
				}
				return fmt.Sprintf("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'><item id='a'/></items>"+
					"<set xmlns='http://jabber.org/protocol/rsm'><first>%[1]d</first><last>%[1]d</last><count>99999</count></set></pubsub>", place(n))
			})
			c := p.client(&pep.ClientOptions{MaxPages: 200})
			for _, back := range []bool{false, true} {
				n = 0
				if _, err := collect(t, c, romeo, "n", pep.Query{Backward: back}); !errors.Is(err, pep.ErrAnswer) || n > 200 {
					t.Errorf("%s: %d pages, error %v", name, n, err)
				}
			}
		})
	}
}

// TestEventNames: C-13: what waits is bounded also if it is large in other places than
// payloads.
func TestEventNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, inner := range map[string]string{
		"item":          "<items node='n'><item id='" + long + "'/></items>",
		"retraction":    "<items node='n'><retract id='" + long + "'/></items>",
		"redirection":   "<delete node='n'><redirect uri='" + long + "'/></delete>",
		"configuration": "<configuration node='n'><x xmlns='jabber:x:data' type='result'><field var='pubsub#title'><value>" + long + "</value></field></x></configuration>",
		"subscription":  "<subscription node='n' jid='juliet@example.net' subscription='" + long + "'/>",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, emptyNodes)
			c := p.client(&pep.ClientOptions{MaxEventBytes: 20000})
			block := make(chan struct{})
			n := 0
			mustWatch(t, c, pep.Watch{Node: "n", Handle: func(_ context.Context, e pep.Event) {
				<-block
				if e.Kind != pep.Missed {
					n++
				}
			}})
			for range 20 {
				p.send(event("", inner))
			}
			close(block)
			synctest.Wait()
			if n > 6 || c.Stats().Overflow == 0 {
				t.Errorf("%s: %d waited", name, n)
			}
		})
	}
}

// TestEventOnce: C-12: a message tells one event, and is read once however many it has.
func TestEventOnce(t *testing.T) {
	t.Parallel()
	ways(t, nil, func(t *testing.T, p *played, c *pep.Client) {
		log := new(eventLog)
		mustWatch(t, c, log.watched("n", pep.FromOwn))
		more := "<event xmlns='http://jabber.org/protocol/pubsub#event'/>"
		for from, counted := range map[string]uint64{"juliet@example.net": 1, "": 1} {
			before := c.Stats().Malformed
			p.send(strings.Replace(itemEvent(from, "n", "1", "x"), "</message>", more+more+"</message>", 1))
			log.expect(t, "several by "+from)
			if n := c.Stats().Malformed - before; n != counted {
				t.Errorf("%d were malformed", n)
			}
		}
		p.send(strings.Replace(itemEvent("", "n", "1", "x"), " to='"+julietFull+"' type='headline' id='e'", "", 1))
		log.expect(t, "one without attributes", "juliet@example.net n published 1=x")
	})
}

// TestEventOwnFirst: C-13: whatever contacts send, and however long it keeps handlers
// waiting, the own account's events are handled and none is missed.
func TestEventOwnFirst(t *testing.T) {
	t.Parallel()
	ways(t, &pep.ClientOptions{Contact: func(jid.JID) bool { return true }, MaxEvents: 10}, func(t *testing.T, p *played, c *pep.Client) {
		log := new(eventLog)
		w := log.watched("n", pep.FromContacts)
		w.Handle = func(ctx context.Context, e pep.Event) {
			if !e.Own {
				<-ctx.Done() // as a request to a server that does not answer
				return
			}
			log.handle(ctx, e)
		}
		mustWatch(t, c, w)
		for i := range 100 {
			p.send(itemEvent(fmt.Sprintf("contact%d@example.com", i), "n", "1", "x"))
		}
		p.send(itemEvent("", "n", "1", "x"))
		log.expect(t, "own", "juliet@example.net n published 1=x")
	})
}

// TestBeginTwice: C-15: an event is not overtaken by what was read before it, also if the
// node is being read twice, as when a session takes the place of another.
func TestBeginTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, func(q clientIQ) string {
			if strings.Contains(q.Inner, "disco#info") {
				return emptyNodes(q)
			}
			return ""
		})
		c := p.client(nil)
		log := new(eventLog)
		w := log.watched("n", pep.FromOwn)
		w.Fetch = true
		mustWatch(t, c, w)
		for range 2 {
			go func() { _ = c.Begin(t.Context()) }() // ends with the answers
		}
		synctest.Wait()
		var ids []string
		for _, q := range p.requests() {
			if strings.Contains(q.Inner, "items") {
				ids = append(ids, q.ID)
			}
		}
		answer := func(id string) {
			p.send("<iq type='result' id='" + id + "'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'><item id='1'>" + string(note("old")) + "</item></items></pubsub></iq>")
		}
		answer(ids[0])
		log.expect(t, "the first", "juliet@example.net n published 1=old fetched", "juliet@example.net n read fetched")
		p.send(itemEvent("", "n", "1", "new"))
		answer(ids[1])
		log.expect(t, "the second", "juliet@example.net n published 1=new", "juliet@example.net n read fetched")
	})
}

// TestClientDiscoverLater: C-1: what the server cannot tell now is asked again, and does not
// count as missing: private things would go elsewhere.
func TestClientDiscoverLater(t *testing.T) {
	t.Parallel()
	passing := "<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	for _, failing := range []string{"juliet@example.net", "example.net"} {
		synctest.Test(t, func(t *testing.T) {
			fails := true
			p := dial(t, func(q clientIQ) string {
				switch {
				case q.To == failing && fails:
					return passing
				case q.To == failing:
					return emptyNodes(q)
				}
				return features()
			})
			c := p.client(nil)
			if ok, err := c.KeepsPrivate(t.Context()); err == nil {
				t.Errorf("%s: kept %t without an error", failing, ok)
			}
			fails = false
			if ok, err := c.KeepsPrivate(t.Context()); err != nil || !ok {
				t.Errorf("%s: then %t, error %v", failing, ok, err)
			}
		})
	}
}

// TestClientRepairOnce: C-3: a node that stays as it is, since another program wants it so,
// is changed once, in what differs, and not again.
func TestClientRepairOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dial(t, func(q clientIQ) string {
			switch {
			case strings.Contains(q.Inner, "disco#info"):
				return emptyNodes(q)
			case q.Type == "get":
				return "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='n'><x xmlns='jabber:x:data' type='form'>" +
					"<field var='pubsub#access_model'><value>open</value></field><field var='pubsub#persist_items'><value>1</value></field></x></configure></pubsub>"
			case strings.Contains(q.Inner, "publish"):
				return "<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><precondition-not-met xmlns='http://jabber.org/protocol/pubsub#errors'/></error>"
			}
			return "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'/>"
		})
		c := p.client(nil)
		o := pep.Private()
		o.Repair = pep.RepairNode
		if _, err := c.Publish(t.Context(), "n", "1", note("x"), o); !errors.Is(err, pep.ErrPreconditionNotMet) {
			t.Errorf("error %v", err)
		}
		var publishes, configures int
		for _, q := range p.requests() {
			switch {
			case strings.Contains(q.Inner, "<publish "):
				publishes++
			case q.Type == "set":
				configures++
				if !strings.Contains(q.Inner, "access_model") || strings.Contains(q.Inner, "persist_items") {
					t.Errorf("configured %s", q.Inner)
				}
			}
		}
		if publishes != 2 || configures != 1 {
			t.Errorf("published %d times, configured %d times", publishes, configures)
		}
	})
}
