package pep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/pep"
)

// TestClientErrors: C-4: every condition is found, and unknown ones are kept.
func TestClientErrors(t *testing.T) {
	t.Parallel()
	names := strings.Fields(`closed-node configuration-required invalid-jid invalid-options invalid-payload invalid-subid item-forbidden
		item-required jid-required max-items-exceeded max-nodes-exceeded node-full nodeid-required not-in-roster-group not-subscribed
		payload-too-big payload-required pending-subscription precondition-not-met presence-subscription-required subid-required
		too-many-subscriptions unsupported unsupported-access-model of-a-later-time`)
	known := []pep.Condition{pep.ErrClosedNode, pep.ErrConfigurationRequired, pep.ErrInvalidJID, pep.ErrInvalidOptions, pep.ErrInvalidPayload,
		pep.ErrInvalidSubID, pep.ErrItemForbidden, pep.ErrItemRequired, pep.ErrJIDRequired, pep.ErrMaxItemsExceeded, pep.ErrMaxNodesExceeded,
		pep.ErrNodeFull, pep.ErrNodeIDRequired, pep.ErrNotInRosterGroup, pep.ErrNotSubscribed, pep.ErrPayloadTooBig, pep.ErrPayloadRequired,
		pep.ErrPendingSubscription, pep.ErrPreconditionNotMet, pep.ErrPresenceRequired, pep.ErrSubIDRequired, pep.ErrTooManySubscriptions,
		pep.ErrUnsupported, pep.ErrUnsupportedAccess, "of-a-later-time"}
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := dial(t, func(clientIQ) string {
			return "<error type='auth' by='example.net'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>No.</text>" +
				"<" + names[n] + " xmlns='http://jabber.org/protocol/pubsub#errors' feature='subscribe'/></error>"
		})
		c := p.client(nil)
		for n = range names {
			_, err := c.Publish(t.Context(), "n", "1", note("x"), nil)
			for i, k := range known {
				if errors.Is(err, k) != (i == n) {
					t.Errorf("%s: is %s: %t", names[n], k, i != n)
				}
			}
			var e *pep.Error
			if !errors.As(err, &e) || string(e.Condition) != names[n] || e.Stanza.Text["en"] != "No." || e.Stanza.Type != stanza.Auth || e.Stanza.By.String() != "example.net" {
				t.Errorf("%s: %+v", names[n], err)
			}
			if !errors.Is(err, stanza.Error{Condition: stanza.NotAuthorized}) || errors.Is(err, stanza.Error{Condition: stanza.Forbidden}) {
				t.Errorf("%s: plain condition of %v", names[n], err)
			}
			if errors.Is(err, pep.UnsupportedFeature("subscribe")) != (names[n] == "unsupported") || errors.Is(err, pep.UnsupportedFeature("purge-nodes")) {
				t.Errorf("%s: feature of %v", names[n], err)
			}
		}
	})
}

