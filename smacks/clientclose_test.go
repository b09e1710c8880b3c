package smacks_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/smacks"
)

// running is a Run that is to be ended while it is about something.
type running struct {
	*user
	t     *testing.T
	ended chan error
}

// moments are what it can be about.
var moments = []string{"dialling", "logging in", "serving", "resuming", "waiting"}

func (r *running) run() {
	r.ended <- r.Run(r.t.Context(), func(_ context.Context, s *xmpp.Session) (xmpp.Handler, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.session = s
		return r.user, nil
	})
}

// runs has Run be about that; token is that of its session, if there is one.
func runs(t *testing.T, at string) (r *running, token string) {
	r = &running{newUser(t, smacks.ClientOptions{}), t, make(chan error, 1)}
	switch at {
	case "dialling":
		r.net.hang = make(chan struct{})
	case "waiting":
		r.net.setDown(true)
	}
	go r.run()
	synctest.Wait()
	switch at {
	case "logging in":
		r.net.last().want("<bind ") // and no answer
	case "serving":
		r.net.last().binds("tok")
		token = "tok"
	case "resuming":
		s := r.net.last()
		s.binds("tok")
		_ = s.c.Close()
		r.net.last().want("<resume ")
		token = "tok"
	}
	return r, token
}

// over: Run has ended, and nobody connects again until it is called again, which it is then.
func (r *running) over() {
	r.t.Helper()
	synctest.Wait()
	select {
	case err := <-r.ended:
		if !errors.Is(err, smacks.ErrDetached) {
			r.t.Errorf("Run: %v", err)
		}
	default:
		r.t.Fatal("Run goes on")
	}
	n := len(r.net.all)
	time.Sleep(time.Hour)
	synctest.Wait()
	if len(r.net.all) != n {
		r.t.Error("it connects once more")
	}
	r.net.setDown(false)
	r.net.hang = nil
	go r.run()
}

// Detach ends Run, whatever it is about: connecting, logging in, serving, or waiting for
// the next attempt. What can be resumed can be afterwards, by the same client as well.
func TestClientDetachEndsRun(t *testing.T) {
	t.Parallel()
	for _, at := range moments {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, want := runs(t, at)
				state := r.Detach()
				if state == nil && want != "" || state != nil && state.Token != want {
					t.Errorf("state is %+v", state)
				}
				r.over()
				s := r.net.last()
				if want == "" {
					s.binds("tok")
				} else {
					s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok'")
					s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
				}
				s.say("<message id='x'/>" + askedFor)
				s.want("<a xmlns='urn:xmpp:sm:3' h='")
				r.Detach()
				<-r.ended
			})
		})
	}
}

// Close ends Run, whatever it is about and whether the server agrees or not, and nobody
// connects again (API-8). The session is not resumed.
func TestClientCloseEndsRun(t *testing.T) {
	t.Parallel()
	for _, name := range append([]string{"serving, agreed"}, moments...) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at, _, agrees := strings.Cut(name, ", agreed")
				r, _ := runs(t, at)
				if agrees {
					go func() {
						s := r.net.last()
						s.want("</stream:stream>")
						_, _ = io.WriteString(s.c, "</stream:stream>")
					}()
				}
				r.Close(time.Second)
				r.over()
				r.net.last().binds("tok2") // as if nothing had been
				r.Detach()
				<-r.ended
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
