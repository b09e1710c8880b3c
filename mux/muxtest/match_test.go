package muxtest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want, got string
		ok        bool
	}{
		{"<a b='1' c='2'/>", `<a c="2" b="1"></a>`, true},
		{"<a xmlns='urn:a'><b/></a>", "<p:a xmlns:p='urn:a'><p:b/></p:a>", true},
		{"<a>\n  <b/>\n  <c/>\n</a>", "<a><b/><c/></a>", true},
		{"<a>x&#38;y</a>", "<a>x&amp;y</a>", true},
		{"<message xml:lang='it'/>", "<message xml:lang='it'/>", true},
		{"<stream:error><x/></stream:error>", "<error xmlns='http://etherx.jabber.org/streams'><x xmlns='jabber:client'/></error>", true},
		{"<a b='*'/>", "<a b='1'/>", true},
		{"<a b='{*}'/>", "<a b=''/>", true},
		{"<a b='*'/>", "<a/>", false},
		{"<a/>", "<a b='1'/>", false},
		{"<a b='1'/>", "<a b='2'/>", false},
		{"<a/>", "<b/>", false},
		{"<a/>", "<a xmlns='urn:a'/>", false},
		{"<a xmlns='*'/>", "<a xmlns='urn:a'/>", true},
		{"<a/>", "<a><b/></a>", false},
		{"<a><b/></a>", "<a/>", false},
		{"<a><b/><c/></a>", "<a><c/><b/></a>", false},
		{"<a>{*}</a>", "<a><b/>x<c/></a>", true},
		{"<a>{*}</a>", "<a/>", true},
		{"<a>*</a>", "<a>x</a>", true},
		{"<a>x</a>", "<a>y</a>", false},
		{"<a>x</a>", "<a><x/></a>", false},
		{"<a><x/></a>", "<a>x</a>", false},
		{"<a b='${x}' c='${x}'/>", "<a b='1' c='1'/>", true},
		{"<a b='r/${x}-${y}'/>", "<a b='r/1-2'/>", true},
		{"<a b='${x}'/>", "<a b=''/>", false},
		{"<a>", "<a/>", false},
		{"<a/>", "<a>", false},
		{"</stream:stream>", "</stream:stream>", true},
		{"<a/>", muxtest.Dropped, false},
	} {
		if err := muxtest.Match(tt.want, tt.got, nil); (err == nil) != tt.ok {
			t.Errorf("%s and %s: %v", tt.want, tt.got, err)
		}
	}
}

func TestCaptures(t *testing.T) {
	t.Parallel()
	c := muxtest.Captures{}
	if err := muxtest.Match("<a b='x-${id}'>${text}</a>", "<a b='x-1&apos;'>a.b</a>", c); err != nil {
		t.Fatal(err)
	}
	if c["id"] != "1'" || c["text"] != "a.b" {
		t.Errorf("captured %q", c)
	}
	if err := muxtest.Match("<a b='${id}' c='${text}'/>", "<a b='1&apos;' c='aXb'/>", c); err == nil {
		t.Error("a capture matched something else")
	}
	if err := muxtest.Match("<a b='${new}' c='${text}'/>", "<a b='2' c='other'/>", c); err == nil || c["new"] != "" {
		t.Errorf("captured by what did not match: %q, %v", c, err)
	}
	if got := c.Expand("<a b='${id}'>${other}</a>"); !strings.HasPrefix(got, "<a b='1&#39;'>${other}") {
		t.Errorf("expanded to %s", got)
	}
}

// failures is a TB that notes what fails.
type failures struct {
	console
	log []string
}

type failed struct{}

func (f *failures) Errorf(format string, a ...any) { f.log = append(f.log, fmt.Sprintf(format, a...)) }

func (f *failures) Fatalf(format string, a ...any) {
	f.Errorf(format, a...)
	panic(failed{})
}

// What a transcript does not say, or says wrongly, fails, with its place.
func TestTranscriptFails(t *testing.T) {
	t.Parallel()
	const begin = "romeo connects as romeo@example.net/orchard\njuliet connects as juliet@example.net/balcony\n"
	for _, tt := range []struct{ name, text, want string }{
		{"missing", begin + "romeo< <a/>", "x.xmpp:3: romeo: nothing has arrived"},
		{"left over at the end", begin + "romeo> <message to='juliet@example.net/balcony'/>", "juliet got also"},
		{"left over before the next step", begin + "romeo> <message to='juliet@example.net/balcony'/>\n+1s\njuliet< *", "x.xmpp:4: before this line, juliet"},
		{"left over elsewhere", begin + "romeo> <message to='a@example.org'/>", "example.org got also"},
		{"different", begin + "romeo> <message to='juliet@example.net/balcony'/>\njuliet< <presence/>", "want {jabber:client}presence"},
		{"order", begin + "romeo> <message to='juliet@example.net/balcony' id='1'/>\nromeo> <message to='juliet@example.net/balcony' id='2'/>\n" +
			"juliet< <message id='2' from='*' to='*'/>", `id of /message is "1", want "2"`},
		{"unknown peer", "nurse> <message/>", "nurse has not connected"},
		{"unknown step", begin + "romeo sleeps", "unknown step: romeo sleeps"},
		{"bad time", "+soon", "x.xmpp:1: time: invalid duration"},
		{"no full JID", "romeo connects as romeo@example.net", "is no full JID"},
		{"continues nothing", "  <a/>", "line 1 continues nothing"},
		{"no committer", begin + "commits hold", "have no muxtest.Committer"},
		{"not well-formed", begin + "romeo> <message>", "sends what is no element"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := new(failures)
				func() {
					defer func() {
						if p := recover(); p != nil && p != (failed{}) {
							panic(p)
						}
					}()
					muxtest.Play(f, muxtest.Config{}, "x.xmpp", tt.text)
				}()
				for i := len(f.cleanup) - 1; i >= 0; i-- {
					f.cleanup[i]()
				}
				if got := strings.Join(f.log, "\n"); !strings.Contains(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What a host does beside routing.
func TestHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, nil)
		h.AddDomain("example.com")
		romeo := h.Connect(t, "romeo@example.com/x")
		romeo.Send("<message to='nobody@example.com' id='1'/>")
		romeo.Expect("<message type='error' id='1' from='nobody@example.com' to='romeo@example.com/x'>{*}</message>")
		romeo.Stall()
		romeo.Send("<message to='romeo@example.com/x' id='2'/>")
		if romeo.Stream.Conn().Pending() == 0 {
			t.Error("nothing is pending")
		}
		romeo.Unstall()
		if s := romeo.Recv(); s.ID() != "2" || romeo.Stream.Conn().Pending() != 0 {
			t.Errorf("got %s, %d octets are pending", s.ID(), romeo.Stream.Conn().Pending())
		}
		romeo.Send("<message to='a@example.org' id='3'/>", "<message to='b@example.org' id='4'/>")
		h.ExpectRouted("example.org", "<message from='romeo@example.com/x' to='a@example.org' id='3'/>")
		if left := h.Routed("example.org"); len(left) != 1 {
			t.Errorf("routed %q", left)
		}
		romeo.Session.Close(nil)
		romeo.ExpectClosed("")
		if m := h.Mux(); len(m.Sessions(mux.MustParseAddress("romeo@example.com"))) != 0 {
			t.Error("the session is still there")
		}
	})
}
