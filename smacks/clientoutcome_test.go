package smacks_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/smacks"
)

// attributes are those of an element that a test has written, for logins in one step.
func attributes(el string) map[string]string {
	m := make(map[string]string)
	for _, a := range strings.Fields(strings.TrimRight(el, "/>")) {
		if name, value, ok := strings.Cut(a, "="); ok && name != "xmlns" {
			m[name] = strings.Trim(value, "'")
		}
	}
	return m
}

// The result of a connection, by stream features and by a login in one step (API-1).
func TestClientOutcome(t *testing.T) {
	t.Parallel()
	const (
		failed   = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
		failed1  = "<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
		enabled  = "<enabled xmlns='urn:xmpp:sm:3' id='new' resume='true' max='60'/>"
		enabled1 = "<enabled xmlns='urn:xmpp:sm:3' id='new' resume='1'/>"
		acksOnly = "<enabled xmlns='urn:xmpp:sm:3' id='new'/>"
		noID     = "<enabled xmlns='urn:xmpp:sm:3' resume='true' max='60'/>"
		resumed  = "<resumed xmlns='urn:xmpp:sm:3' previd='tok' h='2'/>"
	)
	for _, c := range []struct {
		name           string
		state          bool
		resume, enable string // the server's answers
		want           smacks.Outcome
		token          string // afterwards
	}{
		{"fresh", false, "", enabled, smacks.Outcome{Kind: smacks.OutcomeFresh}, "new"},
		{"fresh, in other letters", false, "", enabled1, smacks.Outcome{Kind: smacks.OutcomeFresh}, "new"},
		{"acknowledgements only", false, "", acksOnly, smacks.Outcome{Kind: smacks.OutcomeAcksOnly}, ""},
		{"refused", false, "", failed, smacks.Outcome{Kind: smacks.OutcomeOff}, ""},
		{"no id", false, "", noID, smacks.Outcome{Kind: smacks.OutcomeOff}, ""},
		{"off", false, "", "", smacks.Outcome{Kind: smacks.OutcomeOff}, ""},
		{"resumed", true, resumed, "", smacks.Outcome{Kind: smacks.OutcomeResumed}, "tok"},
		{"not resumed", true, failed, enabled, smacks.Outcome{Kind: smacks.OutcomeFreshAfterFailedResume, Refused: true}, "new"},
		{"not resumed, and h", true, failed1, enabled, smacks.Outcome{Kind: smacks.OutcomeFreshAfterFailedResume, Refused: true, Handled: 1, HandledKnown: true}, "new"},
		{"not resumed, acknowledgements only", true, failed1, acksOnly, smacks.Outcome{Kind: smacks.OutcomeAcksOnly, Refused: true, Handled: 1, HandledKnown: true}, ""},
		{"not resumed, refused", true, failed, failed, smacks.Outcome{Kind: smacks.OutcomeOff, Refused: true}, ""},
		{"state, off", true, "", "", smacks.Outcome{Kind: smacks.OutcomeOff}, ""},
	} {
		check := func(t *testing.T, u *user, told []smacks.ClientEvent) {
			t.Helper()
			if got := u.Outcome(); got != c.want {
				t.Errorf("outcome is %+v, want %+v", got, c.want)
			}
			want := smacks.Started
			if c.want.Kind == smacks.OutcomeResumed {
				want = smacks.Resumed
			}
			if e := told[len(told)-1]; e.Kind != want || e.Outcome != c.want || e.Session == nil || e.Session != u.session {
				t.Errorf("told %+v", e)
			}
			token := ""
			if s := u.State(); s != nil {
				token = s.Token
			}
			if token != c.token {
				t.Errorf("token is %q, want %q", token, c.token)
			}
		}
		options := func(told *[]smacks.ClientEvent) (o smacks.ClientOptions) {
			o.OnEvent = func(e smacks.ClientEvent) { *told = append(*told, e) }
			if c.state {
				o.State = &smacks.ClientState{JID: jid.MustParse("juliet@example.net/balcony"), Token: "tok", In: 7, Acked: 2}
			}
			return o
		}
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []smacks.ClientEvent
				u := newUser(t, options(&told))
				u.net.plain = c.resume == "" && c.enable == ""
				u.connects()
				s := u.net.last()
				if c.resume != "" {
					s.want("<resume xmlns='urn:xmpp:sm:3' previd='tok' h='7'/>")
					s.say(c.resume)
				}
				if c.resume != resumed {
					s.bound(s.want("<bind "))
				}
				if c.enable != "" {
					s.want("<enable xmlns='urn:xmpp:sm:3' resume='true'")
					s.say(c.enable)
				}
				synctest.Wait()
				check(t, u, told)
			})
		})
		t.Run(c.name+", in one step", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []smacks.ClientEvent
				o := options(&told)
				o.Login = func(_ context.Context, conn net.Conn, addr jid.JID, resume, enable string) (smacks.LoggedIn, error) {
					if c.state != (resume == "<resume xmlns='urn:xmpp:sm:3' previd='tok' h='7'/>") || enable != "<enable xmlns='urn:xmpp:sm:3' resume='true'/>" {
						t.Errorf("to be sent: %q, %q", resume, enable)
					}
					in := smacks.LoggedIn{Conn: conn, JID: jid.MustParse("juliet@example.net/balcony")}
					switch {
					case c.resume == resumed:
						in.Resumed = attributes(c.resume)
					case c.resume != "":
						in.Failed = attributes(c.resume[:strings.Index(c.resume, ">")])
					}
					if strings.HasPrefix(c.enable, "<enabled") {
						in.Enabled = attributes(c.enable)
					}
					return in, nil
				}
				u := newUser(t, o)
				u.connects()
				synctest.Wait()
				check(t, u, told)
				if got := u.net.last().take(); strings.Contains(got, "<enable") {
					t.Errorf("asks once more: %s", got)
				}
			})
		})
	}
}

