package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// app is what uses the client: it notes what it has seen.
type app struct {
	mu      sync.Mutex
	seen    []string
	session *xmpp.Session
	started int
}

// HandleXMPP implements xmpp.Handler.
func (a *app) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	id, typ := "", ""
	for _, attr := range start.Attr {
		switch attr.Name.Local {
		case "id":
			id = attr.Value
		case "type":
			typ = attr.Value
		}
	}
	if _, err := xmlstream.Copy(xmlstream.Discard(), t); err != nil && err != io.EOF {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasPrefix(id, "s") {
		a.seen = append(a.seen, id+typ)
	}
	return nil
}

func (a *app) start(ctx context.Context, s *xmpp.Session) (xmpp.Handler, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.session = s
	a.started++
	_, err := s.Conn().Write([]byte("<presence/>"))
	return a, err
}

// Five stanzas each way, with what could be cut badly.
var (
	fromServer = []string{
		"<message to='" + juliet + "' type='chat' id='s1'><body>Où es-tu, 💌?</body></message>",
		"<presence to='" + juliet + "' id='s2'/>",
		"<iq to='" + juliet + "' type='get' id='s3'><q xmlns='urn:x'/></iq>",
		"<message to='" + juliet + "' type='headline' id='s4'><body>&lt;&amp;&gt;</body></message>",
		"<message to='" + juliet + "' type='chat' id='s5'><x xmlns='urn:x'><y a='&quot;'/></x></message>",
	}
	seenByClient = []string{"s1chat", "s2", "s3get", "s4headline", "s5chat"}
	fromClient   = []string{
		"<message to='" + romeo + "' type='chat' id='c1'><body>Ici, 💌 é</body></message>",
		"<presence to='" + romeo + "' id='c2'/>",
		"<message to='" + romeo + "' type='chat' id='c3'><body><![CDATA[<b>&]]></body></message>",
		"<message to='" + romeo + "' type='chat' id='c4'><x xmlns='urn:x'><y a='&quot;&#233;'/></x></message>",
		"<message to='" + romeo + "' type='chat' id='c5'><body>&lt;&amp;&gt;</body></message>",
	}
	seenByRomeo = []string{"c1", "c2", "s3", "c3", "c4", "c5"} // s3 is the answer
)

// scenario exchanges ten stanzas over connections of which one is cut, and checks
// that each was seen once and in order, and that nothing is left. Before the
// second half the connections are pulled if pull is set. It returns how many bytes
// the connections carried.
func scenario(t *testing.T, c cut, pull bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		a := new(app)
		ended := make(chan error, 1)
		client := smacks.NewClient(address(juliet), s.options())
		go func() { ended <- client.Run(ctx, a.start) }()
		time.Sleep(2 * time.Minute)
		r := s.host.Connect(t, romeo)
		half := func(from, to int) {
			for i := from; i < to; i++ {
				r.Send(fromServer[i])
				if _, err := a.session.Conn().Write([]byte(fromClient[i])); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
		}
		half(0, 3)
		if pull {
			s.pull()
		}
		half(3, 5)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if !slices.Equal(a.seen, seenByClient) {
			t.Errorf("the client has seen %q", a.seen)
		}
		var ids []string
		for _, el := range r.Arrived() {
			p, err := mux.Parse([]byte(el))
			if err != nil {
				t.Fatal(err)
			}
			if p.ID() != "" {
				ids = append(ids, p.ID())
			}
		}
		r.Clear()
		if got := strings.Join(ids, " "); got != strings.Join(seenByRomeo, " ") && got != "c1 c2 c3 s3 c4 c5" {
			t.Errorf("romeo has seen %s", got)
		}
		// At rest both count the same, and nothing is kept (INV-4).
		if n := len(client.Pending()); n != 0 {
			t.Errorf("%d stanzas are not acknowledged", n)
		}
		if n := s.x.Stats(); n.Queued != 0 || n.Waiting != 0 {
			t.Errorf("the server has %+v", n)
		}
		cancel()
		<-ended
		time.Sleep(10 * time.Minute) // if it was the end that was cut
		synctest.Wait()
		if n := len(s.host.Mux().Sessions(mux.MustParseAddress("juliet@example.net"))); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// carried is how many bytes the client reads and writes on a connection, without
// cuts.
func carried(t *testing.T, conn int, pull bool) (read, write int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, cut{})
		ctx, cancel := context.WithCancel(t.Context())
		var wires []*wire
		o := s.options()
		dial := o.Dial
		o.Dial = counting(dial, &wires)
		a := new(app)
		ended := make(chan error, 1)
		client := smacks.NewClient(address(juliet), o)
		go func() { ended <- client.Run(ctx, a.start) }()
		time.Sleep(2 * time.Minute)
		r := s.host.Connect(t, romeo)
		for i := range fromServer {
			if pull && i == 3 {
				s.pull()
			}
			r.Send(fromServer[i])
			if _, err := a.session.Conn().Write([]byte(fromClient[i])); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		cancel()
		<-ended
		synctest.Wait()
		if len(wires) < conn {
			t.Fatalf("%d connections", len(wires))
		}
		read, write = wires[conn-1].in, wires[conn-1].out
	})
	return read, write
}

// TestFI01CutFromServer cuts the first connection after every byte that the client
// reads: in the login, before and inside enabled, in each stanza, and in the
// acknowledgements between them.
func TestFI01CutFromServer(t *testing.T) {
	read, _ := carried(t, 1, false)
	for k := range read {
		scenario(t, cut{conn: 1, after: k}, false)
		if t.Failed() {
			t.Fatalf("cut after byte %d of %d", k, read)
		}
	}
}

// TestFI02CutFromClient does so with what the client writes.
func TestFI02CutFromClient(t *testing.T) {
	_, write := carried(t, 1, false)
	for k := range write {
		scenario(t, cut{conn: 1, writing: true, after: k}, false)
		if t.Failed() {
			t.Fatalf("cut after byte %d of %d", k, write)
		}
	}
}

// TestFI04CutResumption cuts the second connection, which resumes, in each
// direction: inside resume, resumed, what comes again, and behind it.
func TestFI04CutResumption(t *testing.T) {
	read, write := carried(t, 2, true)
	for k := range read {
		scenario(t, cut{conn: 2, after: k}, true)
		if t.Failed() {
			t.Fatalf("cut after byte %d of %d", k, read)
		}
	}
	for k := range write {
		scenario(t, cut{conn: 2, writing: true, after: k}, true)
		if t.Failed() {
			t.Fatalf("cut after byte %d of %d", k, write)
		}
	}
}

// TestFI26CutEnd cuts the end of the client's stream after each of its bytes: just
// the whole of it ends the session.
func TestFI26CutEnd(t *testing.T) {
	const end = "</stream:stream>"
	for k := range len(end) + 1 {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, cut{})
				p := s.raw(t)
				p.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
				p.want("<enabled ")
				p.say("<message to='" + romeo + "'/>" + end[:k])
				if k == len(end) {
					p.want("<a xmlns='urn:xmpp:sm:3' h='1'/></stream:stream>") // smacks SM-37
				}
				_ = p.c.Close() // the connection is cut
				synctest.Wait()
				want := 1
				if k == len(end) {
					want = 0
				}
				if n := s.x.Stats().Waiting; n != want {
					t.Errorf("%d sessions wait, want %d", n, want)
				}
			})
		})
	}
}
