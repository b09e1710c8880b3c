package offline_test

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
)

// device is a client of juliet's that comes and goes as it likes.
type device struct {
	t    *testing.T
	h    *muxtest.Host
	m    *model
	c    *muxtest.Client // nil while it is not connected
	sm   bool            // has stream management on
	id   string          // of the session, while it may be resumed
	got  uint32          // stanzas since stream management is on
	over bool            // the server has ended the stream
	gone []string        // messages that came since the last acknowledgement
}

// model is what was sent, and what became of it.
type model struct {
	shown   map[string]int  // how often people see a message that does not look the same
	double  map[string]bool // may have come twice: it was not acknowledged in a session that ended
	found   map[string]bool // in the archive
	refused map[string]bool
	log     []string

	// Until when a session may wait for a device that has begun another one, and the
	// messages that both were given. That one of them has shown a message is known
	// until the server stops.
	waits  time.Time
	shared []string
}

var messageResult = xml.Name{Space: "urn:xmpp:mam:2", Local: "result"}

// read takes what has arrived.
func (d *device) read() {
	if d.c == nil {
		return
	}
	for _, el := range d.c.Arrived() {
		s, err := mux.Parse([]byte(el))
		if err != nil { // the end of the stream
			d.over = true
			continue
		}
		switch {
		case s.Kind() == mux.Nonza && s.Name().Local == "enabled":
			d.sm, d.id, d.got, d.gone = true, s.Attr("id"), 0, nil
			continue
		case s.Kind() == mux.Nonza:
			continue
		case d.sm:
			d.got++
		}
		if s.Kind() != mux.Message {
			continue
		}
		if s.Has(messageResult) {
			at := strings.Index(el, "<message xmlns='jabber:client'")
			inner, err := mux.Parse([]byte(el[at:strings.Index(el, "</forwarded>")]))
			if err != nil {
				d.t.Fatal(err)
			}
			d.m.found[inner.ID()] = true
			continue
		}
		d.m.shown[s.ID()]++
		if time.Now().Before(d.m.waits) {
			d.m.shared = append(d.m.shared, s.ID())
		}
		d.m.log = append(d.m.log, fmt.Sprintf("  shows %s, sm %t", s.ID(), d.sm))
		if d.sm {
			d.gone = append(d.gone, s.ID())
		}
	}
	d.c.Clear()
}

// ended notes that the session is gone, or will be, with what was not acknowledged.
func (d *device) ended() {
	for _, id := range d.gone {
		d.m.double[id] = true
	}
	d.c, d.over, d.sm, d.id, d.gone = nil, false, false, "", nil
}

// broken notices that the server has given the connection up.
func (d *device) broken() {
	if d.c == nil || d.c.Err() == nil && !d.over {
		return
	}
	if d.c, d.over = nil, false; !d.sm {
		d.ended()
	}
}

// step does something that a client may do at this moment.
func (d *device) step(r *rand.Rand, n int, archived bool) string {
	d.read()
	d.broken()
	if d.c == nil {
		if d.id != "" && r.IntN(2) == 0 {
			d.c = d.h.Dial(d.t, "juliet@example.net")
			d.c.Send("<resume xmlns='" + nsSM + "' previd='" + d.id + "' h='" + fmt.Sprint(d.got) + "'/>")
			if d.c.Session == nil {
				d.ended() // too late
				return "cannot resume"
			}
			d.gone = nil
			d.read()
			return "resumes"
		}
		if d.id != "" {
			d.m.waits = time.Now().Add(10 * time.Minute)
		}
		d.ended()
		d.c = d.h.Connect(d.t, fmt.Sprintf("juliet@example.net/r%d", n))
		if r.IntN(2) == 0 {
			d.c.Send(enable)
		}
		d.read()
		return "connects"
	}
	switch r.IntN(8) {
	case 0, 1:
		d.c.Send("<presence/>")
	case 2:
		d.c.Send("<presence><priority>-1</priority></presence>")
	case 3:
		d.c.Send("<presence type='unavailable'/>")
	case 4, 5:
		if d.sm {
			d.c.Send("<a xmlns='" + nsSM + "' h='" + fmt.Sprint(d.got) + "'/>")
			d.gone = nil
			return "acknowledges"
		}
	case 6:
		if r.IntN(2) == 0 {
			d.c.Close()
			d.read()
			d.ended()
			return "closes"
		}
		sm := d.sm
		d.c.Drop()
		d.read()
		if d.c, d.over = nil, false; !sm {
			d.ended()
		}
		return "drops"
	case 7:
		if archived && r.IntN(3) == 0 {
			d.c.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>250</max></set></query></iq>")
			d.read()
			return "reads the archive"
		}
	}
	d.read()
	return "presence, or nothing"
}

