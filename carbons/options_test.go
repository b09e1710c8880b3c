package carbons_test

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestForbidden: CC-3: what policy refuses, inline as well, where nothing is said.
func TestForbidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(&carbons.Options{
			Allow: func(_ *mux.Event, s *mux.Session) bool { return s.JID().Resource() != "guest" },
		}))
		desk, guest := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/guest")
		guest.Send(enable)
		guest.Expect("<iq type='error' id='on' from='romeo@example.net' to='romeo@example.net/guest'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		inline := h.Dial(t, "romeo@example.net")
		guest.Close()
		inline.Bind(&mux.BindOptions{Resource: "guest", Inline: parse(t, "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:carbons:2'/></bind>").Children()})
		desk.Send("<message to='juliet@example.org' type='chat'><body>x</body></message>")
		inline.ExpectNone()
		guest.Clear()
	})
}

// TestAvailableOnly: CC-7, the other way round.
func TestAvailableOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(&carbons.Options{AvailableOnly: true}))
		desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
		phone.Send(enable)
		phone.Clear()
		for _, presence := range []string{"", "<presence type='unavailable'/>"} {
			if presence != "" {
				phone.Send(presence)
			}
			desk.Send("<message to='juliet@example.org' type='chat'><body>x</body></message>")
			phone.ExpectNone()
		}
		phone.Send("<presence><priority>-1</priority></presence>")
		desk.Send("<message to='juliet@example.org' type='chat' id='m'><body>x</body></message>")
		if got := copies(t, phone); len(got) != 1 {
			t.Errorf("got %q", got)
		}
	})
}

// archive stands for an archive: it gives messages ids, and removes forged ones.
type archive struct{ noted bool }

func (archive) Name() string { return "archive" }

func stanzaID(id string, by mux.Address) mux.Child {
	return mux.RawChild(xml.Name{Space: "urn:xmpp:sid:0", Local: "stanza-id"}, "<stanza-id xmlns='urn:xmpp:sid:0' id='"+id+"' by='"+by.String()+"'/>")
}

func (a archive) Register(r *mux.Registry) error {
	r.Modify(mux.FromAccount, mux.Message, func(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
		if a.noted {
			e.Item.Record.SetArchived(e.Account, "out-"+e.Stanza.ID())
		}
		return strip(ctx, e)
	})
	r.Modify(mux.ToAccount, mux.Message, func(ctx context.Context, e *mux.Event) (mux.Verdict, error) {
		if _, err := strip(ctx, e); err != nil {
			return mux.Done, err
		}
		e.Stanza = e.Stanza.With(stanzaID("in-"+e.Stanza.ID(), e.Account))
		return mux.Pass, nil
	})
	return nil
}

func strip(_ context.Context, e *mux.Event) (mux.Verdict, error) {
	e.Stanza = e.Stanza.Without(func(c mux.Child) bool { return c.Name.Local == "stanza-id" && c.Attr("by") == e.Account.String() })
	return mux.Pass, nil
}

// TestStanzaID: CC-23, COMB-2: a copy shows how the own archive calls the message, not
// what the peer's says, nor what was forged; and the contact gets nothing of it.
func TestStanzaID(t *testing.T) {
	t.Parallel()
	for _, own := range []func(e *mux.Event) (mux.Child, bool){
		nil, // the archive has noted it in the record
		func(e *mux.Event) (mux.Child, bool) { return stanzaID("out-"+e.Stanza.ID(), e.Account), true },
	} {
		testStanzaID(t, archive{noted: own == nil}, &carbons.Options{StanzaID: own})
	}
}

