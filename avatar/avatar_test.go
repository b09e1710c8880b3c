package avatar_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// stage is an assembly with juliet, who is there, and romeo, her contact.
type stage struct {
	*assembly
	t             *testing.T
	h             *muxtest.Host
	commits       *muxtest.Committer
	juliet, romeo *muxtest.Client
}

func play(t *testing.T, opt func(a *assembly), f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newAssembly(t)
		if opt != nil {
			opt(a)
		}
		s := &stage{assembly: a, t: t, commits: new(muxtest.Committer)}
		s.h = muxtest.New(t, &mux.Options{Committer: s.commits, NoRecover: true}, a.extensions()...)
		s.h.AddAccount("juliet@example.net", "romeo@example.net", "nurse@example.net")
		s.juliet, s.romeo = s.h.Connect(t, "juliet@example.net/1"), s.h.Connect(t, "romeo@example.net/1")
		f(s)
	})
}

// sleep lets time pass in the bubble.
func (s *stage) sleep(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
}

const noPhoto = "-"

// photos are the hashes in the presence of juliet's first session that a client got,
// noPhoto where there is none; everything that has arrived is taken.
func (s *stage) photos(c *muxtest.Client) string {
	s.t.Helper()
	var l []string
	for _, el := range c.Arrived() {
		st, err := mux.Parse([]byte(el))
		if err != nil || st.Kind() != mux.Presence || st.From() != addr("juliet@example.net/1") || st.Type() != "" {
			continue
		}
		_, after, ok := strings.Cut(el, "<photo>")
		switch {
		case ok:
			l = append(l, after[:strings.Index(after, "<")])
		case strings.Contains(el, "<photo/>"):
			l = append(l, "none")
		default:
			l = append(l, noPhoto)
		}
	}
	c.Clear()
	return strings.Join(l, " ")
}

func (s *stage) expect(want string) {
	s.t.Helper()
	if got := s.photos(s.romeo); got != want {
		s.t.Errorf("romeo got %q, want %q", got, want)
	}
}

func publishing(node, id, payload, options string) string {
	item := "<item>"
	if id != "" {
		item = "<item id='" + id + "'>"
	}
	if options != "" {
		options = "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>" +
			"<field var='pubsub#access_model'><value>" + options + "</value></field></x></publish-options>"
	}
	return "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='" + node + "'>" + item + payload + "</item></publish>" + options + "</pubsub></iq>"
}

func data(id string, image []byte, options string) string {
	return publishing(avatar.NSData, id, "<data xmlns='urn:xmpp:avatar:data'>"+b64(image)+"</data>", options)
}

func metadata(id, options string) string {
	if id == "" {
		return publishing(avatar.NSMetadata, "", "<metadata xmlns='urn:xmpp:avatar:metadata'/>", options)
	}
	return publishing(avatar.NSMetadata, id, "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='"+id+"' bytes='11' type='image/png'/></metadata>", options)
}

func card(inner string) string {
	return "<iq type='set' id='c'><vCard xmlns='vcard-temp'>" + inner + "</vCard></iq>"
}

func photo(image []byte) string {
	return "<PHOTO><TYPE>image/png</TYPE><BINVAL>" + b64(image) + "</BINVAL></PHOTO>"
}

// card is the card of juliet as somebody sees it, empty if there is none.
func (s *stage) card(c *muxtest.Client) string {
	s.t.Helper()
	c.Clear()
	c.Send("<iq type='get' id='g' to='juliet@example.net'><vCard xmlns='vcard-temp'/></iq>")
	for _, el := range c.Arrived() {
		st, err := mux.Parse([]byte(el))
		if err != nil || st.ID() != "g" {
			continue
		}
		c.Clear()
		if st.Type() == "error" {
			return ""
		}
		return st.Children()[0].Raw()
	}
	s.t.Error("no answer")
	return ""
}

