package smacks_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/smacks"
)

// FI-32: of a hundred messages that were stored for juliet forty are acknowledged, and
// her session ends. The other sixty come again in order, with the times they had; and
// are acknowledged, and are gone.
func TestFI32FlushCut(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			kept := new(offline.Memory)
			s := newSite(t, smacks.Options{Window: time.Minute}, offline.New(kept, nil))
			romeo := s.Connect(t, romeoFull)
			stamps := make(map[string]string)
			for i := range 100 {
				romeo.Send(strings.Replace(chat(fmt.Sprint(i)), "/balcony", "", 1))
				stamps[fmt.Sprint(i)] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
				time.Sleep(time.Second)
			}
			// read is what has come, stamped as it should be.
			read := func(c *muxtest.Client) (ids []string) {
				for _, el := range c.Arrived() {
					e, err := mux.Parse([]byte(el))
					if err != nil || e.Kind() != mux.Message {
						continue
					}
					ids = append(ids, e.ID())
					if want := "stamp='" + stamps[e.ID()] + "'"; strings.Count(el, "<delay ") != 1 || !strings.Contains(el, want) {
						t.Errorf("got %s, want %s", el, want)
					}
				}
				c.Clear()
				return ids
			}
			comes := func() *muxtest.Client {
				c := s.Connect(t, julietFull)
				c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<presence/>")
				s.Settle()
				return c
			}
			juliet := comes()
			if got := read(juliet); len(got) != 100 {
				t.Fatalf("got %q", got)
			}
			juliet.Send(ack("40"))
			s.Settle()
			juliet.Drop()
			if restart {
				s.Restart(smacks.New(&s.store, &s.opt), offline.New(kept, nil))
				s.Settle()
			}
			time.Sleep(time.Minute)
			s.Settle()
			var want []string
			for i := range 60 {
				want = append(want, fmt.Sprint(40+i))
			}
			for _, acks := range []bool{false, true} { // cut once more, without any
				juliet := comes()
				if got := read(juliet); !slices.Equal(got, want) {
					t.Errorf("restart %t: got %q", restart, got)
				}
				if acks {
					juliet.Send(ack("60"))
					s.Settle()
				}
				juliet.Drop()
				time.Sleep(time.Minute)
				s.Settle()
			}
			last := s.Connect(t, julietFull)
			last.Send("<presence/>")
			if got := read(last); len(got) != 0 {
				t.Errorf("once more: %q", got)
			}
		})
	}
}

// FI-34: a client is cut in the middle of the results of a query, and does not come
// back. They are dropped: none is archived, stored or sent back.
func TestFI34ResultsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all, kept := new(archive.Memory), new(safe)
		s := newSite(t, smacks.Options{Window: time.Minute}, archive.New(all, nil), kept)
		romeo := s.Connect(t, romeoFull)
		first := s.Connect(t, julietFull)
		first.Send("<presence/>")
		for i := range 200 {
			romeo.Send(chat(fmt.Sprint(i)))
		}
		s.Settle()
		first.Clear()
		first.Close()
		s.Settle()
		first.Clear()
		archived := func(c *muxtest.Client) (n int) {
			c.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>250</max></set></query></iq>")
			s.Settle()
			for _, el := range c.Arrived() {
				n += strings.Count(el, "<result ")
			}
			return n
		}
		juliet, token := enabled(t, s.Host)
		if n := archived(juliet); n == 0 {
			t.Fatal("there are no results")
		}
		juliet.Clear()
		juliet.Send(ack("100"))
		juliet.Drop()
		time.Sleep(time.Minute)
		s.Settle()
		romeo.ExpectNone()
		if len(kept.ids) != 0 {
			t.Errorf("kept %q", kept.ids)
		}
		resume(t, s.Host, token, "0").Expect(known("1"))
		again := s.Connect(t, julietFull)
		total, n := 0, 1
		for after := ""; n > 0; { // page by page
			again.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max>" + after + "</set></query></iq>")
			s.Settle()
			n = 0
			for _, el := range again.Arrived() {
				if e, err := mux.Parse([]byte(el)); err == nil && e.Kind() == mux.Message {
					n++
					_, id, _ := strings.Cut(el, "<result xmlns='urn:xmpp:mam:2' id='")
					id, _, _ = strings.Cut(id, "'")
					after = "<after>" + id + "</after>"
				}
			}
			again.Clear()
			total += n
		}
		if total != 200 {
			t.Errorf("%d messages are archived", total)
		}
	})
}

