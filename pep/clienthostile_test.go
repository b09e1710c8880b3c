package pep_test

import (
	"context"
	"errors"
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