// TestMismatch: an image that is not what its id says is never shown, nor is its id taken
// for a hash (S-24, AV-5, AV-9).
func TestMismatch(t *testing.T) {
	t.Parallel()
	for name, publish := range map[string][]string{
		"another image":  {data(id2, png1, ""), metadata(id2, "")},
		"current":        {data("current", png1, ""), metadata("current", "")},
		"no image":       {publishing(avatar.NSData, id1, "<data xmlns='urn:xmpp:avatar:data'>*</data>", ""), metadata(id1, "")},
		"elsewhere":      {data(id1, png1, ""), publishing(avatar.NSMetadata, id1, "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='"+id1+"' bytes='11' type='image/png' url='https://x/'/></metadata>", "")},
		"no metadata":    {data(id1, png1, ""), publishing(avatar.NSMetadata, id1, "<x xmlns='urn:x'/>", "")},
		"no photo":       {data(id1, png1, ""), publishing(avatar.NSMetadata, id1, "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='"+id1+"' bytes='11' type='video/mp4'/></metadata>", "")},
		"data is gone":   {data(id1, png1, ""), metadata(id1, ""), "<iq type='set' id='r'><pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:avatar:data'><item id='" + id1 + "'/></retract></pubsub></iq>"},
		"node is purged": {data(id1, png1, ""), metadata(id1, ""), "<iq type='set' id='r'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><purge node='urn:xmpp:avatar:data'/></pubsub></iq>"},
		"gone before":    {data(id1, png1, ""), data(id2, png2, ""), metadata(id1, "")},
		"replaced":       {data(id1, png1, ""), metadata(id1, ""), data(id2, png2, "")},
	} {
		play(t, nil, func(s *stage) {
			s.romeo.Send("<presence/>")
			s.juliet.Send(publish...)
			s.juliet.Send("<presence/>")
			if got := s.photos(s.romeo); got != noPhoto {
				t.Errorf("%s: romeo got %q", name, got)
			}
			if got := s.card(s.romeo); got != "" {
				t.Errorf("%s: the card is %s", name, got)
			}
			// As read again, by an account that nobody used.
			s.juliet.Close()
			s.juliet = s.h.Connect(t, "juliet@example.net/1")
			s.romeo.Clear()
			s.juliet.Send("<presence/>")
			if got := s.photos(s.romeo); got != noPhoto {
				t.Errorf("%s: then romeo got %q", name, got)
			}
		})
	}
}

// TestEvery: presence is told again at most every ten seconds, each session's by itself,
// with what is true then (AV-11).
func TestEvery(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send(data(id1, png1, ""), "<presence><show>away</show></presence>")
		other := s.h.Connect(t, "juliet@example.net/2")
		s.expect("none")
		s.juliet.Send(metadata(id1, ""))
		s.expect(id1)
		for range 5 {
			s.juliet.Send(metadata("", ""), data(id2, png2, ""), metadata(id2, ""), metadata("", ""), metadata(id2, ""))
			s.sleep(time.Second)
		}
		s.expect("")
		other.Send("<presence/>") // comes late, and is told of what is true now
		if got := s.photos(other); got != id2 {
			t.Errorf("the other session got %q", got)
		}
		s.romeo.Clear()
		s.sleep(5*time.Second - time.Millisecond)
		s.expect("")
		s.sleep(time.Millisecond)
		s.h.Settle()
		s.expect(id2)
		if got := s.photos(s.juliet); !strings.HasSuffix(got, id2) {
			t.Errorf("juliet got %q", got)
		}
		// Back before the time is over: nothing.
		s.juliet.Send(metadata("", ""), metadata(id2, ""))
		s.sleep(time.Minute)
		s.expect("")
		// What the client has said meanwhile is not said again.
		s.juliet.Send(metadata("", ""))
		s.expect("none")
		s.juliet.Send(metadata(id2, ""), "<presence/>")
		s.expect(id2)
		s.sleep(time.Minute)
		s.expect("")
		// Nobody is told of a session that has gone.
		s.juliet.Send(metadata("", ""))
		s.juliet.Send(metadata(id2, ""))
		s.juliet.Send("<presence type='unavailable'/>")
		s.romeo.Clear()
		s.sleep(time.Minute)
		s.expect("")
		s.juliet.Close()
		s.sleep(time.Minute)
		s.expect("")
	})
	// Nor is anything left to be done after the end of a session, or of the server.
	for _, end := range []func(s *stage){func(s *stage) { s.juliet.Close() }, func(s *stage) { s.h.Restart(s.extensions()...) }} {
		play(t, nil, func(s *stage) {
			s.juliet.Send("<presence/>", data(id1, png1, ""), metadata(id1, ""), metadata("", ""))
			if s.photos(s.juliet) != "none "+id1 || s.made.Waiting() != 1 {
				t.Error("nothing is left to be told")
			}
			made := s.made
			end(s)
			if made.Waiting() != 0 {
				t.Error("something waits for the end")
			}
			s.sleep(time.Minute)
		})
	}
}

