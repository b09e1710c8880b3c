package adhoc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/adhoc"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const romeo = "romeo@example.net/orchard"

func yes(*mux.Event) bool { return true }
func no(*mux.Event) bool  { return false }

// greet asks for a name and greets.
func greet(_ context.Context, e *mux.Event, answer map[string][]string) (mux.Raw, bool, error) {
	if answer == nil {
		return "<x xmlns='jabber:x:data' type='form'><field var='name'/></x>", false, nil
	}
	if len(answer["name"]) != 1 {
		return "", false, stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	}
	return mux.Raw("<x xmlns='jabber:x:data' type='result'><field var='text'><value>Hello " + answer["name"][0] + "</value></field></x>"), true, nil
}

func at(_ context.Context, e *mux.Event, _ map[string][]string) (mux.Raw, bool, error) {
	return mux.Raw("<x xmlns='jabber:x:data' type='result'><field var='who'><value>" + e.Account.String() + "</value></field></x>"), true, nil
}

func commands() *adhoc.Extension {
	return adhoc.New(
		adhoc.Command{Node: "greet", Name: "Greet", Allowed: yes, Run: greet},
		adhoc.Command{Node: "who", Name: "Who", Allowed: yes, Run: at},
		adhoc.Command{Node: "secret", Name: "Secret", Allowed: no, Run: at},
	)
}

func refused(app string, typ, condition string) string {
	if app != "" {
		app = "<" + app + " xmlns='" + adhoc.NS + "'/>"
	}
	return "<iq type='error' id='1' from='example.net' to='" + romeo + "'><error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" + app + "</error></iq>"
}

func ask(c *muxtest.Client, attrs, payload string) {
	c.Send("<iq type='set' id='1' to='example.net'><command xmlns='" + adhoc.NS + "' " + attrs + ">" + payload + "</command></iq>")
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, commands())
		c := h.Connect(t, romeo)
		ask(c, "node='who' action='execute'", "")
		c.Expect("<iq type='result' id='1' from='example.net' to='" + romeo + "'><command xmlns='" + adhoc.NS + "' node='who' sessionid='*' status='completed'>" +
			"<x xmlns='jabber:x:data' type='result'><field var='who'><value>romeo@example.net</value></field></x></command></iq>")
		begin := func() string {
			ask(c, "node='greet'", "")
			el := c.Next()
			if !strings.Contains(el, "status='executing'") || !strings.Contains(el, "<actions execute='complete'><complete/></actions>") {
				t.Fatalf("got %s", el)
			}
			_, id, _ := strings.Cut(el, "sessionid='")
			id, _, _ = strings.Cut(id, "'")
			return id
		}
		id := begin()
		submit := "<x xmlns='jabber:x:data' type='submit'><field var='name'><value>Juliet</value></field></x>"
		for _, bad := range []string{"", "<x xmlns='jabber:x:data' type='form'/>"} {
			ask(c, "node='greet' sessionid='"+id+"'", bad)
			c.Expect(refused("bad-payload", "modify", "bad-request"))
		}
		ask(c, "node='greet' sessionid='"+id+"' action='complete'", "<x xmlns='jabber:x:data' type='submit'/>")
		c.Expect(refused("", "modify", "not-acceptable"))
		ask(c, "node='who' sessionid='"+id+"'", submit)
		c.Expect(refused("session-expired", "cancel", "not-allowed"))
		ask(c, "node='greet' sessionid='"+id+"' action='complete'", submit)
		c.Expect("<iq type='result' id='1' from='example.net' to='" + romeo + "'><command xmlns='" + adhoc.NS + "' node='greet' sessionid='" + id + "' status='completed'>" +
			"<x xmlns='jabber:x:data' type='result'><field var='text'><value>Hello Juliet</value></field></x></command></iq>")
		ask(c, "node='greet' sessionid='"+id+"'", submit)
		c.Expect(refused("session-expired", "cancel", "not-allowed"))
		id = begin()
		ask(c, "node='greet' sessionid='"+id+"' action='cancel'", "")
		c.Expect("<iq type='result' id='1' from='example.net' to='" + romeo + "'><command xmlns='" + adhoc.NS + "' node='greet' sessionid='" + id + "' status='canceled'/></iq>")
		id = begin()
		time.Sleep(11 * time.Minute)
		ask(c, "node='greet' sessionid='"+id+"'", submit)
		c.Expect(refused("session-expired", "cancel", "not-allowed"))
		id = begin()
		for range 8 {
			begin()
		}
		ask(c, "node='greet' sessionid='"+id+"'", submit)
		c.Expect(refused("session-expired", "cancel", "not-allowed"))
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, commands())
		c := h.Connect(t, romeo)
		for attrs, want := range map[string]string{
			"node='none'":                  refused("", "cancel", "item-not-found"),
			"":                             refused("", "cancel", "item-not-found"),
			"node='secret'":                refused("", "cancel", "forbidden"),
			"node='who' action='dance'":    refused("malformed-action", "modify", "bad-request"),
			"node='who' action='next'":     refused("bad-action", "modify", "bad-request"),
			"node='who' action='complete'": refused("bad-action", "modify", "bad-request"),
			"node='who' sessionid='&lt;x'": refused("session-expired", "cancel", "not-allowed"),
		} {
			ask(c, attrs, "")
			c.Expect(want)
		}
		peer := h.DialDomain(t, mux.Server, "example.org")
		peer.Send("<iq type='set' id='1' from='tybalt@example.org/street' to='example.net'><command xmlns='" + adhoc.NS + "' node='who'/></iq>")
		h.ExpectRouted("example.org", "<iq type='error' id='1' from='example.net' to='*'><error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	})
}

func TestTwice(t *testing.T) {
	t.Parallel()
	one := adhoc.Command{Node: "who", Allowed: yes, Run: at}
	for _, list := range [][]adhoc.Command{{one, one}, {{Node: "x", Allowed: yes}}} {
		if _, err := mux.New(muxtest.NewHost(t), nil, adhoc.New(list...)); err == nil {
			t.Error("no error")
		}
	}
}

func TestDisco(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, commands())
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || len(q.Features) != 1 || q.Features[0] != adhoc.NS {
		t.Errorf("features %q, error %v", q.Features, err)
	}
	// Who is no user sees none.
	q = &mux.DiscoQuery{Scope: mux.AtHost, Node: adhoc.NS, Items: true}
	if err := errors.Join(h.Mux().Disco(t.Context(), q)); err != nil || !q.Found || len(q.Children) > 0 {
		t.Errorf("items %v, error %v", q.Children, err)
	}
}

func Example() {
	m, err := mux.New(nil, nil, adhoc.New(adhoc.Command{Node: "who", Name: "Who am I?", Allowed: yes, Run: at})) // a real one has a host
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Describe(os.Stdout)
	// Output:
	// AtHost iq set {http://jabber.org/protocol/commands}command: adhoc
	// Disco AtHost: adhoc
}
