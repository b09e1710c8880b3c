package component_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/component"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const (
	chat      = "chat.example.net"
	romeoFull = "romeo@example.net/orchard"
)

var secret = []byte("a shared secret")

func options() *component.Options {
	return &component.Options{Components: []component.Component{
		{Domain: chat, Secret: secret, Name: "Rooms"}, {Domain: "gateway.example.com", Secret: secret}}}
}

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), NoRecover: true},
			Extensions: func() []mux.Extension { return []mux.Extension{component.New(options())} },
		}
	})
}

// site is a host with components, in a bubble.
type site struct {
	*muxtest.Host
	x *component.Extension
	c *muxtest.Committer
}

func bubble(t *testing.T, o *component.Options, f func(t *testing.T, s *site)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &site{x: component.New(o), c: new(muxtest.Committer)}
		s.Host = muxtest.New(t, &mux.Options{Committer: s.c, NoRecover: true}, writer{}, s.x)
		f(t, s)
	})
}

// writer has each message with a subject write something, so that what it causes
// waits for the commit.
type writer struct{}

func (writer) Name() string { return "writer" }

func (writer) Register(r *mux.Registry) error {
	r.Observe(mux.FromPeer, mux.Message, func(_ context.Context, e *mux.Event) {
		if strings.Contains(string(e.Item.Append(nil, "")), "<subject>") {
			e.Work.Write(func(context.Context, mux.Tx) error { return nil })
		}
	})
	return nil
}

func nothing() error { return nil }

// attach connects a component.
func (s *site) attach(t *testing.T, domain string) *muxtest.Client {
	t.Helper()
	c := s.DialDomain(t, mux.Component, domain)
	if err := s.x.Attach(c.Stream, domain, nothing); err != nil {
		t.Fatal(err)
	}
	return c
}

func message(to, id, child string) string {
	return "<message to='" + to + "' id='" + id + "'>" + child + "</message>"
}

func arrived(id string) string {
	return "<message from='" + romeoFull + "' to='room@" + chat + "' id='" + id + "'>{*}</message>"
}

func bounced(id string) string {
	return "<message type='error' from='room@" + chat + "' to='" + romeoFull + "' id='" + id +
		"'><error type='wait'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
}

// TestForward: everything for the domain goes to the component, requests are
// answered by it alone, and what it says goes by the rules for remote peers.
func TestForward(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		s.AddAccount("juliet@example.net")
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		romeo.Send("<iq type='get' to='"+chat+"' id='1'><x xmlns='urn:example:x'/></iq>", message("room@"+chat, "2", "<body>x</body>"),
			"<presence to='room@"+chat+"/nick'/>", "<iq type='result' to='"+chat+"' id='3'/>")
		rooms.Expect("<iq type='get' from='"+romeoFull+"' to='"+chat+"' id='1'><x xmlns='urn:example:x'/></iq>", arrived("2"),
			"<presence from='"+romeoFull+"' to='room@"+chat+"/nick'/>", "<iq type='result' from='"+romeoFull+"' to='"+chat+"' id='3'/>")
		romeo.ExpectNone()
		rooms.Send("<iq type='result' from='"+chat+"' to='"+romeoFull+"' id='1'/>",
			"<message from='any@"+chat+"/thing' to='"+romeoFull+"' id='4'/>",
			"<message from='"+chat+"' to='ghost@example.net' id='5'><body>x</body></message>",
			"<message from='a@"+chat+"' to='b@"+chat+"' id='6'/>", "<iq type='get' from='"+chat+"' to='example.net' id='7'><x xmlns='urn:example:x'/></iq>",
			"<message from='"+chat+"' to='x@example.org' id='8'/>", "<message from='"+chat+"' to='gateway.example.com' id='9'/>")
		romeo.Expect("<iq type='result' from='"+chat+"' to='"+romeoFull+"' id='1'/>",
			"<message from='any@"+chat+"/thing' to='"+romeoFull+"' id='4'/>")
		got := make(map[string]bool)
		for _, el := range rooms.Arrived() {
			st, err := mux.Parse([]byte(el))
			if err != nil {
				t.Fatal(err)
			}
			got[st.ID()+" "+st.Type()] = true
		}
		if len(got) != 4 || !got["5 error"] || !got["6 "] || !got["7 error"] || !got["9 error"] {
			t.Errorf("the component got %v", got)
		}
		s.ExpectRouted("example.org", "<message from='"+chat+"' to='x@example.org' id='8'/>")
	})
}

// TestAddresses: core-im COMP-2.
func TestAddresses(t *testing.T) {
	for name, tt := range map[string]struct{ el, condition string }{
		"another domain":   {"<message from='romeo@example.net' to='juliet@example.net'/>", "invalid-from"},
		"a subdomain":      {"<message from='x." + chat + "' to='juliet@example.net'/>", "invalid-from"},
		"another's domain": {"<presence from='gateway.example.com' to='juliet@example.net'/>", "invalid-from"},
		"no from":          {"<message to='juliet@example.net'/>", "improper-addressing"},
		"malformed from":   {"<message from='@' to='juliet@example.net'/>", "improper-addressing"},
		"no to":            {"<message from='" + chat + "'/>", "improper-addressing"},
		"no stanza":        {"<handshake/>", "unsupported-stanza-type"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, options(), func(t *testing.T, s *site) {
				s.AddAccount("juliet@example.net")
				c := s.attach(t, chat)
				c.Send(tt.el)
				c.ExpectClosed(tt.condition)
			})
		})
	}
}