// TestReadLater: metadata of an image that was published long before is told when the
// image was read, with commits that take their time too (AV-10).
func TestReadLater(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send(data(id1, png1, ""))
		s.juliet.Close() // what was seen is forgotten
		s.juliet = s.h.Connect(t, "juliet@example.net/1")
		s.romeo.Clear()
		s.juliet.Send("<presence/>")
		s.expect("none")
		s.commits.Hold()
		s.juliet.Send(metadata(id1, ""))
		s.expect("")
		s.commits.Release()
		s.h.Settle()
		s.expect(id1)
	})
	// Everything at once, and nothing written yet when presence is sent.
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.commits.Hold()
		s.juliet.Send(data(id1, png1, ""), metadata(id1, ""), "<presence/>")
		s.commits.Release()
		s.h.Settle()
		s.expect(id1)
	})
	// What is taken back: the one before counts again.
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence/>", data(id1, png1, ""), metadata(id1, ""))
		s.romeo.Clear()
		s.sleep(time.Minute)
		s.juliet.Send("<iq type='set' id='r'><pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:avatar:metadata'><item id='" + id1 + "'/></retract></pubsub></iq>")
		s.h.Settle()
		s.expect("none")
	})
	// A commit that fails: what was told is not known any more, and read again.
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence/>", data(id1, png1, ""), metadata(id1, ""))
		s.romeo.Clear()
		s.commits.Hold()
		s.juliet.Send(metadata("", ""))
		s.commits.Fail(errors.New("on purpose"))
		s.commits.Release()
		s.h.Settle()
		s.juliet = s.h.Connect(t, "juliet@example.net/1")
		s.romeo.Clear()
		s.juliet.Send("<presence/>")
		s.expect(id1)
	})
}

// TestAccess: the image is in the card for those only who may read both nodes (AV-6), and
// where personal eventing speaks no other PHOTO is shown.
func TestAccess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		data, metadata       string
		own, contact, others bool
	}{
		{"open", "open", true, true, true}, {"", "", true, true, false}, {"presence", "open", true, true, false}, {"open", "presence", true, true, false},
		{"whitelist", "open", true, false, false}, {"open", "whitelist", true, false, false},
	} {
		play(t, func(a *assembly) {
			apply(t, a.cards.Set(addr("juliet@example.net"), "<vCard xmlns='vcard-temp'><FN>J</FN>"+photo(png2)+"</vCard>"))
		}, func(s *stage) {
			nurse := s.h.Connect(t, "nurse@example.net/1")
			const plain = "<vCard xmlns='vcard-temp'><FN>J</FN>"
			before := plain + photo(png2) + "</vCard>"
			for _, c := range []*muxtest.Client{s.juliet, s.romeo, nurse} {
				if got := s.card(c); got != before {
					t.Errorf("before: %s", got)
				}
			}
			s.juliet.Send(data(id1, png1, tt.data), metadata(id1, tt.metadata))
			for i, c := range []*muxtest.Client{s.juliet, s.romeo, nurse} {
				want := plain + "</vCard>"
				if []bool{tt.own, tt.contact, tt.others}[i] {
					want = plain + strings.Replace(photo(png1), "<PHOTO>", "<PHOTO xmlns='vcard-temp'>", 1) + "</vCard>"
				}
				if got := s.card(c); got != want {
					t.Errorf("%v, %d: got %s, want %s", tt, i, got, want)
				}
			}
		})
	}
}