// TestModel: whatever a device does, whatever is restarted and whenever, each message
// is seen, and seen twice only if it was not acknowledged in a session that did not
// come back (COMB-16).
func TestModel(t *testing.T) {
	t.Parallel()
	rounds := 200
	if testing.Short() {
		rounds = 30
	}
	for seed := range rounds {
		for _, archived := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) { runModel(t, uint64(seed), archived) })
			if t.Failed() {
				return
			}
		}
	}
}

// pass lets time pass, that of the bubble.
func pass(d time.Duration) { <-time.After(d) }

func runModel(t *testing.T, seed uint64, archived bool) {
	r := rand.New(rand.NewPCG(seed, 1))
	st := new(stores)
	extensions := func() []mux.Extension { return st.extensions(archived, offline.Options{}) }
	h := muxtest.New(t, &mux.Options{Committer: new(muxtest.Committer), Sessions: &st.sessions, NoRecover: true}, extensions()...)
	h.AddAccount("juliet@example.net")
	m := &model{shown: map[string]int{}, double: map[string]bool{}, found: map[string]bool{}, refused: map[string]bool{}}
	d := &device{t: t, h: h, m: m}
	romeo := h.Connect(t, "romeo@example.net/orchard")
	sent := 0
	note := func(what string) { m.log = append(m.log, what) }
	listen := func() {
		for _, el := range romeo.Arrived() {
			if s, err := mux.Parse([]byte(el)); err == nil && s.Type() == "error" {
				m.refused[s.ID()] = true
				note(s.ID() + " is refused")
			}
		}
		romeo.Clear()
	}
	for n := range 60 {
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			sent++
			hint := ""
			if r.IntN(3) == 0 {
				hint = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
			}
			note(fmt.Sprint("m", sent, hint))
			romeo.Send(fmt.Sprintf("<message to='juliet@example.net' type='chat' id='m%d'><body>x</body>%s</message>", sent, hint))
			pass(time.Second)
		case 4:
			if r.IntN(4) > 0 {
				break
			}
			d.read()
			listen()
			note("restart")
			for _, id := range m.shared {
				m.double[id] = true
			}
			m.shared = nil
			sm := d.sm
			h.Restart(extensions()...)
			d.read()
			if d.c, d.over = nil, false; !sm {
				d.ended()
			}
			romeo = h.Connect(t, "romeo@example.net/orchard")
		case 5:
			if r.IntN(4) == 0 {
				note("6 minutes")
				pass(6 * time.Minute)
				d.read()
				d.broken()
				if d.c == nil {
					d.ended()
				}
			}
		default:
			note(d.step(r, n, archived))
		}
		listen()
	}
	// In the end a device comes that knows no archive, and one that does.
	d.read()
	d.broken()
	if d.c != nil {
		d.c.Close()
	}
	d.ended()
	pass(10 * time.Minute)
	listen()
	last := &device{t: t, h: h, m: m}
	last.c = h.Connect(t, "juliet@example.net/last")
	last.c.Send("<presence/>")
	last.read()
	last.c.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>250</max></set></query></iq>")
	last.read()
	for i := range sent {
		id := fmt.Sprint("m", i+1)
		switch {
		case m.refused[id]:
			t.Errorf("%s was refused", id)
		case m.shown[id] == 0 && !m.found[id]:
			t.Errorf("%s is lost", id)
		case m.shown[id] > 1 && !m.double[id]:
			t.Errorf("%s came %d times", id, m.shown[id])
		}
	}
	if t.Failed() {
		t.Logf("seed %d, archive %t:\n%s", seed, archived, strings.Join(m.log, "\n"))
	}
}
