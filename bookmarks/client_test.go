package bookmarks_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/bookmarks"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/private"
)

var _ bookmarks.Own = (*pep.Client)(nil)

// names are bookmarks in short: room, name, autojoin, and their extensions.
func names(l []bookmarks.Bookmark) string {
	var out []string
	for _, b := range l {
		s := b.Room + "=" + b.Name
		if b.Autojoin {
			s += "!"
		}
		for _, c := range b.Extensions {
			s += "+" + c.Name.Local
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// kinds are clients whose bookmarks are items, and in private XML.
func kinds(t *testing.T, f func(t *testing.T, s *stage, c *bookmarks.Client)) {
	for _, kind := range []string{"items", "private XML"} {
		t.Run(kind, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				d := s.device(phone)
				var own bookmarks.Own = d.pep
				if kind != "items" {
					own = noItems{d.pep}
				}
				f(t, s, bookmarks.NewClient(own, &bookmarks.ClientOptions{
					GetPrivate: func(ctx context.Context, name xml.Name, v any) error { return private.Get(ctx, d.session, name, v) },
					SetPrivate: func(ctx context.Context, element xmlstream.Marshaler) error {
						return private.Set(ctx, d.session, element)
					},
				}))
			})
		})
	}
}

// noItems is a server that keeps nothing private in nodes.
type noItems struct{ bookmarks.Own }

func (noItems) KeepsPrivate(context.Context) (bool, error) { return false, nil }

