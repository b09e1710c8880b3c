package archive_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

var juliet = mux.MustParseAddress("juliet@example.net")

const query = "<query xmlns='urn:xmpp:mam:2'/>"

func chat(id string) string {
	return "<message to='juliet@example.net' type='chat' id='" + id + "'><body>" + id + "</body></message>"
}

func ask(id, payload string) string { return "<iq type='set' id='" + id + "'>" + payload + "</iq>" }

// short names what has arrived: results by the id of the message in them.
func short(t *testing.T, c *muxtest.Client) string {
	t.Helper()
	var list []string
	for _, el := range c.Arrived() {
		s, err := mux.Parse([]byte(el))
		if err != nil {
			list = append(list, el)
			continue
		}
		name := s.ID()
		if r, ok := s.Child(result); ok {
			inner, err := mux.Parse([]byte(el[strings.Index(el, "<message xmlns='jabber:client'"):strings.Index(el, "</forwarded>")]))
			if err != nil {
				t.Fatalf("%s: %v", r.Raw(), err)
			}
			name = "(" + inner.ID() + ")"
		} else if s.Type() == "error" {
			name += "!"
		}
		list = append(list, name)
	}
	c.Clear()
	return strings.Join(list, " ")
}

var (
	result     = xml.Name{Space: archive.NS, Local: "result"}
	archiveSID = xml.Name{Space: archive.NSSID, Local: "stanza-id"}
)

// TestSnapshot: a query finds what was archived before it, and nothing of what came
// later, which comes live behind its end (MAM-17).
func TestSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		commits := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: commits, NoRecover: true}, archive.New(new(archive.Memory), nil))
		romeo, j := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		j.Send("<presence/>")
		romeo.Send(chat("m1"))
		commits.Hold()
		romeo.Send(chat("m2"))
		j.Send(ask("q1", query))
		romeo.Send(chat("m3"))
		j.Send(ask("q2", query), "<iq type='get' id='q3'><metadata xmlns='urn:xmpp:mam:2'/></iq>")
		romeo.Send(chat("m4"))
		if got := short(t, j); got != "m1" {
			t.Errorf("before the commit: got %s", got)
		}
		commits.Release()
		h.Settle()
		// Requests are answered in their order, each with what was there.
		if got, want := short(t, j), "m2 (m1) (m2) q1 m3 (m1) (m2) (m3) q2 m4 q3"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// TestEmptySnapshot: an archive that was empty is empty.
func TestEmptySnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		commits := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: commits, NoRecover: true}, archive.New(new(archive.Memory), nil))
		romeo, j := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		j.Send("<presence/>")
		commits.Hold()
		j.Send(ask("q1", query))
		romeo.Send(chat("m1"))
		commits.Release()
		h.Settle()
		if got := short(t, j); got != "q1 m1" {
			t.Errorf("got %s", got)
		}
	})
}

// TestCommitFails: what could not be written was not archived and not delivered.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		commits := new(muxtest.Committer)
		store := new(archive.Memory)
		h := muxtest.New(t, &mux.Options{Committer: commits, NoRecover: true}, archive.New(store, nil))
		romeo, j := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		j.Send("<presence/>")
		commits.Hold()
		romeo.Send(chat("m1"))
		commits.Fail(errors.New("the disk is full"))
		commits.Release()
		h.Settle()
		romeo.ExpectClosed("internal-server-error")
		if got := j.Arrived(); len(got) != 2 || strings.Contains(fmt.Sprint(got), "m1") {
			t.Errorf("juliet got %q", got)
		}
		for _, account := range []mux.Address{juliet, mux.MustParseAddress("romeo@example.net")} {
			if p, err := store.Page(t.Context(), account, archive.Query{Max: 9}); err != nil || len(p.Entries) > 0 {
				t.Errorf("%v has %d messages, error %v", account, len(p.Entries), err)
			}
		}
	})
}

