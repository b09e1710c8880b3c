package smacks_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/smacks"
)

func TestClientResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{Seconds: 300})
		s := u.begins("tok")
		u.send("1", "2")
		s.want("id=\"1\"", "id=\"2\"")
		s.say("<message id='a'/><message id='b'/><r xmlns='urn:xmpp:sm:3'/>")
		s.want("<a xmlns='urn:xmpp:sm:3' h='2'/>") // not the one before enabled
		s.say("<a xmlns='urn:xmpp:sm:3' h='1'/><message id='c'/>")
		u.net.setDown(true)
		_ = s.c.Close()
		u.send("3") // works, without a connection
		time.Sleep(3 * time.Second)
		u.net.setDown(false)
		time.Sleep(time.Minute) // the server answers just the second attempt
		s = u.net.last()
		s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='3'/>")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='1'/>")
		s.want("id=\"2\"", "id=\"3\"", "<r xmlns=")
		s.say("<message id='d'/><a xmlns='urn:xmpp:sm:3' h='3'/>")
		u.check("seen", &u.seen, "early", "a", "b", "c", "d")
		u.check("acknowledged", &u.acked, "1", "2", "3")
		u.check("events", &u.events, "started", "detached", "resuming", "resuming", "resumed")
		if where := u.net.where; where[1] != "[2001:db8::1]:5222" || where[2] != "" {
			t.Errorf("connected to %q", where)
		}
		if p := u.Pending(); len(p) != 0 {
			t.Errorf("pending: %v", p)
		}
	})
}

// What a session had when it could not be resumed: what the server says it has had
// is acknowledged, messages are sent again, with the time; requests are not, and
// who waits for their answers is told.
func TestClientCannotResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		u.send("1", "2")
		iq := make(chan error, 1)
		go func() {
			r, err := u.session.SendIQ(t.Context(), stanza.IQ{ID: "q", Type: stanza.GetIQ, To: jid.MustParse("example.net")}.Wrap(nil))
			if err == nil {
				err = r.Close()
			}
			iq <- err
		}()
		acked, dropped := make(chan error, 1), make(chan error, 1)
		synctest.Wait()
		go func() {
			acked <- u.SendAcked(t.Context(), stanza.Message{Type: stanza.NormalMessage}.Wrap(nil))
		}()
		synctest.Wait()
		go func() { dropped <- u.SendAcked(t.Context(), stanza.Presence{}.Wrap(nil)) }()
		synctest.Wait()
		time.Sleep(time.Second)
		_ = s.c.Close()
		s = u.net.last()
		s.want("<resume ")
		s.say("<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		s.binds("other")
		if err := <-u.served; !errors.Is(err, smacks.ErrSessionLost) {
			t.Errorf("Serve: %v", err)
		}
		if err := <-iq; err != nil {
			t.Errorf("SendIQ: %v, want an answer", err)
		}
		u.check("events", &u.events, "started", "detached", "resuming", "session lost")
		u.connects()
		synctest.Wait()
		got := s.take()
		if strings.Contains(got, "id='1'") || !strings.Contains(got, "id='2'") || strings.Count(got, "<delay ") != 2 || strings.Contains(got, "<presence") || strings.Contains(got, "<iq") {
			t.Errorf("sent again: %s", got)
		}
		if err := <-dropped; !errors.Is(err, smacks.ErrDropped) {
			t.Errorf("SendAcked: %v", err)
		}
		s.say("<a xmlns='urn:xmpp:sm:3' h='2'/>")
		if err := <-acked; err != nil {
			t.Errorf("SendAcked: %v", err)
		}
		if len(u.acked) != 3 || u.acked[0] != "1" || u.acked[1] != "2" {
			t.Errorf("acknowledged: %q", u.acked)
		}
		u.check("events", &u.events, "started", "detached", "resuming", "session lost", "started")
		s.say("<message id='a'/>" + askedFor)
		s.want(told("1")) // counting has begun anew
	})
}

func TestClientGoesOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		u.send("1")
		busy := make(chan struct{})
		u.mu.Lock()
		u.busy = busy
		u.mu.Unlock()
		s.say("<message id='a'/><message id='b'/>")
		state := u.Detach()
		if state == nil || state.In != 0 {
			t.Fatalf("state is %+v, want a as not handled yet", state)
		}
		close(busy)
		if err := <-u.served; !errors.Is(err, smacks.ErrDetached) {
			t.Errorf("Serve: %v", err)
		}
		if got := s.take(); strings.Contains(got, "</stream") {
			t.Errorf("detaching says %s", got)
		}
		data, err := state.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		again := new(smacks.ClientState)
		if err := again.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		v := newUser(t, smacks.ClientOptions{State: again})
		v.connects()
		s = v.net.last()
		s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/><message id='a'/>")
		s.want("id=\"1\"", "<r ")
		v.check("seen", &v.seen, "a")
		v.check("events", &v.events, "resuming", "resumed")
		if got := v.session.LocalAddr().String(); got != "juliet@example.net/balcony" {
			t.Errorf("is %s", got)
		}
	})
}

// What a handler is busy with when the connection is lost does not count before it has
// returned, comes again, and is not given to the session twice; what waits behind is.
func TestClientHandlerBusyAtResumption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		busy := make(chan struct{})
		u.mu.Lock()
		u.busy = busy
		u.mu.Unlock()
		s.say("<message id='a'/><message id='b'/><r xmlns='urn:xmpp:sm:3'/>")
		s.want("<a xmlns='urn:xmpp:sm:3' h='0'/>")
		_ = s.c.Close()
		s = u.net.last()
		s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='0'/>")
		s.say("<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='0'/><message id='a'/><message id='b'/>")
		close(busy)
		s.say("<r xmlns='urn:xmpp:sm:3'/>")
		s.want("<a xmlns='urn:xmpp:sm:3' h='2'/>")
		u.check("seen", &u.seen, "early", "a", "b")
	})
}

func TestClientClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		s.say("<message id='a'/>")
		done := make(chan struct{})
		go func() { u.Close(time.Second); close(done) }()
		s.want("<a xmlns='urn:xmpp:sm:3' h='1'/></stream:stream>")
		s.say("<message id='b'/></stream:stream>")
		<-done
		if err := <-u.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		u.check("seen", &u.seen, "early", "a", "b")
		if u.State() != nil {
			t.Error("there is still something to resume")
		}

		// A server that says nothing is not waited for.
		s = u.begins("tok")
		u.Close(time.Second)
		s.want("</stream:stream>")
		if err := <-u.served; !errors.Is(err, smacks.ErrDetached) {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestClientStreamError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		s := u.begins("tok")
		s.say("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
		if err := <-u.served; err == nil || !strings.Contains(err.Error(), "conflict") {
			t.Errorf("Serve: %v", err)
		}
		u.check("events", &u.events, "started", "detached")
	})
}

func TestClientWithoutStreamManagement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		u.net.plain = true
		s := u.begins("")
		u.send("1")
		s.want("id=\"1\"")
		if err := u.SendAcked(t.Context(), stanza.Message{}.Wrap(nil)); err != nil {
			t.Errorf("SendAcked: %v", err)
		}
		s.say("<message id='a'/>")
		u.check("seen", &u.seen, "a")
		_ = s.c.Close()
		if err := <-u.served; err == nil {
			t.Error("Serve: no error")
		}
	})
}

// Acknowledgements without resumption: enabled without a token.
func TestClientAcksOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		u.connects()
		s := u.net.last()
		s.bound(s.want("<bind xmlns="))
		s.say("<enabled xmlns='urn:xmpp:sm:3' id='x'/>")
		u.send("1")
		if state := u.State(); state == nil || state.Token != "" || len(state.Unacked) != 1 {
			t.Errorf("state is %+v, want what is not acknowledged", state)
		}
		_ = s.c.Close()
		if err := <-u.served; err == nil {
			t.Error("Serve: no error")
		}
		u.connects()
		s = u.net.last()
		s.binds("tok")
		s.want("id='1'", "<delay ")
	})
}

func TestClientBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waits []int
		u := newUser(t, smacks.ClientOptions{Backoff: func(failed int, _ error) time.Duration {
			waits = append(waits, failed)
			if failed == 3 {
				return -1
			}
			return time.Second
		}})
		s := u.begins("tok")
		u.net.setDown(true)
		_ = s.c.Close()
		if err := <-u.served; err == nil || errors.Is(err, smacks.ErrSessionLost) {
			t.Errorf("Serve: %v", err)
		}
		if !slices.Equal(waits, []int{1, 2, 3}) {
			t.Errorf("waits after %v", waits)
		}
		u.net.setDown(false)
		u.connects() // the session may still be there
		u.net.last().want("<resume ")
	})
}
