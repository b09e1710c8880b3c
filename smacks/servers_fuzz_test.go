package smacks_test

import (
	"errors"
	"strings"
	"testing"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/internal/xmlscan"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/smacks"
)

// FuzzServers has another server say anything about Stream Management, on the stream on
// which it sends and on the one on which we do. Whatever it says, each stanza of ours is
// acknowledged or comes back, once and in order; and it is told of no more than it sent.
func FuzzServers(f *testing.F) {
	for _, seed := range []string{
		enabledSM + ackOf(1) + pushed + ackOf(2),
		enableSM + toJuliet + pushed + ackOf(0) + enableSM,
		"<failed xmlns='urn:xmpp:sm:3'/>" + ackOf(3), ackOf("x") + "<resume xmlns='urn:xmpp:sm:3'/>",
		"<m:a xmlns:m='urn:xmpp:sm:3' h='&#49;'>x<y/></m:a><a xmlns='urn:xmpp:sm:3' h='4294967295'/>",
	} {
		f.Add(seed)
	}
	h := muxtest.New(f, nil, smacks.New(nil, nil))
	f.Fuzz(func(t *testing.T, text string) {
		var in line
		st := h.Mux().NewStream(&in, mux.Server)
		st.Authorize("example.org")
		s := &sender{t: t}
		s.Outgoing = smacks.NewOutgoing(func(it mux.Item, _ error) { s.gave(it) }, nil)
		s.open(true)
		s.send(3)
		open := true
		for _, el := range elements([]byte(text)) {
			if _, err := s.l.Receive(el); err != nil && !errors.As(err, new(stream.Error)) {
				t.Fatal(err)
			}
			if open {
				open = st.Receive(t.Context(), el) == nil
			}
		}
		st.Gone(true)
		s.l.Gone()
		s.Close()
		if len(s.back) > 3 || strings.Join(s.back, "") != "123"[3-len(s.back):] && len(s.back) > 0 {
			t.Errorf("came back: %v", s.back)
		}
		for _, el := range elements([]byte(strings.Join(in.got, ""))) {
			if el.Name().Local == "a" && number(t, el.Attr("h")) > st.Received() {
				t.Errorf("%d stanzas, told of %s", st.Received(), el.Attr("h"))
			}
		}
	})
}

// elements are those that text begins with.
func elements(text []byte) (all []*mux.Stanza) {
	for len(text) > 0 {
		var sc xmlscan.Scanner
		sc.Resume(xmlscan.ClientContext(), xmlscan.Limits{})
		k, n, err := sc.Next(text)
		if err != nil || k == xmlscan.None {
			return all
		}
		if k == xmlscan.Element {
			all = append(all, mux.FromScanner(&sc, text[:n]))
		}
		text = text[n:]
	}
	return all
}