// TestBoundMetadata: what Bind 2 says is in the archive includes what is not written
// yet, and nothing is both not in there and not delivered (B2-7).
func TestBoundMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		commits := new(muxtest.Committer)
		h := muxtest.New(t, &mux.Options{Committer: commits, NoRecover: true}, archive.New(new(archive.Memory), nil))
		h.AddAccount("juliet@example.net")
		romeo := h.Connect(t, romeoFull)
		commits.Hold()
		romeo.Send(chat("m1"), chat("m2"))
		bound := make(chan string, 1)
		j := h.Dial(t, "juliet@example.net")
		go func() {
			o := &mux.BindOptions{Resource: "phone", Bind2: true}
			if _, err := j.Stream.Bind(context.Background(), o); err != nil || len(o.InlineReply) != 1 {
				bound <- fmt.Sprint(len(o.InlineReply), err)
				return
			}
			c, err := mux.NewChild(o.InlineReply[0])
			bound <- fmt.Sprint(c.Raw(), err)
		}()
		h.Settle()
		commits.Release()
		h.Settle()
		got := <-bound
		p := page(t, h, j)
		if len(p) != 2 || !strings.Contains(got, "<start id='"+p[0]+"'") || !strings.Contains(got, "<end id='"+p[1]+"'") {
			t.Errorf("got %s, the archive has %v", got, p)
		}
		romeo.Send(chat("m3"))
		if h.Mux().Sessions(juliet)[0].JID().Resource() != "phone" {
			t.Error("another resource")
		}
	})
}

// page is what juliet's archive has, by ID.
func page(t *testing.T, h *muxtest.Host, c *muxtest.Client) (ids []string) {
	t.Helper()
	c.Clear()
	other := h.Connect(t, "juliet@example.net/reader")
	other.Send(ask("page", query))
	for _, el := range other.Arrived() {
		s, err := mux.Parse([]byte(el))
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := s.Child(result); ok {
			ids = append(ids, r.Attr("id"))
		}
	}
	other.Close()
	return ids
}

// TestSlowReader: a page is given out as the client reads, several are answered one
// after another, and however slow it is, there is no other answer.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(archive.Memory)
		h := muxtest.New(t, &mux.Options{NoRecover: true}, archive.New(store, &archive.Options{PageBytes: 300 << 10}))
		romeo, j := h.Connect(t, romeoFull), h.Connect(t, julietFull)
		j.Send("<presence/>")
		body := strings.Repeat("x", 10<<10)
		for i := range 60 {
			fill(t, store, juliet, fmt.Sprint("m", i), time.Now(), body)
		}
		j.Stall()
		const most = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>100</max></set></query>"
		j.Send(ask("q1", most), ask("q2", query))
		romeo.Send(chat("live"))
		if n := len(j.Arrived()); n > 12 {
			t.Errorf("%d results for a client that does not read", n)
		}
		time.Sleep(10 * time.Minute)
		j.Unstall()
		h.Settle()
		got := strings.Fields(short(t, j))
		one := 300 << 10 / (10<<10 + 100) // results that fit
		if len(got) != 2*(one+1)+1 || got[one] != "q1" || got[2*one+1] != "q2" || got[2*one+2] != "live" {
			t.Errorf("got %d: %s", len(got), got)
		}
		for i := range one {
			if want := fmt.Sprintf("(m%d)", i); got[i] != want || got[one+1+i] != want {
				t.Errorf("result %d is %s, and %s", i, got[i], got[one+1+i])
			}
		}
	})
}

