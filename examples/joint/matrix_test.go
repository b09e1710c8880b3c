package joint

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stimulus is something that others do, and what it means for the phone.
type stimulus struct {
	name string
	// send sends it with an id, from whoever of those that are given.
	send func(w *world, from, id string)
	// held says that it is held back for an inactive client.
	held bool
	// end is what becomes of it if the phone does not come back.
	end ending
}

type ending uint8

const (
	forgotten ending = iota
	kept             // like a message that nobody took
	bounced          // like a request that nobody answers
)

func fromOrg(el string) func(w *world, from, id string) {
	return func(w *world, from, id string) {
		w.org.Send(strings.NewReplacer("FROM", from+"@example.org/x", "PHONE", phoneJID, "DESK", deskJID, "ID", id).Replace(el))
	}
}

var stimuli = []stimulus{
	{"presence", fromOrg("<presence from='FROM' to='PHONE' id='ID'/>"), true, forgotten},
	{"chat state", fromOrg("<message from='FROM' to='PHONE' type='chat' id='ID'>" + typing + "</message>"), true, forgotten},
	{"message", fromOrg("<message from='FROM' to='PHONE' type='chat' id='ID'>" + body + "</message>"), false, kept},
	{"copy of one received", fromOrg("<message from='FROM' to='DESK' type='chat' id='ID'>" + body + "</message>"), false, forgotten},
	{"copy of a chat state received", fromOrg("<message from='FROM' to='DESK' type='chat' id='ID'>" + typing + "</message>"), true, forgotten},
	{"copy of one sent", func(w *world, from, id string) {
		w.desk.Send("<message to='" + from + "@example.org/x' type='chat' id='" + id + "'>" + body + "</message>")
	}, false, forgotten},
	{"copy of a chat state sent", func(w *world, from, id string) {
		w.desk.Send("<message to='" + from + "@example.org/x' type='chat' id='" + id + "'>" + typing + "</message>")
	}, false, forgotten},
	{"event", fromOrg("<message from='FROM' to='PHONE' type='headline' id='ID'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'><item id='1'/></items></event></message>"), true, forgotten},
	{"IQ", fromOrg("<iq from='FROM' to='PHONE' type='get' id='ID'><ping xmlns='urn:xmpp:ping'/></iq>"), false, bounced},
}

// ways are how it goes on after the first stimulus, with the second in between.
var ways = []struct {
	name string
	gone func(w *world)
	back bool
}{
	{"live", nil, false},
	{"resumed", func(w *world) { w.phone.Drop() }, true},
	{"expired", func(w *world) { w.phone.Drop() }, false},
	{"restarted", func(w *world) {
		w.restart()
		w.others()
	}, true},
	{"restarted while away", func(w *world) {
		w.phone.Drop()
		w.restart()
		w.others()
	}, true},
	{"restarted and expired", func(w *world) {
		w.restart()
		w.others()
	}, false},
}

// TestMatrix: COMB-7, COMB-8, COMB-10, CSI-12, CSI-13, FI-27, FI-42: whatever is sent to
// a client, active or not, before and while it is away, it gets once, in order and
// counted; or, if it does not come back, it goes where it belongs, once.
func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, away := range []bool{false, true} {
		for _, way := range ways {
			for _, x := range stimuli {
				state := "active"
				if away {
					state = "inactive"
				}
				t.Run(strings.Join([]string{state, way.name, x.name}, "/"), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, nil)
						if away {
							w.phone.Send(inactive)
						}
						x.send(w, "a", "s1")
						first, rest := "s1", "s2"
						if away && x.held {
							first, rest = "", "s1 s2"
						}
						w.want(first)
						if way.gone == nil {
							w.live(x, away)
							return
						}
						way.gone(w)
						x.send(w, "b", "s2")
						w.away(x, away)
						if way.back {
							w.resume()
							w.want("resumed " + rest)
							w.counted()
							return
						}
						w.expired(x)
					})
				})
			}
		}
	}
}

// live is the second stimulus for a client that is there.
func (w *world) live(x stimulus, away bool) {
	w.t.Helper()
	x.send(w, "b", "s2")
	if !away || !x.held {
		w.want("s2")
		w.counted()
		return
	}
	w.want("")
	w.phone.Send(active)
	got, asked := w.got()
	if got != "s1 s2" || asked != 1 {
		w.t.Errorf("got %q and was asked %d times", got, asked)
	}
	w.counted()
}

// away checks where everything is while the client is not there.
func (w *world) away(x stimulus, away bool) {
	w.t.Helper()
	held, sent := w.held.Stats().Holding, w.sent.Stats().Queued
	want := 0
	if away && x.held {
		want = 2
	}
	if held != want || sent != 2-want {
		w.t.Errorf("%d held and %d sent, want %d and %d", held, sent, want, 2-want)
	}
}

// expired is the end of a session whose client does not come back.
func (w *world) expired(x stimulus) {
	w.t.Helper()
	time.Sleep(11 * time.Minute)
	synctest.Wait()
	messages, errors := "", ""
	switch x.end {
	case kept:
		messages = "s1 s2"
	case bounced:
		errors = "s1 s2"
	}
	if got := strings.Join(w.kept.ids, " "); got != messages {
		w.t.Errorf("kept %q, want %q", got, messages)
	}
	if got := w.bounced(); got != errors {
		w.t.Errorf("sent back %q, want %q", got, errors)
	}
	if n := w.held.Stats(); n.Holding != 0 || w.sent.Stats().Queued != 0 {
		w.t.Errorf("%d are still held", n.Holding)
	}
	w.resume()
	w.phone.Expect("<failed xmlns='urn:xmpp:sm:3' h='0'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
}
