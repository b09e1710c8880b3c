package smacks_test

import (
	"encoding/xml"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

// The room that is kept for a request is nobody else's.
func TestClientRoomForRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{MaxQueue: 1})
		s := u.begins("tok")
		gate, r := make(chan struct{}), request("1")
		start, _ := r.Token()
		slow := xmlstream.MultiReader(xmlstream.Token(start), xmlstream.ReaderFunc(func() (xml.Token, error) {
			<-gate
			return r.Token()
		}))
		iq := begun(func() error { return u.UnmarshalIQ(t.Context(), slow, nil) }) // is being written
		other := begun(func() error { return u.sends()["Send"](t.Context()) })
		open(t, "the other", other)
		close(gate)
		s.want("1", askedFor)
		open(t, "the other", other)
		s.say(told("1"))
		is(t, "the other", <-other, nil)
		s.want("x")
		s.say(told("2") + "<iq type='error' id='1' from='example.net'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		is(t, "the request", <-iq, stanza.Error{Condition: stanza.Gone})
		u.send("2") // there is room again
		s.want("2")
	})
}

// Requests that wait for their answer go on waiting over a resumption, and end with
// ErrSessionLost when their session is over, in whatever way they were sent and it ended
// (API-3).
func TestClientRequests(t *testing.T) {
	t.Parallel()
	ends := map[string]func(u *user, s *script){
		"not resumed": func(u *user, s *script) {
			_ = s.c.Close()
			s = u.net.last()
			s.want("<resume ")
			s.say("<failed xmlns='urn:xmpp:sm:3'/>")
			s.binds("new")
		},
		"closed": func(_ *user, s *script) { s.say("</stream:stream>") },
		"stream error": func(_ *user, s *script) {
			s.say("<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
		},
		"detached": func(u *user, _ *script) { u.Detach() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUser(t, smacks.ClientOptions{})
				s := u.begins("tok")
				all := map[string]<-chan error{
					"of mellium": begun(func() error { return u.session.UnmarshalIQ(t.Context(), request("1"), nil) }),
					"of ours":    begun(func() error { return u.UnmarshalIQ(t.Context(), request("2"), nil) }),
				}
				answered := begun(func() error { return u.UnmarshalIQ(t.Context(), request("3"), nil) })
				_ = s.c.Close()
				s = u.net.last()
				s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
				s.want("1", "2", "3")
				for what, done := range all {
					open(t, what, done)
				}
				s.say(told("3") + "<iq type='result' id='3' from='example.net'/>")
				is(t, "answered", <-answered, nil)
				end(u, s)
				for what, done := range all {
					is(t, what, <-done, smacks.ErrSessionLost)
				}
				u.check("seen", &u.seen, "early") // nothing but what they waited for
			})
		})
	}
}

// An answer that has come and is not read yet counts, though the session ends.
func TestClientRequestAnsweredAtEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		done := begun(func() error { return u.UnmarshalIQ(t.Context(), request("1"), nil) })
		busy := make(chan struct{})
		u.mu.Lock()
		u.busy = busy
		u.mu.Unlock()
		s.say("<message id='a'/><iq type='result' id='1' from='example.net'/></stream:stream>")
		close(busy)
		is(t, "the request", <-done, nil)
		u.check("seen", &u.seen, "early", "a")
	})
}

// The answer to a request of an earlier process is given to the handler (API-2).
func TestClientAnswersOfAnotherProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		u.begins("tok")
		done := begun(func() error { return u.UnmarshalIQ(t.Context(), request("q"), nil) })
		state := u.Detach()
		is(t, "the request", <-done, smacks.ErrSessionLost)
		v := newUser(t, smacks.ClientOptions{State: state})
		v.connects()
		s := v.net.last()
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		s.want("id=\"q\"", askedFor)
		s.say("<iq type='result' id='q' from='example.net'/>")
		v.check("seen", &v.seen, "q")
	})
}