// fill puts a message into a store.
func fill(t testing.TB, s archive.Store, account mux.Address, id string, at time.Time, body string) {
	t.Helper()
	w := s.Append(account, archive.Entry{ID: id, At: at, With: mux.MustParseAddress(romeoFull),
		Stanza: []byte("<message xmlns='jabber:client' id='" + id + "'><body>" + body + "</body></message>")})
	if err := w(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// TestRetention: what is too much goes as new messages come, what is too old also
// where none do.
func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(archive.Memory)
		h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), NoRecover: true}, archive.New(store, &archive.Options{MaxAge: 24 * time.Hour, MaxCount: 100}))
		h.AddAccount("juliet@example.net", "nurse@example.net")
		for i := range 700 {
			fill(t, store, mux.MustParseAddress("nurse@example.net"), fmt.Sprint("n", i), time.Now(), "x")
		}
		count := func(account mux.Address) int {
			p, err := store.Page(t.Context(), account, archive.Query{})
			if err != nil {
				t.Fatal(err)
			}
			return p.Count
		}
		romeo := h.Connect(t, romeoFull)
		for i := range 2000 {
			romeo.Write(chat(fmt.Sprint("m", i)))
		}
		h.Settle()
		if n := count(juliet); n < 100 || n > 1000 {
			t.Errorf("%d messages are kept", n)
		}
		time.Sleep(7 * time.Hour) // a sweep has come round
		if n := count(juliet); n != 100 {
			t.Errorf("%d messages are kept after a sweep", n)
		}
		if n := count(mux.MustParseAddress("nurse@example.net")); n != 100 {
			t.Errorf("%d messages of who gets none are kept after a sweep", n)
		}
		time.Sleep(48 * time.Hour)
		if n, m := count(juliet), count(mux.MustParseAddress("nurse@example.net")); n+m != 0 {
			t.Errorf("%d and %d old messages are kept", n, m)
		}
	})
}

// TestRoom: a private message in a chat room, which each session gets from the room, is
// archived once (MAM-19); two that are alike are two.
func TestRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, archive.New(new(archive.Memory), nil))
		j, c := h.Connect(t, julietFull), h.Connect(t, "juliet@example.net/chamber")
		room := h.DialDomain(t, mux.Server, "chat.example.org")
		private := func(to, id, body string) string {
			return "<message from='room@chat.example.org/nurse' to='juliet@example.net/" + to + "' type='chat' id='" + id + "'><body>" + body + "</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>"
		}
		name := func(c *muxtest.Client) string {
			t.Helper()
			s := c.Recv()
			id, ok := s.Child(archiveSID)
			if !ok {
				t.Fatalf("no name: %s", s.Append(nil, ""))
			}
			return id.Attr("id")
		}
		room.Send(private("balcony", "1", "psst"), private("chamber", "1", "psst"))
		if a, b := name(j), name(c); a != b {
			t.Errorf("archived twice, as %s and %s", a, b)
		}
		room.Send(private("balcony", "1", "psst"), private("chamber", "1", "other"))
		a, b := name(j), name(c)
		if a == b {
			t.Error("two messages have one name")
		}
		if got := page(t, h, j); len(got) != 3 {
			t.Errorf("the archive has %v", got)
		}
	})
}

// TestRosterOnly: the preference for contacts asks whoever knows the roster.
func TestRosterOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, waited := new(archive.Memory), 0
		friend := mux.MustParseAddress("friend@example.org")
		h := muxtest.New(t, &mux.Options{NoRecover: true}, archive.New(store, &archive.Options{
			Prefs:    store,
			InRoster: func(_ context.Context, _ *mux.Event, contact mux.Address) bool { return contact == friend },
			Waits:    func(*mux.Event) bool { waited++; return waited%2 == 0 },
		}))
		j := h.Connect(t, julietFull)
		j.Send("<iq type='set' id='1'><prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>a@example.org</jid></always><never><jid>a@example.org/x</jid></never></prefs></iq>")
		j.Clear()
		example := h.DialDomain(t, mux.Server, "example.org")
		for _, from := range []string{"friend@example.org/1", "stranger@example.org/1", "a@example.org/x", "a@example.org/y"} {
			example.Send("<message from='" + from + "' to='juliet@example.net/balcony' id='" + from + "'><body>x</body></message>")
			j.Send("<message to='" + from + "' id='to " + from + "'><body>x</body></message>")
		}
		j.Clear()
		j.Send("<message id='own'><body>x</body></message>", ask("q", query))
		if got, want := short(t, j), "(friend@example.org/1) (to friend@example.org/1) (a@example.org/y) (to a@example.org/y) (own) q"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if waited == 0 {
			t.Error("nobody asked whether the roster is there")
		}
	})
}