// TestClient: bookmarks are read, written and removed; what is unknown stays (C-19,
// BM-1, BM-2).
func TestClient(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s *stage, c *bookmarks.Client) {
		ctx := s.t.Context()
		want := func(want string) {
			t.Helper()
			l, err := c.List(ctx)
			if got := names(l); err != nil || got != want {
				t.Errorf("bookmarks are %s, want %s; %v", got, want, err)
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		want("")
		must(c.Put(ctx, bookmarks.Bookmark{Room: "A@x.example", Name: "A & <B>", Autojoin: true, Nick: "J", Password: "p",
			Extensions: []mux.Child{mux.RawChild(xml.Name{Space: "urn:x", Local: "x"}, "<x xmlns='urn:x'/>")}}))
		must(c.Put(ctx, bookmarks.Bookmark{Room: "b@x.example"}))
		want("a@x.example=A & <B>!+x b@x.example=")
		b, err := c.Get(ctx, "a@X.example")
		if err != nil || b.Nick != "J" || b.Password != "p" {
			t.Errorf("got %v, %v", b, err)
		}

		// Another device has added something meanwhile.
		s.do(func(ctx context.Context, e *mux.Event) {
			must(s.events.PublishItem(ctx, e, bookmarks.NS, "a@x.example", "<conference xmlns='urn:xmpp:bookmarks:1' name='A'><extensions><x xmlns='urn:x'/><y xmlns='urn:y'/></extensions></conference>", nil, false))
			must(s.events.PublishItem(ctx, e, bookmarks.NS, "C@x.example", "<conference xmlns='urn:xmpp:bookmarks:1'/>", nil, false))
		})
		b.Name = "AA"
		must(c.Put(ctx, b))
		want("C@x.example= a@x.example=AA!+x+y b@x.example=")
		must(c.Put(ctx, bookmarks.Bookmark{Room: "c@x.example", Name: "C"}))
		want("C@x.example=C a@x.example=AA!+x+y b@x.example=")
		must(c.Update(ctx, "a@x.example", func(b *bookmarks.Bookmark, exists bool) error {
			if !exists {
				t.Error("it is not there")
			}
			b.Extensions, b.Autojoin, b.Room = nil, false, "z@x.example"
			return nil
		}))
		if err := c.Update(ctx, "a@x.example", func(*bookmarks.Bookmark, bool) error { return errAgain }); !errors.Is(err, errAgain) {
			t.Errorf("got %v", err)
		}
		must(c.Remove(ctx, "c@x.example"))
		must(c.Remove(ctx, "nobody@x.example"))
		l, err := c.List(ctx)
		if err != nil || !strings.Contains(names(l), "b@x.example=") || strings.Contains(names(l), "C@") {
			t.Errorf("bookmarks are %s, %v", names(l), err)
		}
		if _, err := c.Get(ctx, "c@x.example"); !errors.Is(err, bookmarks.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		for _, err := range []error{c.Put(ctx, bookmarks.Bookmark{}), c.Remove(ctx, "@"), func() error { _, err := c.Get(ctx, "a b"); return err }()} {
			if !errors.Is(err, bookmarks.ErrAddress) {
				t.Errorf("got %v", err)
			}
		}
	})
}

var errAgain = errors.New("again")

// TestPutKeeps: what is unknown survives wherever it is, and what could not be read is not
// written over (BM-2, C-19).
func TestPutKeeps(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		ctx := s.t.Context()
		d := s.device(phone)
		c := bookmarks.NewClient(d.pep, nil)
		const room = "A@x.example"
		raw := mux.Raw("<conference xmlns='urn:xmpp:bookmarks:1' name='A' later='1' p:q='2' xmlns:p='urn:p'><nick>J</nick><z xmlns='urn:z'>t<y/></z><extensions e='3'><x xmlns='urn:x' a='b'>c</x></extensions></conference>")
		if err := d.pep.PutOwn(ctx, bookmarks.NS, room, raw); err != nil {
			t.Fatal(err)
		}
		if err := c.Put(ctx, bookmarks.Bookmark{Room: "a@X.example", Name: "B", Nick: "K"}); err != nil {
			t.Error(err)
		}
		var v struct {
			Name  string `xml:"name,attr"`
			Later string `xml:"later,attr"`
			Q     string `xml:"urn:p q,attr"`
			Nick  string `xml:"nick"`
			Z     struct {
				Text string    `xml:",chardata"`
				Y    *struct{} `xml:"urn:z y"`
			} `xml:"urn:z z"`
			Extensions struct {
				E string `xml:"e,attr"`
				X struct {
					A    string `xml:"a,attr"`
					Text string `xml:",chardata"`
				} `xml:"urn:x x"`
			} `xml:"extensions"`
		}
		p, err := d.pep.Item(ctx, jid.JID{}, bookmarks.NS, room)
		if err = errors.Join(err, p.Decode(&v)); err != nil || v.Name != "B" || v.Later != "1" || v.Q != "2" || v.Nick != "K" || v.Z.Text != "t" || v.Z.Y == nil ||
			v.Extensions.E != "3" || v.Extensions.X.A != "b" || v.Extensions.X.Text != "c" {
			t.Errorf("left %s, error %v", p.Payload, err)
		}
		// What cannot be read is not written over.
		if err := d.pep.PutOwn(ctx, bookmarks.NS, "b@x.example", "<x xmlns='urn:x'/>"); err != nil {
			t.Fatal(err)
		}
		if err := c.Put(ctx, bookmarks.Bookmark{Room: "b@x.example"}); !errors.Is(err, bookmarks.ErrNoBookmark) {
			t.Errorf("error %v", err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := c.Put(ended, bookmarks.Bookmark{Room: room}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if again, err := d.pep.Item(ctx, jid.JID{}, bookmarks.NS, room); err != nil || again.Payload != p.Payload {
			t.Errorf("left %s, error %v", again.Payload, err)
		}
	})
}

// TestParallelPuts: calls of one client do not overwrite each other, also where all
// bookmarks are one list.
func TestParallelPuts(t *testing.T) {
	t.Parallel()
	kinds(t, func(t *testing.T, s *stage, c *bookmarks.Client) {
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if err := c.Put(s.t.Context(), bookmarks.Bookmark{Room: fmt.Sprintf("a%d@x.example", i)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if l, err := c.List(s.t.Context()); err != nil || len(l) != 10 {
			t.Errorf("%d bookmarks, %v", len(l), err)
		}
	})
}

// TestUnsupported: without a private place nothing is written anywhere (PRV-2).
func TestUnsupported(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		c := bookmarks.NewClient(noItems{s.device(phone).pep}, nil)
		_, err := c.List(s.t.Context())
		for _, err := range []error{err, c.Put(s.t.Context(), bookmarks.Bookmark{Room: "a@x.example"}), c.Remove(s.t.Context(), "a@x.example")} {
			if !errors.Is(err, bookmarks.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// TestOptions: the node comes to be as XEP-0402 §3.3 says, and one that is more open is
// closed.
func TestOptions(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		c := bookmarks.NewClient(s.device(phone).pep, nil)
		for range 2 {
			if err := c.Put(s.t.Context(), bookmarks.Bookmark{Room: "a@x.example"}); err != nil {
				t.Fatal(err)
			}
			nodes, err := s.nodes.Load(s.t.Context(), juliet)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range nodes {
				if n.Name == bookmarks.NS && (n.Config.Access != "whitelist" || n.Config.SendLast != "never" || n.Config.MaxItems >= 0 || !n.Config.Persist) {
					t.Errorf("the node is %+v", n.Config)
				}
			}
			s.do(func(ctx context.Context, e *mux.Event) {
				if err := s.events.Ensure(ctx, e, bookmarks.NS, map[string][]string{"max_items": {"3"}, "send_last_published_item": {"on_sub"}}); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// record keeps what a watcher was told, in short.
type record struct {
	mu sync.Mutex
	l  []string
}

func (r *record) note(_ context.Context, c bookmarks.Changed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := "leave "
	if c.Join {
		s = "join "
	}
	s += c.Bookmark.Room + "=" + c.Bookmark.Name
	if c.Removed {
		s += " removed"
	}
	if c.Begun {
		s += " begun"
	}
	r.l = append(r.l, s)
}

// take is what was told since.
func (r *record) take() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.l, ", ")
	r.l = nil
	return s
}

// TestWatch: changes by other devices are told as rooms to join and leave, and so is
// what happened while there was no session (BM-3, C-19).
func TestWatch(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		a, b := s.device(phone), s.device(laptop)
		ctx := s.t.Context()
		other := bookmarks.NewClient(b.pep, nil)
		put := func(room, name string, autojoin bool) {
			t.Helper()
			if err := other.Put(ctx, bookmarks.Bookmark{Room: room, Name: name, Autojoin: autojoin}); err != nil {
				t.Error(err)
			}
		}
		put("1@x.example", "one", true)
		put("2@x.example", "two", false)
		r := new(record)
		want := func(want string) {
			t.Helper()
			if got := r.take(); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		stop, err := bookmarks.NewClient(a.pep, nil).Watch(r.note)
		if err != nil {
			t.Fatal(err)
		}
		s.begin(a)
		want("join 1@x.example=one begun, leave 2@x.example=two begun")
		put("2@x.example", "two", true)
		want("join 2@x.example=two")
		put("2@x.example", "two", true)
		want("")
		put("2@x.example", "two", false)
		put("3@x.example", "three", true)
		want("leave 2@x.example=two, join 3@x.example=three")
		if err := other.Remove(ctx, "1@x.example"); err != nil {
			t.Error(err)
		}
		want("leave 1@x.example=one removed")
		if _, err := b.pep.Publish(ctx, bookmarks.NS, "odd@x.example", mux.Raw("<x xmlns='urn:x'/>"), nil); err != nil {
			t.Error(err)
		}
		want("")

		// Another session: what is there and what has gone.
		a.session.Conn().Close()
		synctest.Wait()
		if err := other.Remove(ctx, "2@x.example"); err != nil {
			t.Error(err)
		}
		put("4@x.example", "four", false)
		again := s.device("juliet@example.net/again")
		again.pep.Close()
		a.session = again.session
		a.pep.Use(again.session)
		s.begin(a)
		want("join 3@x.example=three begun, leave 4@x.example=four begun, leave 2@x.example=two removed")
		stop()
	})
}

// TestWatchEnd: when all bookmarks go at once, all rooms are left; when events were missed
// everything is read again.
func TestWatchEnd(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		a := s.device(phone)
		c := bookmarks.NewClient(&missing{Own: a.pep}, nil)
		r := new(record)
		if _, err := c.Watch(r.note); err != nil {
			t.Fatal(err)
		}
		s.begin(a)
		for _, room := range []string{"1@x.example", "2@x.example"} {
			if err := c.Put(s.t.Context(), bookmarks.Bookmark{Room: room}); err != nil {
				t.Error(err)
			}
		}
		if got, want := r.take(), "leave 1@x.example=, leave 2@x.example="; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if err := c.Remove(s.t.Context(), "1@x.example"); err != nil {
			t.Error(err)
		}
		if got, want := r.take(), "leave 1@x.example= removed"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if err := a.pep.DeleteNode(s.t.Context(), bookmarks.NS); err != nil {
			t.Error(err)
		}
		if got, want := r.take(), "leave 2@x.example= removed"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// missing says of every retraction that something was missed.
type missing struct{ bookmarks.Own }

func (m *missing) WatchOwn(node string, payload xml.Name, handle func(ctx context.Context, what, id string, payload mux.Raw)) (func(), error) {
	return m.Own.WatchOwn(node, payload, func(ctx context.Context, what, id string, payload mux.Raw) {
		if what == "retracted" {
			what, id = "missed", ""
		}
		handle(ctx, what, id, payload)
	})
}

// scripted tells what the test says.
type scripted struct {
	bookmarks.Own
	tell func(ctx context.Context, what, id string, payload mux.Raw)
}

func (s *scripted) WatchOwn(_ string, _ xml.Name, handle func(ctx context.Context, what, id string, payload mux.Raw)) (func(), error) {
	s.tell = handle
	return func() {}, nil
}

func (*scripted) EachOwn(context.Context, string, string, func(string, mux.Raw) bool) error {
	return nil
}

// TestWatchUnread: what was read in a session that has ended too early is not there because
// of that.
func TestWatchUnread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own, r := new(scripted), new(record)
		if _, err := bookmarks.NewClient(own, nil).Watch(r.note); err != nil {
			t.Fatal(err)
		}
		for _, s := range [][2]string{{"fetched", "1@x.example"}, {"unread", ""}, {"fetched", "2@x.example"}, {"read", ""}} {
			own.tell(t.Context(), s[0], s[1], "<conference xmlns='urn:xmpp:bookmarks:1'/>")
		}
		if got, want := r.take(), "leave 1@x.example= begun, leave 2@x.example= begun, leave 1@x.example= removed"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}
