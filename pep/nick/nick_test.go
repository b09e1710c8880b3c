package nick_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/nick"
	"github.com/propolis-im/propolis/pep/peptest"
)

var juliet = jid.MustParse("juliet@example.net")

func TestClean(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"Juliet", "Juliet"},
		{"  Juliet \t\r\n of  Verona ", "Juliet of Verona"},
		{"a\x00b\x1b[31mc\u0085\u2028d", "ab[31mc d"},
		{"\u202eteiluJ\u202c \u2066x\u2069\u200f", "teiluJ x"},
		{"a\u200bb\ufeffc", "abc"},
		{"👩\u200d👧", "👩\u200d👧"}, // a joiner joins
		{"क\u200dष", "क\u200dष"},
		{"bad \xff utf-8", "bad utf-8"},
		{strings.Repeat("ü", 200), strings.Repeat("ü", 128)},
		{"\u200f \u202e", ""},
	} {
		if got := nick.Clean(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzClean: a clean name is valid, short, in one line, and stays as it is.
func FuzzClean(f *testing.F) {
	f.Add("a \u202eb\n\x01")
	f.Add(strings.Repeat(" a", 200))
	f.Fuzz(func(t *testing.T, s string) {
		got := nick.Clean(s)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 129 || strings.ContainsAny(got, "\n\r\t\x00\u202e\u2066") || strings.Contains(got, "  ") {
			t.Errorf("%q becomes %q", s, got)
		}
		if again := nick.Clean(got); again != got && utf8.RuneCountInString(got) < 128 {
			t.Errorf("%q becomes %q and then %q", s, got, again)
		}
	})
}

// TestNick: C-18, NICK-1: a name is set, told and taken back.
func TestNick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := peptest.New(t, "tybalt@example.net")
		c, romeo, tybalt := s.Client("juliet@example.net/balcony", nil), s.Client("romeo@example.net/orchard", nil), s.Client("tybalt@example.net/x", nil)
		var told []string
		names, stop, err := nick.Watch(romeo, func(_ context.Context, of jid.JID, name string) { told = append(told, of.String()+" "+name) })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		s.Present(romeo)
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if !reflect.DeepEqual(told, want) {
				t.Errorf("%s: told %q, want %q", what, told, want)
			}
			told = nil
		}
		set := func(c *pep.Client, name string) {
			t.Helper()
			if err := nick.Set(ctx, c, name); err != nil {
				t.Fatal(err)
			}
		}
		set(c, " Juliet\u202e & Co\n")
		expect("set", "juliet@example.net Juliet & Co")
		set(c, "Juliet & Co")
		expect("the same again")
		set(tybalt, "Prince of Cats")
		expect("of no contact")
		// What is published by another program is cleaned too.
		if _, err := c.Publish(ctx, nick.NS, "x", mux.Raw("<nick xmlns='"+nick.NS+"'>\u202eevil&#10;</nick>"), nil); err != nil {
			t.Fatal(err)
		}
		expect("by another", "juliet@example.net evil")
		if got := names.Nick(jid.MustParse("juliet@example.net/balcony")); got != "evil" {
			t.Errorf("nick %q", got)
		}
		s.Send("<message from='mallory@chat.example.org/juliet' to='romeo@example.net/orchard'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='" + nick.NS + "'><item><nick xmlns='" + nick.NS + "'>x</nick></item></items></event></message>")
		expect("forged")
		set(c, "")
		expect("taken back", "juliet@example.net ")
		if p, err := romeo.Newest(ctx, juliet, nick.NS); err != nil || p.Payload != "<nick xmlns='"+nick.NS+"'/>" {
			t.Errorf("the node has %+v, error %v", p, err)
		}
		set(c, "J")
		if err := c.DeleteNode(ctx, nick.NS); err != nil {
			t.Fatal(err)
		}
		expect("deleted", "juliet@example.net J", "juliet@example.net ")
		set(c, "J")
		synctest.Wait()
		names.Forget(juliet)
		if got := names.Nick(juliet); got != "" {
			t.Errorf("forgotten: %q", got)
		}
	})
}