// A server that enables a resumption and gives no id has done it wrong: nothing is counted
// or kept any more (smacks SM-9), and its questions are not expected (smacks SM-46).
func TestClientEnabledWithoutID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUser(t, smacks.ClientOptions{})
		u.connects()
		s := u.net.last()
		s.bound(s.want("<bind "))
		s.want("<enable ")
		s.say("<enabled xmlns='urn:xmpp:sm:3' resume='true'/>")
		u.send("1", "2", "3", "4", "5", "6")
		if got := s.take(); strings.Contains(got, "<r ") || len(u.Pending()) != 0 || u.State() != nil {
			t.Errorf("said %s, pending are %v", got, u.Pending())
		}
		s.say("<message id='a'/>" + askedFor)
		s.want("<failed xmlns='urn:xmpp:sm:3'><unexpected-request ")
		u.check("seen", &u.seen, "a")
		_ = s.c.Close()
		if err := <-u.served; err == nil {
			t.Error("Serve: no error")
		}
		u.check("events", &u.events, "started", "session lost")
		u.begins("tok") // nothing is sent again, or resumed
		u.net.last().want()
	})
}

// Elements of stream management that are out of place (smacks SM-46). Answers are not
// answered, and the application sees none of them.
func TestClientMisplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const unexpected, bad = "<failed xmlns='urn:xmpp:sm:3'><unexpected-request ", "<failed xmlns='urn:xmpp:sm:3'><bad-request "
		u := newUser(t, smacks.ClientOptions{})
		u.net.plain = true
		s := u.begins("")
		for in, want := range map[string]string{
			askedFor: unexpected, told("0"): unexpected,
			"<x id='x' xmlns='urn:xmpp:sm:3'/>": bad, "<enable id='x' xmlns='urn:xmpp:sm:3'/>": bad,
		} {
			s.say(in)
			if got := s.want(want); strings.Count(got, "<failed ") != 1 {
				t.Errorf("%s: said %s", in, got)
			}
		}
		for _, in := range []string{"enabled", "resumed", "failed"} {
			s.say("<" + in + " id='x' xmlns='urn:xmpp:sm:3'/>")
			s.want()
		}
		u.check("seen", &u.seen)
		go u.Close(time.Second)
		s.want("</stream:stream>")
		s.say(askedFor)
		s.want()
	})
}