// TestClientEnds: C-23: every call ends: with the context, in time, with the session, and
// when the client goes on with another.
func TestClientEnds(t *testing.T) {
	t.Parallel()
	ask := func(ctx context.Context, c *pep.Client) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := c.Publish(ctx, "n", "1", note("x"), nil)
			done <- err
		}()
		return done
	}
	silent := func(clientIQ) string { return "" }
	for _, tt := range []struct {
		name string
		end  func(p *played, c *pep.Client, cancel func())
		want error
	}{
		{"context", func(_ *played, _ *pep.Client, cancel func()) { cancel() }, context.Canceled},
		{"time", func(*played, *pep.Client, func()) { time.Sleep(time.Minute) }, context.DeadlineExceeded},
		{"connection", func(p *played, _ *pep.Client, _ func()) { _ = p.far.Close(); time.Sleep(2 * time.Second) }, pep.ErrDisconnected},
		{"stream", func(p *played, _ *pep.Client, _ func()) {
			p.send("</stream:stream>")
			time.Sleep(2 * time.Second)
		}, pep.ErrDisconnected},
		{"half an answer", func(p *played, _ *pep.Client, _ func()) {
			p.send("<iq type='result' id='" + p.requests()[0].ID + "'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish")
			_ = p.far.Close()
			time.Sleep(2 * time.Second)
		}, pep.ErrDisconnected},
		{"another session", func(p *played, c *pep.Client, _ func()) { c.Use(p.s) }, pep.ErrDisconnected},
		{"close", func(_ *played, c *pep.Client, _ func()) { c.Close() }, pep.ErrDisconnected},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, silent)
			c := p.client(nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := ask(ctx, c)
			synctest.Wait()
			tt.end(p, c, cancel)
			synctest.Wait()
			select {
			case err := <-done:
				if !errors.Is(err, tt.want) || (tt.want == pep.ErrDisconnected) != errors.Is(err, pep.ErrDisconnected) {
					t.Errorf("%s: error %v", tt.name, err)
				}
			default:
				t.Errorf("%s: the call waits", tt.name)
				cancel()
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // what cannot be written
		p := dial(t, silent)
		c := p.client(nil)
		_ = p.s.Close()
		if err := <-ask(t.Context(), c); !errors.Is(err, pep.ErrDisconnected) {
			t.Errorf("closed: error %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // no limit of one's own
		c := dial(t, silent).client(&pep.ClientOptions{Timeout: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if err := <-ask(ctx, c); err != context.DeadlineExceeded || time.Since(start) != time.Hour {
			t.Errorf("error %v after %s", err, time.Since(start))
		}
	})
}

// TestClientAnswers: answers that are none, or by others, and those that are too large.
func TestClientAnswers(t *testing.T) {
	t.Parallel()
	items := func(inner string) string {
		return "<pubsub xmlns='http://jabber.org/protocol/pubsub'>" + inner + "</pubsub>"
	}
	whole := " <iq type='result' id='${id}' from='%s'>" + items("<items node='n'/>") + "</iq>"
	for _, tt := range []struct {
		name, answer string
		of           jid.JID
		want         error
	}{
		{"empty", items("<items node='n'/>"), nobody, nil},
		{"left out", items(""), nobody, nil},
		{"another node", items("<items node='m'/>"), nobody, pep.ErrAnswer},
		{"nothing", " <iq type='result' id='${id}'/>", nobody, pep.ErrAnswer},
		{"by the full address", fmt.Sprintf(whole, julietFull), nobody, nil},
		{"by the bare address", fmt.Sprintf(whole, juliet), nobody, nil},
		{"by the domain", fmt.Sprintf(whole, "example.net"), nobody, nil},
		{"by another resource", fmt.Sprintf(whole, "juliet@example.net/x"), nobody, pep.ErrAnswer},
		{"by somebody", fmt.Sprintf(whole, "tybalt@example.net"), nobody, pep.ErrAnswer},
		{"by who was asked", fmt.Sprintf(whole, "romeo@example.net"), jid.MustParse("romeo@example.net"), nil},
		{"by the own server for another", fmt.Sprintf(whole, "example.net"), jid.MustParse("romeo@example.net"), pep.ErrAnswer},
		{"by nobody for another", strings.Replace(whole, " from='%s'", "", 1), jid.MustParse("romeo@example.net"), pep.ErrAnswer},
		{"an error without a condition", "<error/>", nobody, &pep.Error{}},
		{"an error without anything", " <iq type='error' id='${id}'/>", nobody, &pep.Error{}},
		{"too large", items("<items node='n'>" + strings.Repeat("<item id='1'><a xmlns='urn:x'/></item>", 300) + "</items>"), nobody, pep.ErrTooLarge},
		{"too large a text", items("<items node='n'><item id='1'><a xmlns='urn:x'>" + strings.Repeat("x", 5000) + "</a></item></items>"), nobody, pep.ErrTooLarge},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := dial(t, func(clientIQ) string { return tt.answer })
			c := p.client(&pep.ClientOptions{MaxAnswer: 5000})
			for range 2 { // and the next one is answered too
				_, err := collect(t, c, tt.of, "n", pep.Query{Page: -1})
				var e *pep.Error
				if errors.As(tt.want, &e) {
					if !errors.As(err, &e) {
						t.Errorf("%s: error %v", tt.name, err)
					}
				} else if !errors.Is(err, tt.want) {
					t.Errorf("%s: error %v", tt.name, err)
				}
			}
		})
	}
}

// TestClientPages: C-5: pages of servers that have other habits, and none that goes on
// for ever.
func TestClientPages(t *testing.T) {
	t.Parallel()
	item := func(ids ...string) (b string) {
		for _, id := range ids {
			b += "<item id='" + id + "'><a xmlns='urn:x'/></item>"
		}
		return b
	}
	page := func(items, set string) string {
		if set != "" {
			set = "<set xmlns='http://jabber.org/protocol/rsm'>" + set + "</set>"
		}
		return "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'>" + items + "</items>" + set + "</pubsub>"
	}
	for _, tt := range []struct {
		name  string
		pages []string
		want  []string
		err   error
	}{
		{"no pages", []string{page(item("a", "b"), "")}, []string{"a", "b"}, nil},
		{"without numbers", []string{page(item("a"), "<first>1</first><last>1</last>"), page(item("b"), "<first>2</first><last>2</last>"), page("", "")}, []string{"a", "b"}, nil},
		{"with numbers", []string{page(item("a"), "<first index='0'>1</first><last>1</last><count>2</count>"), page(item("b"), "<first index='1'>2</first><last>2</last><count>2</count>")}, []string{"a", "b"}, nil},
		{"a count only", []string{page("", "<count>0</count>")}, nil, nil},
		{"for ever", []string{page(item("a"), "<first>1</first><last>1</last>"), page(item("a"), "<first>1</first><last>1</last>")}, []string{"a", "a"}, pep.ErrAnswer},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			p := dial(t, func(q clientIQ) string {
				if n == len(tt.pages) {
					return ""
				}
				n++
				return tt.pages[n-1]
			})
			c := p.client(nil)
			got, err := collect(t, c, jid.MustParse("romeo@example.net"), "n", pep.Query{})
			if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("%s: got %v, error %v", tt.name, got, err)
			}
			if n != len(tt.pages) {
				t.Errorf("%s: asked for %d pages", tt.name, n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // pages are not asked of who does not offer them
		p := dial(t, func(q clientIQ) string {
			if strings.Contains(q.Inner, "disco#info") {
				return strings.Replace(features(ps+"publish-options"), infoOf, infoOf+"<identity category='pubsub' type='pep'/>", 1)
			}
			return page(item("a"), "")
		})
		if got, err := collect(t, p.client(nil), nobody, "n", pep.Query{}); err != nil || !slices.Equal(got, []string{"a"}) {
			t.Errorf("got %v, error %v", got, err)
		}
		if l := p.requests(); len(l) != 2 || strings.Contains(l[1].Inner, "rsm") || !strings.Contains(l[1].Inner, "items") {
			t.Errorf("asked %v", l)
		}
	})
}