// TestOlder: a name is not gone because an older item is, and is that of the newest then.
func TestOlder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := peptest.New(t)
		c, romeo := s.Client("juliet@example.net/balcony", nil), s.Client("romeo@example.net/orchard", nil)
		names, _, err := nick.Watch(romeo, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Present(romeo)
		for _, id := range []string{"a", "b"} {
			if _, err := c.Publish(ctx, nick.NS, id, mux.Raw("<nick xmlns='"+nick.NS+"'>"+id+"</nick>"), &pep.NodeOptions{MaxItems: 2}); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range []struct{ id, left string }{{"a", "b"}, {"b", ""}} {
			if err := c.Retract(ctx, nick.NS, r.id); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := names.Nick(juliet); got != r.left {
				t.Errorf("without %s: %q", r.id, got)
			}
		}
	})
}

// TestName: C-18: what is shown.
func TestName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := peptest.New(t)
		c := s.Client("juliet@example.net/balcony", nil)
		names, _, err := nick.Watch(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Present(c)
		for _, tt := range []struct{ nick, roster, card, want string }{
			{"nick", "roster", "card", "roster"},
			{"nick", "\u202e", "card", "nick"},
			{"", "", "card", "card"},
			{"", "", "", "juliet"},
		} {
			if err := nick.Set(t.Context(), c, tt.nick); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := names.Name(juliet, tt.roster, tt.card); got != tt.want {
				t.Errorf("%+v: %q", tt, got)
			}
		}
		if got := names.Name(jid.MustParse("gateway.example.net/x"), "", ""); got != "gateway.example.net" {
			t.Errorf("no local part: %q", got)
		}
	})
}

// TestOf: NICK-1: names count in what asks for a subscription, never in presence itself.
func TestOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"<presence type='subscribe'>%s</presence>", "J"},
		{"<message>%s</message>", "J"},
		{"<message type='chat'>%s</message>", "J"},
		{"<message type='groupchat'>%s</message>", ""},
		{"<message type='error'>%s</message>", ""},
		{"<presence>%s</presence>", ""},
		{"<presence type='unavailable'>%s</presence>", ""},
		{"<presence type='subscribe'/>", ""},
		{"<presence type='subscribe'><nick xmlns='" + nick.NS + "'/></presence>", ""},
	} {
		text := tt.text
		if strings.Contains(text, "%s") {
			text = fmt.Sprintf(text, "<nick xmlns='"+nick.NS+"'> J\u202e </nick>")
		}
		s, err := mux.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := nick.Of(s); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %t", text, got, ok)
		}
	}
}

// TestSubscribe: NICK-1: who asks for a subscription says his name.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := peptest.New(t)
		session := s.Session("juliet@example.net/balcony")
		go func() { _ = session.Serve(nil) }() // ends with the connection
		for name, want := range map[string]string{
			"Juliet & Co\n": "<nick xmlns='" + nick.NS + "'>Juliet &amp; Co</nick>",
			"\u202e":        "",
		} {
			if err := nick.Subscribe(t.Context(), session, jid.MustParse("romeo@example.org/orchard"), name); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			s.Host.ExpectRouted("example.org", "<presence type='subscribe' id='{*}' from='{*}' to='romeo@example.org'>"+want+"</presence>")
		}
	})
}

// What a client shows for a contact.
func Example() {
	show := func(c *pep.Client, contact jid.JID, inRoster string) error {
		names, stop, err := nick.Watch(c, nil)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Println(names.Name(contact, inRoster, ""))
		return nil
	}
	_ = show
	fmt.Println(nick.Clean(" Juliet\n\u202eof Verona"))
	// Output: Juliet of Verona
}
