package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/smacks"
)

// The bot answers each message once, whatever happens to its connection and to the
// server.
func TestBot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, cut{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		bot := smacks.NewClient(address(juliet), s.options())
		go func() { ended <- run(ctx, bot) }()
		synctest.Wait()
		say := func(id string) string {
			return "<message to='" + juliet + "' type='chat' id='" + id + "'><body>" + id + "</body></message>"
		}
		echo := func(id string) string {
			return "<message from='" + juliet + "' to='" + romeo + "' type='chat' id='re-" + id + "'><body>" + id + "</body></message>"
		}
		r := s.host.Connect(t, romeo)
		r.Send(say("1"))
		r.Expect(echo("1"))
		s.pull()
		r.Send(say("2"))
		time.Sleep(time.Minute)
		r.Expect(echo("2"))

		s.restart()
		r = s.host.Connect(t, romeo)
		r.Send(say("3"))
		time.Sleep(time.Minute)
		r.Expect(echo("3"))

		s.open() // the server has crashed
		s.pull()
		r = s.host.Connect(t, romeo)
		r.Send(say("4"), say("5"))
		time.Sleep(time.Minute)
		r.Expect(echo("4"), echo("5"))

		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("got error %v", err)
		}
		synctest.Wait()
		if n := s.x.Stats(); n.Waiting != 0 || n.Queued != 0 {
			t.Errorf("left behind: %+v", n)
		}
		r.ExpectNone()
	})
}