// TestOldCard: a card that is kept with its PHOTO counts as long as nothing is published,
// and setting it again publishes it.
func TestOldCard(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		apply(t, a.cards.Set(addr("juliet@example.net"), "<vCard xmlns='vcard-temp'>"+photo(png1)+"</vCard>"))
	}, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence/>")
		s.expect(id1)
		s.juliet.Send(card(photo(png1)))
		s.expect("")
		if kept, err := s.cards.Load(t.Context(), addr("juliet@example.net")); err != nil || kept != "" {
			t.Errorf("kept %q, error %v", kept, err)
		}
		nodes, err := s.nodes.Load(t.Context(), addr("juliet@example.net"))
		if err != nil || len(nodes) != 2 {
			t.Fatalf("%d nodes, error %v", len(nodes), err)
		}
		for _, n := range nodes {
			if n.Config.Access != "open" {
				t.Errorf("%s is %s", n.Name, n.Config.Access)
			}
		}
	})
	// Without a PHOTO, or with one that cannot be converted.
	for inner, want := range map[string]string{"<FN>x</FN>": "none", "<PHOTO><EXTVAL>https://x/</EXTVAL></PHOTO>": noPhoto} {
		play(t, func(a *assembly) {
			apply(t, a.cards.Set(addr("juliet@example.net"), "<vCard xmlns='vcard-temp'>"+photo(png1)+"</vCard>"))
		}, func(s *stage) {
			s.romeo.Send("<presence/>")
			s.juliet.Send("<presence/>")
			s.juliet.Send(card(inner))
			s.romeo.Clear()
			s.juliet.Send("<presence/>")
			s.expect(want)
			if got := s.card(s.romeo); got != "<vCard xmlns='vcard-temp'>"+inner+"</vCard>" {
				t.Errorf("the card is %s", got)
			}
			if nodes, err := s.nodes.Load(t.Context(), addr("juliet@example.net")); err != nil || len(nodes) != 0 {
				t.Errorf("%d nodes, error %v", len(nodes), err)
			}
		})
	}
}

// TestRefusedCard: a card whose image cannot be published is refused, and nothing is kept.
func TestRefusedCard(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.juliet.Send(card("<FN>J</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>" + b64(make([]byte, 190_600)) + "</BINVAL></PHOTO>"))
		if got := s.juliet.Next(); !strings.Contains(got, "<payload-too-big ") {
			t.Errorf("got %.500s", got)
		}
		if got := s.card(s.juliet); got != "<vCard xmlns='vcard-temp'/>" {
			t.Errorf("the card is %.500s", got)
		}
	})
}

// TestEmptyPhoto: a session that shows none is left alone, whatever happens, and not told
// again (AV-8, AV-11); neither is what came before shown to who comes later.
func TestEmptyPhoto(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence><x xmlns='vcard-temp:x:update'><photo/></x></presence>", data(id1, png1, ""), metadata(id1, ""))
		s.expect("none")
		later := s.h.Connect(t, "romeo@example.net/2")
		later.Send("<presence/>")
		if got := s.photos(later); got != "none" {
			t.Errorf("got %q", got)
		}
		s.juliet.Send("<presence/>")
		s.romeo.Clear()
		later.Clear()
		s.sleep(time.Minute)
		s.juliet.Send(metadata("", ""))
		s.expect("none")
		last := s.h.Connect(t, "romeo@example.net/3")
		s.juliet.Clear()
		last.Send("<presence/>")
		if got := s.photos(last); got != "none" {
			t.Errorf("the last got %q", got)
		}
	})
}