// TestNotBeforeCommit: what a stanza says is durable before the component sees it,
// what comes behind it keeps its place, and what failed is never seen.
func TestNotBeforeCommit(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		s.c.Hold()
		romeo.Send(message("room@"+chat, "1", "<subject>x</subject>"))
		romeo.Send(message("room@"+chat, "2", ""))
		rooms.ExpectNone()
		s.c.Release()
		s.Settle()
		rooms.Expect(arrived("1"), arrived("2"))

		s.c.Fail(errors.New("on purpose"))
		romeo.Send(message("room@"+chat, "3", "<subject>x</subject>"))
		s.c.Release()
		s.Settle()
		rooms.ExpectNone()
	})
}

// TestNotBeforeHandshake: what is sent while the handshake is answered comes
// behind the answer.
func TestNotBeforeHandshake(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.DialDomain(t, mux.Component, chat)
		err := s.x.Attach(rooms.Stream, chat, func() error {
			romeo.Send(message("room@"+chat, "1", ""))
			rooms.ExpectNone()
			return rooms.Stream.Conn().Write([]byte("<handshake/>"))
		})
		if err != nil {
			t.Fatal(err)
		}
		rooms.Expect("<handshake/>", arrived("1"))

		broken := errors.New("on purpose")
		gateway := s.DialDomain(t, mux.Component, "gateway.example.com")
		if err := s.x.Attach(gateway.Stream, "gateway.example.com", func() error { return broken }); !errors.Is(err, broken) {
			t.Errorf("error %v, want %v", err, broken)
		}
		s.attach(t, "gateway.example.com") // the name is free
	})
}

// TestBroken: what was written and not sent, what waits behind it and what waits
// for its commit comes back when the connection breaks.
func TestBroken(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		romeo.Send(message("room@"+chat, "sent", ""))
		rooms.Stall()
		long := "<body>" + strings.Repeat("x", 40<<10) + "</body>"
		for i := range 4 {
			romeo.Send(message("room@"+chat, fmt.Sprint(i), long))
		}
		romeo.Send("<presence to='room@"+chat+"/nick'/>", "<iq type='get' to='room@"+chat+"' id='iq'><x xmlns='urn:example:x'/></iq>")
		s.c.Hold()
		romeo.Send(message("room@"+chat, "held", "<subject>x</subject>"))
		rooms.Expect(arrived("sent"), arrived("0"), arrived("1")) // two fill the window
		rooms.ExpectNone()
		rooms.Drop()
		s.x.Detach(rooms.Stream)
		s.x.Detach(rooms.Stream) // once is enough
		s.c.Release()
		s.Settle()
		left := map[string]bool{}
		for _, el := range romeo.Arrived() {
			if !strings.Contains(el, "remote-server-timeout") {
				t.Errorf("got %s", el)
			}
			st, err := mux.Parse([]byte(el))
			if err != nil || left[st.ID()] {
				t.Errorf("twice, or error %v: %s", err, el)
			}
			left[st.ID()] = true
		}
		if len(left) != 6 || !left["0"] || !left["3"] || !left["iq"] || !left["held"] {
			t.Errorf("bounced %v", left)
		}
		romeo.Clear()
		romeo.Send(message("room@"+chat, "later", ""))
		romeo.Expect(bounced("later"))
	})
}

// TestDrained: what waits behind a full window goes on when there is room.
func TestDrained(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		rooms.Stall()
		long := "<body>" + strings.Repeat("x", 70<<10) + "</body>"
		romeo.Send(message("room@"+chat, "1", long), message("room@"+chat, "2", long))
		rooms.Expect(arrived("1"))
		rooms.ExpectNone()
		rooms.Unstall()
		s.x.Drained(rooms.Stream)
		rooms.Expect(arrived("2"))
		rooms.Drop()
		s.x.Detach(rooms.Stream)
		s.Settle()
		romeo.ExpectNone()
		s.x.Drained(rooms.Stream) // too late
	})
}

// TestOverflow: a component that does not read is given up, and nothing is lost.
func TestOverflow(t *testing.T) {
	o := options()
	o.MaxQueue = 20 << 10
	bubble(t, o, func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		rooms.Stall()
		long := "<body>" + strings.Repeat("x", 15<<10) + "</body>"
		const all = 10
		for i := range all {
			romeo.Send(message("room@"+chat, fmt.Sprint(i), long))
		}
		if got := rooms.Arrived(); got[len(got)-1] != muxtest.Dropped {
			t.Errorf("the connection lives: %d elements", len(got))
		}
		s.x.Detach(rooms.Stream)
		s.Settle()
		if got := romeo.Arrived(); len(got) != all {
			t.Errorf("%d came back, want %d", len(got), all)
		}
	})
}