// TestPrefsOff: with no store for preferences, asking for them is answered with
// feature-not-implemented (they are optional, XEP-0313), what a client tried to set has
// no effect, and all is archived.
func TestPrefsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil, archive.New(new(archive.Memory), nil))
		j := h.Connect(t, julietFull)
		for _, typ := range []string{"get", "set"} {
			j.Send("<iq type='" + typ + "' id='1'><prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>")
			j.Expect("<iq type='error' id='1' from='juliet@example.net' to='" + julietFull + "'><error type='cancel'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		}
		j.Send("<message to='a@example.org' type='chat'><body>1</body></message>")
		if ids := page(t, h, j); len(ids) != 1 {
			t.Errorf("archived %v, want the message that was sent", ids)
		}
	})
}

// TestAccountRemoved: an archive goes with its account.
func TestAccountRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(archive.Memory)
		h := muxtest.New(t, nil, archive.New(store, &archive.Options{Prefs: store}))
		j := h.Connect(t, julietFull)
		j.Send("<iq type='set' id='1'><prefs xmlns='urn:xmpp:mam:2' default='roster'/></iq>", "<iq type='set' id='1'><prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>",
			"<message id='own'><body>x</body></message>")
		if p, _ := store.Page(t.Context(), juliet, archive.Query{}); p.Count != 1 {
			t.Errorf("%d messages", p.Count)
		}
		if err := h.Mux().RemoveAccount(t.Context(), juliet); err != nil {
			t.Fatal(err)
		}
		p, err := store.Page(t.Context(), juliet, archive.Query{})
		prefs, err2 := store.LoadPrefs(t.Context(), juliet)
		if p.Count != 0 || prefs.Default != "" || errors.Join(err, err2) != nil {
			t.Errorf("left: %d messages, preferences %+v, errors %v", p.Count, prefs, errors.Join(err, err2))
		}
	})
}

// TestDisco: the features of an account, and none of the server's (DI-2).
func TestDisco(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, archive.New(new(archive.Memory), nil))
	for scope, want := range map[mux.Scope]string{
		mux.AtSelf: "[urn:xmpp:mam:2 urn:xmpp:mam:2#extended urn:xmpp:mam:2#groupchat-field urn:xmpp:sid:0]", mux.AtHost: "[]", mux.AtAccount: "[]",
	} {
		q := &mux.DiscoQuery{Scope: scope, Address: juliet, From: juliet}
		if err := h.Mux().Disco(t.Context(), q); err != nil || fmt.Sprint(q.Features) != want {
			t.Errorf("%v: got %v, error %v", scope, q.Features, err)
		}
	}
}

// TestStanzaID: who copies what an account sends knows its name in the archive, and
// the contact does not see it (COMB-2).
func TestStanzaID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var names []string
		copier := register(func(r *mux.Registry) {
			r.Observe(mux.FromAccount, mux.Message, func(_ context.Context, e *mux.Event) {
				c, ok := archive.StanzaID(e)
				names = append(names, fmt.Sprint(c.Attr("id"), ok, c.Attr("by")))
			})
		})
		h := muxtest.New(t, nil, archive.New(new(archive.Memory), nil), copier)
		j := h.Connect(t, julietFull)
		j.Send("<message to='a@example.org' type='chat'><body>1</body></message>", "<message to='a@example.org' type='chat'/>")
		ids := page(t, h, j)
		if want := fmt.Sprintf("[%strue%s false]", ids[0], "juliet@example.net"); fmt.Sprint(names) != want {
			t.Errorf("got %v, want %s", names, want)
		}
		h.ExpectRouted("example.org", "<message from='"+julietFull+"' to='a@example.org' type='chat'><body>1</body></message>", "<message from='"+julietFull+"' to='a@example.org' type='chat'/>")
	})
}

// register is an extension of a function.
type register func(r *mux.Registry)

func (register) Name() string                     { return "test" }
func (f register) Register(r *mux.Registry) error { f(r); return nil }
