package mds_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mds"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/peptest"
)

var (
	_ mds.Nodes = (*pep.Extension)(nil)
	_ mds.Own   = (*pep.Client)(nil)

	juliet = mux.MustParseAddress("juliet@example.net")
	romeo  = mux.MustParseAddress("romeo@example.net")
)

// at is a position whose ID is a number, by which the tests' archive orders them.
func at(chat string, n int) mds.Position {
	return mds.Position{Chat: mux.MustParseAddress(chat), By: juliet, ID: strconv.Itoa(n)}
}

// numbers is an archive of messages 1 to 1000 in each chat.
type numbers struct{}

func (numbers) Later(p mds.Position, than string) (later, known bool) {
	n, err := strconv.Atoi(p.ID)
	if err != nil || n > 1000 {
		return false, false
	}
	old, _ := strconv.Atoi(than)
	return n > old, true
}

// server is what a client publishes at.
type server struct {
	assists bool
	slow    time.Duration
	err     error
	start   time.Time

	mu     sync.Mutex
	put    []string
	items  map[string]mux.Raw
	handle func(ctx context.Context, what, id string, payload mux.Raw)
}

func (s *server) Announces(_ context.Context, feature string) (bool, error) {
	return s.assists && feature == mds.NSAssist, s.err
}

func (s *server) EachOwn(_ context.Context, _, _ string, yield func(id string, payload mux.Raw) bool) error {
	for id, p := range s.items {
		yield(id, p)
	}
	return nil
}

func (s *server) PutOwn(_ context.Context, node, id string, payload mux.Raw) error {
	<-time.After(s.slow)
	p, err := mds.Parse(id, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put = append(s.put, fmt.Sprintf("%s %s@%v", p.Chat.Local(), p.ID, time.Since(s.start)))
	return errors.Join(err, s.err)
}

func (s *server) WatchOwn(_ string, _ xml.Name, handle func(ctx context.Context, what, id string, payload mux.Raw)) (func(), error) {
	s.handle = handle
	return func() { s.handle = nil }, nil
}

// take is what was published since, with when.
func (s *server) take() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.put, ", ")
	s.put = nil
	return out
}

// pass lets time pass in the bubble.
func pass(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
}

func bubble(t *testing.T, f func(t *testing.T, s *server, c *mds.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &server{start: time.Now()}
		c := mds.NewClient(s, numbers{}, nil)
		defer c.Close()
		f(t, s, c)
	})
}

// TestCoalesce: of one chat there is at most one publication in a second, and the last
// position is published (C-21).
func TestCoalesce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, c *mds.Client) {
		for i := 1; i <= 25; i++ {
			c.Displayed(at("romeo@example.net", i))
			if i == 3 {
				c.Displayed(at("nurse@example.net", i))
			}
			pass(90 * time.Millisecond)
		}
		pass(time.Minute)
		if got, want := s.take(), "romeo 1@0s, nurse 3@180ms, romeo 12@1s, romeo 23@2s, romeo 25@3s"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		c.Displayed(at("romeo@example.net", 26))
		if got, want := s.take(), "romeo 26@1m2.25s"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

// TestForward: positions move forward only, and messages that the archive does not have
// are no positions (MDS-2, C-21).
func TestForward(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, c *mds.Client) {
		var told []string
		if _, err := c.Watch(func(_ context.Context, p mds.Position) { told = append(told, p.Chat.Local()+" "+p.ID) }); err != nil {
			t.Fatal(err)
		}
		event := func(what, id string) {
			p := mds.Position{Chat: romeo, By: juliet, ID: id}
			s.handle(t.Context(), what, romeo.String(), p.Payload())
		}
		event("fetched", "5")
		event("published", "4")
		event("published", "5")
		event("published", "unknown")
		event("published", "2000")
		event("retracted", "900")
		s.handle(t.Context(), "published", "romeo@example.net", "<x xmlns='urn:x'/>")
		s.handle(t.Context(), "published", "@", "<displayed xmlns='urn:xmpp:mds:displayed:0'/>")
		event("published", "6")
		if got := strings.Join(told, ", "); got != "romeo 5, romeo 6" {
			t.Errorf("told %s", got)
		}
		c.Displayed(at("romeo@example.net", 6))
		c.Displayed(at("romeo@example.net", 3))
		c.Displayed(at("romeo@example.net", 2000))
		if got := s.take(); got != "" {
			t.Errorf("published %s", got)
		}
		c.Displayed(at("romeo@example.net", 7))
		c.Displayed(at("romeo@example.net", 8))
		event("published", "9") // another device is ahead of what is due
		pass(time.Minute)
		if got := s.take(); got != "romeo 7@0s" {
			t.Errorf("published %s", got)
		}
		if p, ok := c.At(romeo); !ok || p.ID != "9" {
			t.Errorf("it is at %v, %v", p, ok)
		}
		if _, ok := c.At(juliet); ok {
			t.Error("there is a position of another chat")
		}
		p := at("romeo@example.net", 30)
		s.items = map[string]mux.Raw{romeo.String(): p.Payload()}
		s.handle(t.Context(), "missed", "", "")
		if p, ok := c.At(romeo); !ok || p.ID != "30" {
			t.Errorf("it is at %v, %v", p, ok)
		}
	})
}

