package pep_test

import (
	"context"
	"errors"
	"fmt"
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
