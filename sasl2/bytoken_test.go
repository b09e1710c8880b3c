package sasl2_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

// letIn tells clients how they were let in.
type letIn struct{ x **sasl2.Extension }

func (letIn) Name() string { return "let in" }

func (l letIn) Register(r *mux.Registry) error {
	r.IQ(mux.AtSelf, stanza.GetIQ, name("urn:test", "how"), func(_ context.Context, e *mux.Event) (xmlstream.Marshaler, error) {
		how := map[bool]mux.Raw{true: "<token xmlns='urn:test'/>", false: "<password xmlns='urn:test'/>"}
		return how[(*l.x).ByToken(e)], nil
	})
	return nil
}

// TestByToken: which sessions nobody has shown the password for, however they were bound;
// who resumes a session counts, not who began it, also after a restart.
func TestByToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var site *site
		l := letIn{new(*sasl2.Extension)}
		site = fasts(t, func(s *setup) {
			withMembers(s)
			s.exts = append(s.exts, l)
			s.mux.Sessions = new(mux.MemorySessions)
		})
		*l.x = site.x
		token, _ := site.issue()
		const (
			bind  = "<bind{bind2}/>"
			older = "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
		)
		byToken := attempt{token: token, children: bind}.text()
		resume := func(p *peer) string {
			id := p.st.Session().ID().String()
			p.stop()
			return "<resume{sm} previd='" + id + "'/>"
		}
		login := func(want string, texts ...string) *peer {
			t.Helper()
			p := site.connect()
			p.run("C: {romeo}\n")
			for _, text := range texts {
				p.send(text)
				p.take()
			}
			p.send("<iq type='get' id='9'><how xmlns='urn:test'/></iq>")
			if got := p.take(); !strings.Contains(got, "<"+want+" xmlns='urn:test'/>") {
				t.Errorf("%q: got %s, want %s", texts, got, want)
			}
			return p
		}
		defer login("password", "{plain}"+bind+"{end}").stop()
		defer login("token", byToken).stop()
		defer login("token", attempt{token: token}.text(), older).stop()
		defer login("password", "{plain}{end}", older).stop()
		defer login("password", "<auth{1} mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>", expand("{romeo}"), older).stop()
		// An attempt that has failed is none.
		defer login("password", attempt{token: "wrong", children: bind}.text(), "{plain}"+bind+"{end}").stop()

		p := login("password", "{plain}{agent}"+bind+"{end}")
		p = login("token", attempt{token: token, children: resume(p)}.text())
		p = login("password", "{plain}"+resume(p)+"{end}")
		p = login("token", attempt{token: token, children: resume(p)}.text())
		again := resume(p)
		site.restart()
		*l.x = site.x
		p = login("password", "{plain}"+again+"{end}")
		again = resume(p)
		site.restart()
		*l.x = site.x
		login("token", attempt{token: token, children: again}.text()).stop()
	})
}