func testStanzaID(t *testing.T, a archive, o *carbons.Options) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, a, carbons.New(o))
		desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
		juliet, other := h.Connect(t, "juliet@example.net/balcony"), h.Connect(t, "juliet@example.net/other")
		for _, c := range []*muxtest.Client{phone, other} {
			c.Send(enable)
			c.Clear()
		}
		desk.Send("<message to='juliet@example.net/balcony' type='chat' id='m'><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='romeo@example.net'/><stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='juliet@example.net'/></message>")
		const message, theirs = "<message xmlns='jabber:client' from='romeo@example.net/desk' to='juliet@example.net/balcony' type='chat' id='m'><body>x</body>",
			"<stanza-id xmlns='urn:xmpp:sid:0' id='in-m' by='juliet@example.net'/></message>"
		phone.Expect(wrapped(" from='romeo@example.net' to='romeo@example.net/phone' type='chat'", "sent", message+
			"<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='juliet@example.net'/><stanza-id xmlns='urn:xmpp:sid:0' id='out-m' by='romeo@example.net'/></message>"))
		juliet.Expect(message + theirs)
		other.Expect(wrapped(" from='juliet@example.net' to='juliet@example.net/other' type='chat'", "received", message+theirs))
		// What is archived is copied though it has no body (CC-17), and nothing else is.
		desk.Send("<message to='juliet@example.net/balcony' id='m2'><reactions xmlns='urn:xmpp:reactions:0' id='m'/></message>",
			"<message to='juliet@example.net/balcony' id='m3'><reactions xmlns='urn:xmpp:reactions:0' id='m'/><no-store xmlns='urn:xmpp:hints'/></message>",
			"<message to='juliet@example.net/balcony' id='m4'><x xmlns='urn:example:x'/></message>")
		if got := copies(t, phone); len(got) != 1 || got[0] != "sent m2" {
			t.Errorf("got %q", got)
		}
		if got := copies(t, other); len(got) != 1 || got[0] != "received m2" {
			t.Errorf("got %q", got)
		}
	})
}

// TestOccupants: CC-12, CC-13: who shares a name in a room sees the private messages,
// others do not.
func TestOccupants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nick := map[string]string{"desk": "romeo", "phone": "romeo", "tablet": "other", "watch": ""}
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(&carbons.Options{
			Occupant: func(s *mux.Session, room mux.Address) mux.Address {
				n := nick[s.JID().Resource()]
				if n == "" || room.String() != "darkcave@rooms.example.org" {
					return mux.Address{}
				}
				return mux.MustParseAddress(room.String() + "/" + n)
			},
		}))
		c := make(map[string]*muxtest.Client)
		for r := range nick {
			c[r] = h.Connect(t, "romeo@example.net/"+r)
			c[r].Send(enable)
			c[r].Clear()
		}
		want := func(what string, to ...string) {
			t.Helper()
			expected := make(map[string]string)
			for _, r := range to {
				expected[r] = what
			}
			for r := range nick {
				if got := strings.Join(copies(t, c[r]), ","); got != expected[r] {
					t.Errorf("%s got %q, want %q", r, got, expected[r])
				}
			}
		}
		arrives := func(text string) {
			if err := h.Mux().Inject(t.Context(), mux.Item{Stanza: parse(t, text)}); err != nil {
				t.Fatal(err)
			}
			h.Settle()
		}
		c["desk"].Send("<message to='darkcave@rooms.example.org/juliet' type='chat' id='m1'><body>x</body></message>")
		want("sent m1", "phone")
		c["desk"].Send("<message to='darkcave@rooms.example.org/juliet' type='chat' id='m2'><body>x</body>" + room + "</message>")
		want("sent m2", "phone")
		c["watch"].Send("<message to='darkcave@rooms.example.org/juliet' type='chat' id='m3'><body>x</body></message>")
		want("sent m3", "desk", "phone", "tablet")
		c["desk"].Send("<message to='juliet@example.org/x' type='chat' id='m4'><body>x</body></message>")
		want("sent m4", "phone", "tablet", "watch")
		arrives("<message from='darkcave@rooms.example.org/juliet' to='romeo@example.net/desk' type='chat' id='m5'><body>x</body></message>")
		want("")
		arrives("<message from='darkcave@rooms.example.org/juliet' to='romeo@example.net/watch' type='chat' id='m6'><body>x</body></message>")
		want("received m6", "desk", "phone", "tablet")
		arrives("<message from='darkcave@rooms.example.org' to='romeo@example.net/desk' id='m7'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='juliet@example.org'/></x></message>")
		want("received m7", "phone", "tablet", "watch")
	})
}