// TestAssist: where the server assists the position goes with the marker, and nothing is
// published; elsewhere it is published (C-21).
func TestAssist(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, c *mds.Client) {
		if _, ok := c.Assist(t.Context(), at("romeo@example.net", 1)); ok {
			t.Error("the server does not assist")
		}
		c.Displayed(at("romeo@example.net", 2))
		s.assists = true
		el, ok := c.Assist(t.Context(), at("romeo@example.net", 3))
		want := "<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.net' id='3'/></displayed>"
		if err := muxtest.Match(want, el.Raw(), nil); !ok || err != nil {
			t.Errorf("got %s, %v; %v", el.Raw(), ok, err)
		}
		if _, ok := c.Assist(t.Context(), at("romeo@example.net", 3)); ok {
			t.Error("that is no news")
		}
		pass(time.Minute)
		if got := s.take(); got != "romeo 1@0s" {
			t.Errorf("published %s", got)
		}
	})
}

// TestFailed: what could not be published is published later, once, by the next position
// or on demand.
func TestFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{start: time.Now(), err: errors.New("offline")}
		var failed atomic.Int32
		c := mds.NewClient(s, numbers{}, &mds.ClientOptions{Failed: func(mds.Position, error) { failed.Add(1) }})
		c.Displayed(at("romeo@example.net", 1))
		c.Displayed(at("nurse@example.net", 1))
		pass(time.Minute)
		if got := failed.Load(); got != 2 {
			t.Errorf("%d failures", got)
		}
		if err := c.Flush(t.Context()); err == nil {
			t.Error("no error")
		}
		s.take()
		s.err = nil
		pass(time.Second) // Flush tried one of the two, and its interval began
		c.Displayed(at("nurse@example.net", 2))
		if got, want := s.take(), "nurse 2@1m1s"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if got, want := s.take(), "romeo 1@1m1s"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		if err := c.Flush(t.Context()); err != nil || s.take() != "" {
			t.Errorf("nothing is due: %v", err)
		}
		c.Close()
	})
}