// TestWriteFails: a write that fails is a broken connection.
func TestWriteFails(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		rooms.FailWrites(errors.New("on purpose"))
		romeo.Send(message("room@"+chat, "1", ""))
		rooms.Expect(muxtest.Dropped)
		s.x.Detach(rooms.Stream)
		s.Settle()
		romeo.Expect(bounced("1"))
	})
}

// TestShutdown: after the end of the mux nothing is done any more.
func TestShutdown(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		rooms.Stall()
		romeo.Send(message("room@"+chat, "1", "<body>"+strings.Repeat("x", 70<<10)+"</body>"), message("room@"+chat, "2", ""))
		if err := s.Mux().Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		rooms.Expect(arrived("1"))
		rooms.ExpectClosed("system-shutdown")
		s.x.Detach(rooms.Stream)
		s.Settle()
		romeo.ExpectClosed("system-shutdown")
		romeo.ExpectNone()
	})
}

// TestConflict: the second connection of a component is refused.
func TestConflict(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		second := s.DialDomain(t, mux.Component, chat)
		if err := s.x.Attach(second.Stream, chat, nothing); !errors.Is(err, stream.Conflict) {
			t.Errorf("error %v, want conflict", err)
		}
		s.x.Detach(second.Stream) // was never attached
		romeo.Send(message("room@"+chat, "1", ""))
		rooms.Expect(arrived("1"))
		if err := s.x.Attach(second.Stream, "example.org", nothing); !errors.Is(err, stream.HostUnknown) {
			t.Errorf("error %v, want host-unknown", err)
		}
	})
}

// TestReplace: with the option it takes the place of the first, which is told.
func TestReplace(t *testing.T) {
	o := options()
	o.Replace = true
	bubble(t, o, func(t *testing.T, s *site) {
		romeo, rooms := s.Connect(t, romeoFull), s.attach(t, chat)
		second := s.attach(t, chat)
		rooms.ExpectClosed("conflict")
		romeo.Send(message("room@"+chat, "1", ""))
		second.Expect(arrived("1"))
		s.x.Detach(rooms.Stream)
		romeo.Send(message("room@"+chat, "2", ""))
		second.Expect(arrived("2"))
		romeo.ExpectNone()
	})
}

// TestVerify: the handshake of XEP-0114 §3, whose hash was computed with another
// program.
func TestVerify(t *testing.T) {
	t.Parallel()
	x := component.New(&component.Options{Components: []component.Component{{Domain: chat, Secret: []byte("secret")}}})
	if _, err := mux.New(nil, nil, x); err != nil {
		t.Fatal(err)
	}
	const id, good = "1234", "32532c0f7dbf1253c095b18b18e36d38d94c1256"
	for name, tt := range map[string]struct {
		domain, id, handshake string
		want                  bool
	}{
		"right":          {chat, id, good, true},
		"another stream": {chat, "1235", good, false},
		"upper case":     {chat, id, strings.ToUpper(good), false},
		"cut":            {chat, id, good[:39], false},
		"empty":          {chat, id, "", false},
		"unknown domain": {"example.org", id, good, false},
	} {
		if got := x.Verify(tt.domain, tt.id, tt.handshake); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
	if !x.Known(chat) || x.Known("example.org") {
		t.Error("knows what it should not, or not what it should")
	}
}

func TestDisco(t *testing.T) {
	bubble(t, options(), func(t *testing.T, s *site) {
		s.AddDomain("example.org")
		for domain, want := range map[string]string{"example.net": "chat.example.net Rooms, gateway.example.com ", "example.org": "gateway.example.com "} {
			q := &mux.DiscoQuery{Scope: mux.AtHost, Address: mux.MustParseAddress(domain), Items: true}
			if err := s.Mux().Disco(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, i := range q.Children {
				got = append(got, i.JID.String()+" "+i.Name)
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%s: items %q, want %q", domain, got, want)
			}
		}
		q := &mux.DiscoQuery{Scope: mux.AtHost, Address: mux.MustParseAddress("example.net"), Items: true, Node: "x"}
		if err := s.Mux().Disco(t.Context(), q); err != nil || len(q.Children) > 0 {
			t.Errorf("a node has items %v, error %v", q.Children, err)
		}
	})
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]component.Component{
		"no secret":   {{Domain: chat}},
		"no domain":   {{Secret: secret}},
		"an account":  {{Domain: "a@" + chat, Secret: secret}},
		"given twice": {{Domain: chat, Secret: secret}, {Domain: "CHAT.example.net", Secret: secret}},
	} {
		if _, err := mux.New(nil, nil, component.New(&component.Options{Components: list})); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	h := muxtest.NewHost(t)
	m, err := mux.New(h, nil, component.New(&component.Options{Components: []component.Component{{Domain: muxtest.Domain, Secret: secret}}}))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err == nil {
		t.Error("a served domain: no error")
	}
	if _, err := mux.New(nil, nil, component.New(nil)); err != nil {
		t.Error(err)
	}
}