// TestNoRead: presence reads no store but for the first of an account (AV-10).
func TestNoRead(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.juliet.Send(data(id1, png1, ""), metadata(id1, ""))
		s.juliet.Close()
		s.juliet = s.h.Connect(t, "juliet@example.net/1")
		s.juliet.Send("<presence/>")
		first := s.nodes.reads.Load()
		for i := range 10 {
			s.juliet.Send("<presence/>", "<presence to='romeo@example.net/1'/>", fmt.Sprintf("<presence><priority>%d</priority></presence>", i))
		}
		if got := s.nodes.reads.Load() - first; got != 0 {
			t.Errorf("%d reads", got)
		}
		if got := s.photos(s.juliet); strings.Trim(strings.ReplaceAll(got, id1, ""), " ") != "" {
			t.Errorf("got %q", got)
		}
	})
}

// broken are nodes that cannot be read.
type broken struct{ pep.Store }

func (broken) Index(context.Context, mux.Address, string) ([]pep.Entry, error) {
	return nil, errors.New("on purpose")
}

// TestBroken: what cannot be read is not told, and presence goes on.
func TestBroken(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		juliet := addr("juliet@example.net")
		for _, name := range []string{avatar.NSData, avatar.NSMetadata} {
			apply(t, a.nodes.PutNode(juliet, pep.Node{Name: name, Config: pep.DefaultConfig()}))
		}
		apply(t, a.cards.Set(juliet, "<vCard xmlns='vcard-temp'><FN>J</FN>"+photo(png1)+"</vCard>"))
		a.nodes.Store = broken{a.nodes.Store}
	}, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence><show>away</show></presence>")
		s.expect(noPhoto)
		if got := s.card(s.romeo); got != "<vCard xmlns='vcard-temp'><FN>J</FN></vCard>" {
			t.Errorf("the card is %s", got)
		}
		s.juliet.Clear()
		s.juliet.Send(card("<FN>K</FN>"))
		if got := s.juliet.Next(); !strings.Contains(got, "internal-server-error") {
			t.Errorf("got %s", got)
		}
	})
	if _, err := mux.New(nil, nil, avatar.New(nil)); err == nil {
		t.Error("no error without nodes")
	}
}

// TestFeature: XEP-0398 §2.
func TestFeature(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.juliet.Send("<iq type='get' id='d' to='juliet@example.net'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
		if got := s.juliet.Next(); !strings.Contains(got, "<feature var='"+avatar.NSConversion+"'/>") {
			t.Errorf("got %s", got)
		}
		q := &mux.DiscoQuery{Scope: mux.AtHost}
		if err := s.h.Mux().Disco(t.Context(), q); err != nil || slices.Contains(q.Features, avatar.NSConversion) {
			t.Errorf("the domain has %q, error %v", q.Features, err)
		}
	})
}

// TestAlone: without cards, presence and conversion of cards the rest works.
func TestAlone(t *testing.T) {
	t.Parallel()
	play(t, func(a *assembly) {
		a.opt = func(o *avatar.Options) { *o = avatar.Options{Nodes: o.Nodes} }
	}, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence/>", data(id1, png1, ""), metadata(id1, ""))
		s.expect("none")
		s.juliet.Send("<presence/>")
		s.expect(id1)
		s.juliet.Send(card(photo(png2)))
		if got := s.card(s.romeo); got != "<vCard xmlns='vcard-temp'>"+strings.Replace(photo(png1), "<PHOTO>", "<PHOTO xmlns='vcard-temp'>", 1)+"</vCard>" {
			t.Errorf("the card is %s", got)
		}
	})
}
