package smacks_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/smacks"
)

// Close ends Run, whatever it is about, and nobody connects again (API-8).
func TestClientCloseEndsRun(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"dialling", "logging in", "serving", "serving, unanswered", "resuming", "waiting"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{})
				ended := make(chan error, 1)
				begin := func() {
					ended <- u.Run(t.Context(), func(_ context.Context, s *xmpp.Session) (xmpp.Handler, error) { return u, nil })
				}
				switch at {
				case "dialling":
					u.net.hang = make(chan struct{})
				case "waiting":
					u.net.setDown(true)
				}
				go begin()
				synctest.Wait()
				switch at {
				case "logging in":
					u.net.last().want("<bind ") // and no answer
				case "serving", "serving, unanswered":
					u.net.last().binds("tok")
				case "resuming":
					s := u.net.last()
					s.binds("tok")
					_ = s.c.Close()
					u.net.last().want("<resume ")
				}
				if at == "serving" {
					go func() {
						s := u.net.last()
						s.want("</stream:stream>")
						_, _ = io.WriteString(s.c, "</stream:stream>")
					}()
				}
				u.Close(time.Second)
				synctest.Wait()
				select {
				case err := <-ended:
					if !errors.Is(err, smacks.ErrDetached) {
						t.Errorf("Run: %v", err)
					}
				default:
					t.Fatal("Run goes on")
				}
				n := len(u.net.all)
				time.Sleep(time.Hour)
				synctest.Wait()
				if len(u.net.all) != n {
					t.Error("it connects once more")
				}

				u.net.setDown(false)
				u.net.hang = nil
				go begin() // as if nothing had been
				u.net.last().binds("tok2")
				u.Detach()
				<-ended
			})
		})
	}
}

// At the end of the server's stream the client says what it has handled, and ends its own
// (SM-37).
func TestClientEndedByServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		s.say("<message id='x'/><message id='y'/>")
		synctest.Wait()
		s.say("</stream:stream>")
		s.want("<a xmlns='urn:xmpp:sm:3' h='2'/></stream:stream>")
	})
}