// FI-36: a room writes to an occupant whose session waits, and ends. The room is told
// nothing, so that it throws nobody out who has come back meanwhile.
func TestFI36RoomIsNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{Window: time.Minute})
		room := s.DialDomain(t, mux.Server, "rooms.example.org")
		juliet, token := enabled(t, s.Host)
		juliet.Drop()
		for i := range 5 {
			room.Send(fmt.Sprintf("<message from='x@rooms.example.org/R' to='%s' type='groupchat' id='%d'><body>x</body></message>", julietFull, i))
		}
		time.Sleep(time.Minute)
		s.Settle()
		again := s.Connect(t, julietFull) // with the same resource, at once
		again.Send("<presence/>")
		if got := s.Routed("rooms.example.org"); len(got) != 0 {
			t.Errorf("the room was told %q", got)
		}
		room.Send("<message from='x@rooms.example.org/R' to='" + julietFull + "' type='groupchat' id='6'><body>x</body></message>")
		s.Settle()
		if got := again.Arrived(); !contains(got, "id='6'") || contains(got, "id='1'") {
			t.Errorf("got %q", got)
		}
		again.Clear()
		resume(t, s.Host, token, "0").Expect(known("0"))
		if got := s.Routed("rooms.example.org"); len(got) != 0 {
			t.Errorf("the room was told %q", got)
		}
	})
}

// FI-40: what a stream is allowed to, and how well it is secured, is a fact of that
// stream. A session that is resumed has the facts of the new one, never those of an
// older (smacks SM-69).
func TestFI40FactsOfTheNewStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{})
		juliet, token := enabled(t, s.Host)
		juliet.Stream.SetTLS(&tls.ConnectionState{Version: tls.VersionTLS13})
		session := juliet.Session
		if session.Stream().TLS() == nil {
			t.Fatal("the first has no TLS")
		}
		juliet.Drop()
		again := resume(t, s.Host, token, "0")
		again.Expect(resumedWith(token, "0"), ask)
		if session.Stream() != again.Stream || session.Stream().TLS() != nil {
			t.Error("the session has more than its stream")
		}
		// Nor does one that has authenticated as nobody get it.
		st := s.Mux().NewStream(&sunk{}, mux.Client)
		if _, err := st.Bind(t.Context(), nil); err == nil {
			t.Error("bound without an account")
		}
	})
}

// FI-52: a resumption inside SASL2 works, and the connection breaks while success is on
// its way, or before. The same token resumes once more, and what was to come comes.
func TestFI52CutInsideSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{}, new(sasl2))
		romeo := s.Connect(t, romeoFull)
		juliet, token := enabled(t, s.Host)
		romeo.Send(chats(1, 2)...)
		juliet.Drop()
		auth := func(fails bool) *muxtest.Client {
			c := s.Dial(t, "juliet@example.net")
			if fails {
				c.FailWrites(errors.New("reset by peer"))
			}
			c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='X'><resume xmlns='urn:xmpp:sm:3' previd='" + token + "' h='0'/></authenticate>")
			s.Settle()
			return c
		}
		for i := range 4 {
			c := auth(i%2 == 0)
			c.Clear()
			if i%2 == 1 {
				c.Drop()
			}
			s.Settle()
		}
		c := auth(false)
		c.Expect("<success xmlns='urn:xmpp:sasl:2'>"+resumedWith(token, "0")+"</success>", late("1"), late("2"), ask)
		romeo.ExpectNone()
	})
}

