// Package nick is what people call themselves: XEP-0172: User Nickname, version 1.1, in
// the node of an account and in what is sent to somebody for the first time. It is for
// clients; for servers it is a node like any other.
//
//	names, stop, err := nick.Watch(client, changed)
//	…
//	shown := names.Name(contact, nameInRoster, nameInCard)
//
// # Security
//
// Anybody may call himself what he likes, also what others are called (§5): a nickname
// must not stand for an address where it matters who somebody is. Names are cut, and
// freed of what would change the text around them, see [Clean].
package nick

import (
	"context"
	"encoding/xml"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// NS is the namespace, and the node.
const NS = "http://jabber.org/protocol/nick"

// Name is the element.
var Name = xml.Name{Space: NS, Local: "nick"}

// maxName is how long a name may be, in characters.
const maxName = 128

// Clean is a name as it may be shown: without control characters and those that change
// the direction of text, in one line, with single blanks, and of at most 128 characters.
func Clean(name string) string {
	var b strings.Builder
	n, blank := 0, false
	for len(name) > 0 && n < maxName {
		r, size := utf8.DecodeRuneInString(name)
		name = name[size:]
		switch {
		case unicode.IsSpace(r):
			blank = true
			continue
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == utf8.RuneError && size == 1, invisible(r):
			continue
		}
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
			n++
		}
		blank = false
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}

// invisible are marks that show nothing and join nothing.
func invisible(r rune) bool {
	switch r {
	case '\u200b', '\u2060', '\ufeff', '\ufff9', '\ufffa', '\ufffb':
		return true
	}
	return r >= 0xe0000 && r <= 0xe0fff && r != 0xe007f && (r < 0xe0020 || r > 0xe007e) // all tags but those of flags
}

// Element is the element with a name, for the first message to somebody (XEP-0172 §4.2)
// or for what asks somebody to be subscribed; see [Subscribe].
func Element(name string) xmlstream.Marshaler { return element(Clean(name)) }

type element string

// TokenReader implements xmlstream.Marshaler.
func (e element) TokenReader() xml.TokenReader {
	var inner xml.TokenReader
	if e != "" {
		inner = xmlstream.Token(xml.CharData(e))
	}
	return xmlstream.Wrap(inner, xml.StartElement{Name: Name})
}

// Of is the name that a stanza brings, cleaned: a message, or presence that asks to be
// subscribed. Elsewhere it says nothing (XEP-0172 §4.1).
func Of(s *mux.Stanza) (name string, ok bool) {
	switch {
	case s.Kind() == mux.Message && s.Type() != "error" && s.Type() != "groupchat":
	case s.Kind() == mux.Presence && s.Type() == "subscribe":
	default:
		return "", false
	}
	c, ok := s.Child(Name)
	if !ok {
		return "", false
	}
	name = Clean(c.Text())
	return name, name != ""
}

// Subscribe asks somebody for his presence, and says what the own account is called
// (XEP-0172 §4.1).
func Subscribe(ctx context.Context, s *xmpp.Session, to jid.JID, name string) error {
	var payload xml.TokenReader
	if e := element(Clean(name)); e != "" {
		payload = e.TokenReader()
	}
	ctx, done := asking.Context(ctx)
	defer done()
	return s.Send(ctx, stanza.Presence{Type: stanza.SubscribePresence, To: to.Bare()}.Wrap(payload))
}

// Set publishes what the own account is called, for those who see its presence (XEP-0172
// §4.3); an empty name takes it back. Errors are those of [pep.Client].
func Set(ctx context.Context, c *pep.Client, name string) error {
	_, err := c.Publish(ctx, NS, "current", element(Clean(name)), nil)
	return err
}

// Names knows what contacts call themselves. Make one with Watch.
type Names struct {
	mu sync.Mutex // guards what follows
	m  map[mux.Address]string
}

// Watch has names told, of the own account and of contacts: changed is called with each
// that is another than before, empty for none any more; nil for nobody.
func Watch(c *pep.Client, changed func(ctx context.Context, of jid.JID, name string)) (n *Names, stop func(), err error) {
	n = &Names{m: make(map[mux.Address]string)}
	stop, err = c.Watch(pep.Watch{Node: NS, From: pep.FromContacts, Payload: Name, MaxPayload: 4096, Handle: func(ctx context.Context, e pep.Event) {
		switch e.Kind {
		case pep.ItemPublished, pep.ItemRetracted, pep.NodePurged, pep.NodeDeleted, pep.Missed:
		default:
			return
		}
		p, err := c.Current(ctx, e)
		if err != nil {
			return
		}
		name := ""
		if p.Payload != "" {
			var v struct {
				XMLName xml.Name `xml:"http://jabber.org/protocol/nick nick"`
				Text    string   `xml:",chardata"`
			}
			if err := p.Decode(&v); err != nil {
				return
			}
			name = Clean(v.Text)
		}
		if n.set(mux.AddressOf(e.From), name) && changed != nil {
			changed(ctx, e.From, name)
		}
	}})
	return n, stop, err
}

func (n *Names) set(of mux.Address, name string) (changed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.m[of]
	if name == "" {
		delete(n.m, of)
	} else {
		n.m[of] = name
	}
	return old != name
}

// Nick is what somebody calls himself, empty if he does not say.
func (n *Names) Nick(of jid.JID) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.m[mux.AddressOf(of.Bare())]
}

// Forget forgets somebody, such as a contact that was removed.
func (n *Names) Forget(of jid.JID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.m, mux.AddressOf(of.Bare()))
}

// Name is what to show for somebody: the name that the user has given him in the roster,
// else his nickname, else the name in his card, else the local part of the address, or the
// address if it has none. What is not known is empty.
func (n *Names) Name(of jid.JID, inRoster, inCard string) string {
	for _, name := range []string{Clean(inRoster), n.Nick(of), Clean(inCard), of.Localpart()} {
		if name != "" {
			return name
		}
	}
	return of.Bare().String()
}
