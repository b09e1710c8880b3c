package smacks_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// phone is a client that counts and acknowledges as it should, and notes the ids of
// the stanzas that it has seen.
type phone struct {
	t     *testing.T
	c     *muxtest.Client
	token string
	in    uint32 // stanzas handled
	seen  []string
	told  uint32 // h of the last acknowledgement
	mute  bool   // does not answer requests
	fail  string // what was last refused
}

func newPhone(t *testing.T, s *site) *phone {
	c, token := enabled(t, s.Host)
	return &phone{t: t, c: c, token: token}
}

// read takes what has arrived, and says what is to be said to that.
func (p *phone) read() {
	p.t.Helper()
	for again := true; again; {
		again = false
		for _, raw := range p.c.Arrived() {
			p.take(raw, &again)
		}
	}
}

func (p *phone) take(raw string, again *bool) {
	p.t.Helper()
	p.c.Next()
	if raw == muxtest.Dropped || raw[:2] == "</" {
		return
	}
	el, err := mux.Parse([]byte(raw))
	if err != nil {
		p.t.Fatalf("%v: %s", err, raw)
	}
	switch {
	case el.Kind() != mux.Nonza:
		p.in++
		p.seen = append(p.seen, el.ID())
	case el.Name().Local == "r":
		if !p.mute {
			p.c.Send(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", p.in))
			*again = true
		}
	case el.Name().Local == "a" || el.Name().Local == "resumed":
		p.told = number(p.t, el.Attr("h"))
	case el.Name().Local == "failed":
		p.fail = el.Attr("h")
	}
}

func number(t *testing.T, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// back resumes on a new connection.
func (p *phone) back(s *site) {
	p.t.Helper()
	p.c = resume(p.t, s.Host, p.token, fmt.Sprint(p.in))
}

// want checks that each of the stanzas was seen once, in order.
func (p *phone) want(ids ...string) {
	p.t.Helper()
	if !slices.Equal(p.seen, ids) {
		p.t.Errorf("seen %q, want %q", p.seen, ids)
	}
}

func ids(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// chats are the messages 1 to n.
func chats(from, to int) []string {
	var all []string
	for _, id := range ids(from, to) {
		all = append(all, chat(id))
	}
	return all
}