// A client is asked about stored messages right behind the last one, so that it can
// leave at once without getting them again (smacks SM-40). A question that is out
// already is answered first.
func TestAskedBehindStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, smacks.Options{}, offline.New(new(offline.Memory), nil))
		romeo := s.Connect(t, romeoFull)
		stored := func(from, to int) {
			for _, el := range chats(from, to) {
				romeo.Send(strings.Replace(el, "/balcony", "", 1))
			}
			s.Settle()
		}
		came := func(c *muxtest.Client) (list []string) {
			for _, el := range c.Arrived() {
				if el == ask {
					list = append(list, "ask")
				} else if e, err := mux.Parse([]byte(el)); err == nil && e.Kind() == mux.Message {
					list = append(list, e.ID())
				}
			}
			c.Clear()
			return list
		}
		stored(1, 3)
		juliet := s.Connect(t, julietFull)
		juliet.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", "<presence/>")
		if got := strings.Join(came(juliet), " "); got != "1 ask 2 3" {
			t.Errorf("got %s", got)
		}
		juliet.Send(ack("1"))
		if got := strings.Join(came(juliet), " "); got != "ask" {
			t.Errorf("got %s when the first is acknowledged", got)
		}
		juliet.Send(ack("3"))
		juliet.Send("<presence><priority>-1</priority></presence>")
		stored(4, 6)
		juliet.Send("<presence/>")
		if got := strings.Join(came(juliet), " "); got != "4 5 6 ask" {
			t.Errorf("got %s", got)
		}
	})
}

// FI-28: of three messages that were stored for juliet two are acknowledged, and the
// server crashes, with that noted in one way or the other. She gets the third, once,
// and then nothing is stored any more (smacks SM-94).
func TestFI28CrashWithStored(t *testing.T) {
	t.Parallel()
	for _, noted := range []string{"in time", "with what she sent", "with what came"} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprint(noted, " ", back), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					kept := new(offline.Memory)
					s := newSite(t, smacks.Options{})
					open := func() {
						s.more = []mux.Extension{offline.New(kept, nil)}
						s.open(t)
					}
					open()
					romeo := s.Connect(t, romeoFull)
					for _, el := range chats(1, 3) {
						romeo.Send(strings.Replace(el, "/balcony", "", 1))
					}
					comes := func() *phone { // enables before what is stored comes
						c, got := s.Connect(t, julietFull), muxtest.Captures{}
						c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
						c.ExpectWith(got, "<enabled xmlns='urn:xmpp:sm:3' id='${id}' resume='true' max='600'/>")
						c.Send("<presence/>")
						s.Settle()
						return &phone{t: t, c: c, token: got["id"]}
					}
					p := comes()
					p.mute = true
					p.read()
					p.want("1", "2", "3")
					p.c.Send(ack("2"))
					switch noted {
					case "in time":
						time.Sleep(time.Second)
					case "with what she sent":
						p.c.Send("<message to='" + romeoFull + "' type='headline'/>")
					case "with what came":
						romeo.Send("<presence to='" + julietFull + "'/>")
					}
					s.Settle()
					romeo.Clear()
					p.c.Clear()
					open()
					p.in, p.seen, p.mute = 2, nil, false
					if back {
						p.back(s)
					} else {
						p = comes()
					}
					p.read()
					time.Sleep(time.Second)
					p.read()
					for len(p.seen) > 1 && p.seen[1] == "" { // presence
						p.seen = p.seen[:1]
					}
					p.want("3")
					p.c.Close()
					for range 2 { // and over another crash
						last := s.Connect(t, "juliet@example.net/garden")
						last.Send("<presence/>")
						s.Settle()
						if got := strings.Join(last.Arrived(), ""); strings.Contains(got, "<message") {
							t.Errorf("once more: %s", got)
						}
						last.Clear()
						open()
					}
				})
			})
		}
	}
}
