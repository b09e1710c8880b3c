package carbons_test

import (
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// matrix is the table of which messages are copied.
type matrix []map[string]string

func readMatrix(t *testing.T) (m matrix) {
	t.Helper()
	f, err := os.Open("../docs/conformance/carbons-matrix.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		cells := make(map[string]string)
		for i, name := range rows[0] {
			cells[name] = row[i]
		}
		m = append(m, cells)
	}
	return m
}

// find is the number of the first row that matches.
func (m matrix) find(cell map[string]string) int {
	return slices.IndexFunc(m, func(row map[string]string) bool {
		for name, value := range cell {
			if row[name] != "*" && !slices.Contains(strings.Fields(row[name]), value) {
				return false
			}
		}
		return true
	})
}

const (
	body   = "<body>x</body>"
	room   = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
	event  = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>"
	result = "<result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'/></result>"
	ask    = "<request xmlns='urn:xmpp:receipts'/>"
)

var types = []string{"chat", "normal", "none", "unknown", "headline", "groupchat", "answer", "error"}

// payloads and hints are what the names in the table stand for.
var (
	payloads = map[string]string{
		"empty":                "",
		"subject":              "<subject>x</subject><thread>1</thread>",
		"body":                 body,
		"receipt-request":      ask,
		"receipt-received":     "<received xmlns='urn:xmpp:receipts' id='1'/>",
		"active":               "<active xmlns='http://jabber.org/protocol/chatstates'/>",
		"markable":             "<markable xmlns='urn:xmpp:chat-markers:0'/>",
		"displayed":            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
		"conference":           "<x xmlns='jabber:x:conference' jid='darkcave@example.org'/>",
		"invite":               "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@example.org'/></x>",
		"room":                 room,
		"decline":              "<x xmlns='http://jabber.org/protocol/muc#user'><decline to='a@example.org'><reason>no invitation &lt;invite/></reason></decline></x>",
		"room+body":            room + body,
		"room+receipt":         room + ask,
		"event":                event,
		"event+body":           event + body,
		"archive-result":       result,
		"archive-result+body":  result + body,
		"forged-sent":          "<sent xmlns='urn:xmpp:carbons:2'/>",
		"forged-sent+body":     "<sent xmlns='urn:xmpp:carbons:2'/>" + body,
		"forged-received+body": "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>" + body,
		"encrypted":            "<encrypted xmlns='eu.siacs.conversations.axolotl'/><encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>",
		"jingle":               "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
		"reaction":             "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
		"correction":           "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
		"unknown":              "<x xmlns='urn:example:unknown'/>",
	}
	hints = map[string]string{
		"none":            "",
		"private":         "<private xmlns='urn:xmpp:carbons:2'/>",
		"no-copy":         "<no-copy xmlns='urn:xmpp:hints'/>",
		"private+no-copy": "<private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>",
		"store":           "<store xmlns='urn:xmpp:hints'/>",
		"no-store":        "<no-store xmlns='urn:xmpp:hints'/>",
	}
)

// scene are two people with two sessions each, of which the second has enabled
// carbons and gets no message itself that is for the account.
type scene struct {
	romeo, juliet     *muxtest.Client
	ofRomeo, ofJuliet *muxtest.Client
	everybody         []*muxtest.Client
}

func newScene(t *testing.T) *scene {
	h := muxtest.New(t, &mux.Options{NoRecover: true}, carbons.New(nil))
	s := &scene{
		romeo: h.Connect(t, "romeo@example.net/a"), ofRomeo: h.Connect(t, "romeo@example.net/b"),
		juliet: h.Connect(t, "juliet@example.net/a"), ofJuliet: h.Connect(t, "juliet@example.net/b"),
	}
	s.everybody = []*muxtest.Client{s.romeo, s.ofRomeo, s.juliet, s.ofJuliet}
	for i, c := range s.everybody {
		c.Send("<presence><priority>" + fmt.Sprint(1-i%2) + "</priority></presence>")
	}
	s.ofRomeo.Send(enable)
	s.ofJuliet.Send(enable)
	s.clear()
	return s
}

const enable = "<iq type='set' id='on'><enable xmlns='urn:xmpp:carbons:2'/></iq>"

func (s *scene) clear() {
	for _, c := range s.everybody {
		c.Clear()
	}
}

// wrapper is a copy as an independent parser sees it.
type wrapper struct {
	From     string  `xml:"from,attr"`
	To       string  `xml:"to,attr"`
	Type     string  `xml:"type,attr"`
	Sent     *holder `xml:"urn:xmpp:carbons:2 sent"`
	Received *holder `xml:"urn:xmpp:carbons:2 received"`
}

type holder struct {
	Forwarded []struct {
		Inner []struct {
			From string `xml:"from,attr"`
			To   string `xml:"to,attr"`
			Type string `xml:"type,attr"`
			ID   string `xml:"id,attr"`
		} `xml:"jabber:client message"`
	} `xml:"urn:xmpp:forward:0 forwarded"`
}

// copies takes what has arrived at a client and returns the copies, each as its
// direction and the id of its message.
func copies(t *testing.T, c *muxtest.Client) (found []string) {
	t.Helper()
	for _, el := range c.Arrived() {
		if id := copyOf(t, el, c.Session.JID()); id != "" {
			found = append(found, id)
		}
	}
	c.Clear()
	return found
}

// copyOf is the direction and the id of a copy, empty for another element.
func copyOf(t *testing.T, el string, to mux.Address) string {
	t.Helper()
	var w wrapper
	if err := xml.Unmarshal([]byte(el), &w); err != nil {
		t.Fatal(err)
	}
	way, h := "sent", w.Sent
	if h == nil {
		way, h = "received", w.Received
	}
	if h == nil || w.From != to.Bare().String() {
		return ""
	}
	if len(h.Forwarded) != 1 || len(h.Forwarded[0].Inner) != 1 {
		t.Errorf("not one message in the copy: %s", el)
		return ""
	}
	m := h.Forwarded[0].Inner[0]
	if w.To != to.String() || w.Type != m.Type || m.From == "" || m.To == "" {
		t.Errorf("addresses or type of the copy: %s", el)
	}
	return way + " " + m.ID
}

// TestMatrix sends every combination of type, payload, hint and kind of address, and
// looks for the copies that the table of conformance demands.
func TestMatrix(t *testing.T) {
	t.Parallel()
	m := readMatrix(t)
	used := make([]bool, len(m))
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		n := 0
		for _, typ := range types {
			for payload := range payloads {
				for hint := range hints {
					for _, addressed := range []string{"bare", "full"} {
						n++
						id := fmt.Sprint("m", n)
						s.play(t, id, typ, payloads[payload]+hints[hint], addressed)
						cell := map[string]string{"type": typ, "payload": payload, "hint": hint, "addressed": addressed}
						for role, c := range map[string]*muxtest.Client{"sent": s.ofRomeo, "received": s.ofJuliet} {
							cell["role"] = role
							row := m.find(cell)
							if row < 0 {
								t.Fatalf("no row for %v", cell)
							}
							used[row] = true
							s.check(t, cell, m[row], id, copies(t, c))
						}
						s.clear()
					}
				}
			}
		}
		t.Logf("%d messages", n)
	})
	for i, u := range used {
		if !u {
			t.Errorf("row %d decides nothing: %v", i+1, m[i])
		}
	}
}

// play has romeo send one message to juliet.
func (s *scene) play(t *testing.T, id, typ, children, addressed string) {
	t.Helper()
	to, wire := "juliet@example.net", ""
	if addressed == "full" {
		to += "/a"
	}
	switch typ {
	case "none":
	case "answer":
		s.juliet.Send("<message type='chat' id='" + id + "' to='romeo@example.net/a'><body>x</body></message>")
		if len(copies(t, s.ofRomeo)) != 1 || len(copies(t, s.ofJuliet)) != 1 {
			t.Errorf("what is answered was not copied")
		}
		s.clear()
		fallthrough
	case "error":
		wire = " type='error'"
		children += "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	default:
		wire = " type='" + typ + "'"
	}
	s.romeo.Send("<message id='" + id + "' to='" + to + "'" + wire + ">" + children + "</message>")
}

func (s *scene) check(t *testing.T, cell, row map[string]string, id string, got []string) {
	t.Helper()
	var want []string
	if row["copied"] == "yes" {
		want = []string{cell["role"] + " " + id}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v: copies %q, want %q (%s)", cell, got, want, row["rule"])
	}
}