// TestServerCode: CC-20: what server code says in the name of the account, or a gateway
// tells that it said elsewhere, is copied to all.
func TestServerCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := carbons.New(nil)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, x)
		desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
		for _, c := range []*muxtest.Client{desk, phone} {
			c.Send(enable)
			c.Clear()
		}
		romeo := mux.MustParseAddress("romeo@example.net")
		want := func(c *muxtest.Client, id string) {
			t.Helper()
			if got := strings.Join(copies(t, c), ","); got != id {
				t.Errorf("%s got %q, want %q", c.Session.JID(), got, id)
			}
		}
		do := func(f func(ctx context.Context, e *mux.Event)) {
			t.Helper()
			if err := h.Mux().Do(t.Context(), romeo, f); err != nil {
				t.Fatal(err)
			}
			h.Settle()
		}
		do(func(ctx context.Context, e *mux.Event) {
			e.Send(ctx, parse(t, "<message from='romeo@example.net' to='juliet@example.org' type='chat' id='m1'><body>x</body></message>"))
		})
		want(desk, "sent m1")
		want(phone, "sent m1")
		if got := h.Routed("example.org"); len(got) != 1 {
			t.Errorf("routed %q", got)
		}
		for _, tt := range []struct {
			text        string
			desk, phone string
			n           int
		}{
			{"<message from='romeo@example.net' to='juliet@gateway.example.net' type='chat' id='m2'><body>x</body></message>", "sent m2", "sent m2", 2},
			{"<message from='romeo@example.net/desk' to='juliet@gateway.example.net' type='chat' id='m3'><body>x</body></message>", "", "sent m3", 1},
			{"<message from='romeo@example.net' to='juliet@gateway.example.net' type='groupchat' id='m4'><body>x</body></message>", "", "", 0},
			{"<message from='juliet@example.org' to='romeo@example.net' type='chat' id='m5'><body>x</body></message>", "", "", 0},
			{"<presence from='romeo@example.net' to='juliet@gateway.example.net'/>", "", "", 0},
		} {
			do(func(ctx context.Context, e *mux.Event) {
				if n := x.Sent(ctx, e, parse(t, tt.text)); n != tt.n {
					t.Errorf("%s: %d", tt.text, n)
				}
			})
			want(desk, tt.desk)
			want(phone, tt.phone)
		}
		h.Settle()
		if got := append(h.Routed("example.org"), h.Routed("gateway.example.net")...); len(got) != 0 {
			t.Errorf("routed %q", got)
		}
	})
}

// TestRefused: CC-15: what is refused on its way is not copied, and an error for a
// message that nobody has seen a copy of is not either.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []mux.Point{mux.FromPeer, mux.FromAccount, mux.ToAccount} {
		synctest.Test(t, func(t *testing.T) {
			h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil), ext(func(r *mux.Registry) {
				r.Guard(p, mux.Message, func(_ context.Context, e *mux.Event) (mux.Verdict, error) {
					if e.Stanza.Type() == "error" {
						return mux.Pass, nil
					}
					return mux.Done, nil
				})
			}))
			desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
			juliet := h.Connect(t, "juliet@example.net/x")
			for _, c := range []*muxtest.Client{phone, juliet} {
				c.Send(enable)
				c.Clear()
			}
			desk.Send("<message to='juliet@example.net/y' type='chat' id='m'><body>x</body></message>")
			juliet.ExpectNone()
			if p != mux.ToAccount {
				phone.ExpectNone()
			}
		})
	}
}

// TestRemembersLatest: CC-14: of more messages than are remembered the oldest are
// forgotten.
func TestRemembersLatest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(&carbons.Options{Remember: 2}))
		desk, phone := h.Connect(t, "romeo@example.net/desk"), h.Connect(t, "romeo@example.net/phone")
		phone.Send(enable)
		for _, id := range []string{"m1", "m2", "m3"} {
			desk.Send("<message to='juliet@example.org' type='chat' id='" + id + "'><body>x</body></message>")
		}
		phone.Clear()
		for _, id := range []string{"m1", "m2", "m3"} {
			err := h.Mux().Inject(t.Context(), mux.Item{Stanza: parse(t, "<message from='juliet@example.org' to='romeo@example.net/desk' type='error' id='"+id+"'><error type='cancel'/></message>")})
			if err != nil {
				t.Fatal(err)
			}
		}
		h.Settle()
		if got := strings.Join(copies(t, phone), ","); got != "received m2,received m3" {
			t.Errorf("got %q", got)
		}
	})
}