// TestFlush: what is due is published at once, what is under way is waited for, and what
// comes meanwhile is not lost.
func TestFlush(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, s *server, c *mds.Client) {
		s.slow = 10 * time.Second
		c.Displayed(at("romeo@example.net", 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		c.Displayed(at("romeo@example.net", 2))
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		pass(time.Minute)
		if got, want := s.take(), "romeo 1@10s, romeo 2@20s"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		c.Displayed(at("romeo@example.net", 3))
		c.Displayed(at("romeo@example.net", 4))
		c.Close()
		pass(time.Minute)
		c.Displayed(at("romeo@example.net", 5))
		if got, want := s.take(), "romeo 3@1m30s"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

// TestSessions: in each session all positions are read, and events move them (MDS-2).
func TestSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := peptest.New(t)
		phone, desk := srv.Client("juliet@example.net/phone", nil), srv.Client("juliet@example.net/desk", nil)
		here := mds.NewClient(phone, numbers{}, nil)
		defer here.Close()
		here.Displayed(at("romeo@example.net", 5))
		synctest.Wait()
		there := mds.NewClient(desk, numbers{}, nil)
		defer there.Close()
		var told []string
		if _, err := there.Watch(func(_ context.Context, p mds.Position) { told = append(told, p.Chat.Local()+" "+p.ID) }); err != nil {
			t.Fatal(err)
		}
		session := func(want ...string) {
			t.Helper()
			srv.Present(desk)
			if err := desk.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			if got := strings.Join(told, ", "); got != strings.Join(want, ", ") {
				t.Errorf("told %q, want %q", got, want)
			}
			told = nil
		}
		session("romeo 5")
		here.Displayed(at("romeo@example.net", 7))
		session("romeo 7")
		desk.Close()
		here.Displayed(at("romeo@example.net", 8))
		here.Displayed(at("nurse@example.net", 2))
		pass(time.Minute)
		again := srv.Session("juliet@example.net/again")
		go func() { _ = again.Serve(xmppmux.New(stanza.NSClient, desk.Handle())) }() // ends with the connection
		desk.Use(again)
		if err := desk.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		slices.Sort(told)
		if got := strings.Join(told, ", "); got != "nurse 2, romeo 8" {
			t.Errorf("told %q", got)
		}
	})
}

// TestParse: what an item says (XEP-0490 §4.1).
func TestParse(t *testing.T) {
	t.Parallel()
	const sid = "<stanza-id xmlns='urn:xmpp:sid:0' by='room@chat.example.org' id='a&amp;&apos;'/>"
	displayed := func(inner string) string {
		return "<displayed xmlns='urn:xmpp:mds:displayed:0'>" + inner + "</displayed>"
	}
	for name, tt := range map[string]struct{ chat, payload, want string }{
		"room":            {"room@chat.example.org", displayed(sid), "room@chat.example.org room@chat.example.org a&'"},
		"occupant":        {"room@chat.example.org/nick", displayed("<x/>" + sid), "room@chat.example.org/nick room@chat.example.org a&'"},
		"none":            {"romeo@example.net", displayed(""), ""},
		"two":             {"romeo@example.net", displayed(sid + sid), ""},
		"no id":           {"romeo@example.net", displayed("<stanza-id xmlns='urn:xmpp:sid:0' by='a@b'/>"), ""},
		"by nobody":       {"romeo@example.net", displayed("<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>"), ""},
		"no chat":         {"@", displayed(sid), ""},
		"another element": {"romeo@example.net", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", ""},
		"nothing":         {"romeo@example.net", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := mds.Parse(tt.chat, mux.Raw(tt.payload))
			got := ""
			if err == nil {
				got = fmt.Sprint(p.Chat, " ", p.By, " ", p.ID)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// FuzzParse: what is read is written as it was.
func FuzzParse(f *testing.F) {
	f.Add("romeo@example.net", "<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.net' id='1'/></displayed>")
	f.Add("@", "<d:displayed xmlns:d='urn:xmpp:mds:displayed:0'/>")
	f.Fuzz(func(t *testing.T, chat, payload string) {
		p, err := mds.Parse(chat, mux.Raw(payload))
		if err != nil {
			return
		}
		if again, err := mds.Parse(p.Chat.String(), p.Payload()); err != nil || again != p {
			t.Fatalf("%v became %v, %v", p, again, err)
		}
	})
}
