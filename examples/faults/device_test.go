package faults

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

const (
	nsSM      = "urn:xmpp:sm:3"
	nsCarbons = "urn:xmpp:carbons:2"
	nsForward = "urn:xmpp:forward:0"
	nsMAM     = "urn:xmpp:mam:2"
	nsTest    = "urn:x-test:session"
)

// message is one that a device has sent.
type message struct {
	id       string
	from     *device
	in       *attachment // the session it was sent in
	to       string      // bare or full
	typ      string
	more     string // children beside the body
	n        int    // a presence, the nth of its sender to this device
	at       time.Time
	accepted bool // its sender was told that the server has it
	unsure   bool // its sender will never know
	bounced  bool
	seen     map[*device][]sighting
}

// sighting is that a device has seen a message.
type sighting struct {
	in   *attachment
	pos  uint32 // how many stanzas it had taken then
	how  string
	late bool   // it says from when it is
	name string // in the archive of the device's account, empty for none
	at   time.Time
}

// attachment is one session of a device, over all its connections.
type attachment struct {
	d       *device
	n       int // the nth of its device
	start   int // and of the server
	left    int // how often it was seen to go
	acks    []ack
	ended   bool // it was not resumed
	endedAt time.Time
	shown   int                 // presences sent to everybody
	sees    map[string]*contact // others, see presence
}

// ack is an acknowledgement that the server has got.
type ack struct {
	h  uint32
	at time.Time
}

// sure is up to which stanza the server certainly knows; after a kill what it was
// told last may not have become durable.
func (a *attachment) sure(killed bool, now time.Time) (h uint32) {
	for _, k := range a.acks {
		if !killed || now.Sub(k.at) > time.Second {
			h = k.h
		}
	}
	return h
}

// device is a client of an account.
type device struct {
	w        *world
	account  string
	resource string
	managed  bool // uses Stream Management
	copies   bool // uses carbons
	reads    bool // reads its archive in place of what is stored
	priority int

	c        *muxtest.Client // nil while there is no connection
	broken   bool            // the server has ended it
	s        *attachment
	sessions []*attachment
	enabled  bool
	token    string
	in, out  uint32     // stanzas taken and sent since it was enabled
	unacked  []*message // sent, in order; nil for other stanzas
	steady   time.Time  // since when nothing is missed, zero for not at all
	last     string     // of the archive
	queries  int
	cutAt    time.Time
	noise    map[string]int // the last presence seen in this session, by sender
}

func (d *device) full() string { return d.account + "/" + d.resource }

func (d *device) String() string { return d.full() }

// login begins a new session.
func (d *device) login() {
	d.w.note("%s logs in (managed %t, copies %t, reads %t, priority %d)", d, d.managed, d.copies, d.reads, d.priority)
	d.fail()
	d.s = &attachment{d: d, n: len(d.sessions), start: d.w.starts, sees: make(map[string]*contact)}
	d.sessions = append(d.sessions, d.s)
	d.noise = make(map[string]int)
	d.in, d.out, d.enabled, d.token, d.unacked = 0, 0, false, "", nil
	d.c = d.w.host.Connect(d.w.t, d.full())
	d.w.opened(d.c)
	if d.copies {
		d.c.Send("<iq type='set' id='c'><enable xmlns='" + nsCarbons + "'/></iq>")
	}
	if d.reads {
		d.sync()
	}
	if d.managed {
		d.c.Send("<enable xmlns='" + nsSM + "' resume='true'/>")
		d.take(-1)
	}
	d.send(d.presence(), nil)
	d.take(-1)
	d.steady = time.Now()
}

// replace begins a new session with the same resource, in place of one that is
// connected.
func (d *device) replace() {
	if !d.managed {
		d.take(-1) // without Stream Management nobody could know what is lost
	}
	old := d.c
	d.login()
	if old != nil {
		old.Clear() // among it that there is another one now
	}
}

// fail gives up the session: what is not acknowledged may come again, and what was
// sent last may have been handled or not.
func (d *device) fail() {
	if d.s != nil {
		d.s.ended, d.s.endedAt = true, time.Now()
	}
	for _, m := range d.unacked {
		if m != nil && !m.accepted {
			m.unsure = true
		}
	}
	d.unacked, d.token, d.enabled, d.steady = nil, "", false, time.Time{}
}

// send sends a stanza, which is a message or nil.
func (d *device) send(raw string, m *message) {
	if d.enabled {
		d.out++
		d.unacked = append(d.unacked, m)
	}
	d.c.Send(raw)
}

// say sends a message.
func (d *device) say(to string) { d.sayAs(to, "chat", "") }

// sayAs sends one of a type, with more than a body.
func (d *device) sayAs(to, typ, more string) {
	w := d.w
	m := &message{id: fmt.Sprintf("m%d", len(w.messages)), from: d, in: d.s, to: to, typ: typ, more: more, at: time.Now(), seen: make(map[*device][]sighting)}
	w.messages = append(w.messages, m)
	w.note("%s sends %s to %s", d, m.id, to)
	d.send(m.raw(), m)
	if !d.enabled {
		m.accepted = !w.commit.holding && !d.over()
		m.unsure = !m.accepted
	}
}

// looks makes a request that leaves nothing behind, and yet counts.
func (d *device) looks() {
	d.send("<iq type='get' id='look'><query xmlns='jabber:iq:roster'/></iq>", nil)
}

// hums sends a presence to a device, which is nothing that an inactive one needs now.
func (d *device) hums(to *device) {
	w := d.w
	n := 1
	for _, m := range w.noise {
		if m.from == d && m.to == to.full() {
			n++
		}
	}
	m := &message{from: d, in: d.s, to: to.full(), n: n, at: time.Now()}
	w.noise = append(w.noise, m)
	w.note("%s sends presence %d to %s", d, n, to)
	d.send(m.raw(), m)
}

// says whether it is active; nobody answers that.
func (d *device) says(state string) {
	d.w.note("%s says %s", d, state)
	d.c.Send("<" + state + " xmlns='" + csi.NS + "'/>")
}

// heard notes a presence of another device: of those that are held back the last one
// stays, and nothing comes out of order.
func (d *device) heard(el *mux.Stanza) {
	c, ok := el.Child(name(mux.NSClient, "status"))
	if !ok {
		return
	}
	n, from := int(atou(c.Text())), el.From().String()
	d.w.note("%s sees presence %d of %s at %d", d, n, from, d.in)
	if n <= d.noise[from] {
		d.w.t.Errorf("%s sees presence %d of %s after %d", d, n, from, d.noise[from])
	}
	d.noise[from] = n
}

func (m *message) raw() string {
	if m.n > 0 {
		return fmt.Sprintf("<presence to='%s'><status>%d</status><session xmlns='%s' n='%d'/></presence>", m.to, m.n, nsTest, m.in.n)
	}
	return "<message to='" + m.to + "' type='" + m.typ + "' id='" + m.id + "'><body>" + m.id + "</body>" + m.more + "</message>"
}

// cut breaks the connection: of what is under way the device takes n elements more.
func (d *device) cut(n int) {
	d.take(n)
	if d.c == nil {
		return
	}
	d.cutAt = time.Now()
	d.w.note("%s is cut off", d)
	d.c.Drop()
	d.c.Clear()
	d.c = nil
	if !d.enabled || d.token == "" {
		d.fail()
	}
}

// lost: the server has gone.
func (d *device) lost(killed bool) {
	if d.c == nil {
		d.forgetAcks(killed)
		return
	}
	if !killed || !d.enabled {
		d.take(-1) // a server that stops has its connections write; without Stream Management nobody knows what is lost
	}
	if d.c != nil {
		d.c.Clear()
	}
	d.c, d.broken = nil, false
	d.forgetAcks(killed)
	if !d.enabled || d.token == "" {
		d.fail()
	}
}

// forgetAcks drops acknowledgements that a killed server may not remember.
func (d *device) forgetAcks(killed bool) {
	if d.s == nil || !killed {
		return
	}
	h := d.s.sure(true, time.Now())
	d.s.acks = []ack{{h: h}}
}

// resume goes on where the connection broke, or logs in.
func (d *device) resume() {
	if d.token == "" {
		d.login()
		return
	}
	d.w.note("%s resumes with h=%d", d, d.in)
	d.resumeOn(d.resuming())
	d.w.settle()
}

// resuming is a connection on which the session is to go on.
func (d *device) resuming() *muxtest.Client {
	c := d.w.host.Dial(d.w.t, d.account)
	d.w.opened(c)
	c.Write("<resume xmlns='" + nsSM + "' previd='" + d.token + "' h='" + utoa(d.in) + "'/>")
	return c
}

// takeOver resumes while the connection is still there, which has broken for the device
// alone; with stanzas on it that the server has not finished.
func (d *device) takeOver(r *rand.Rand) {
	w := d.w
	w.note("%s resumes with h=%d beside its connection", d, d.in)
	w.commit.Hold()
	w.commit.holding = true
	for range r.IntN(4) {
		d.say(w.recipient(r, d))
	}
	old := d.c
	c := d.resuming()
	w.settle() // it has to wait
	w.commit.holding = false
	w.commit.Release()
	d.resumeOn(c)
	old.Clear()
}

// resumeTwice resumes on two connections at once, of which one at most goes on: the other
// is refused, or superseded.
func (d *device) resumeTwice() {
	d.w.note("%s resumes twice with h=%d", d, d.in)
	cs := [2]*muxtest.Client{d.resuming(), d.resuming()}
	d.w.settle()
	for i, c := range cs {
		if over(c) || len(c.Arrived()) == 0 || !strings.HasPrefix(c.Arrived()[0], "<resumed") {
			continue
		}
		cs[1-i].Drop()
		cs[1-i].Clear()
		d.resumeOn(c)
		return
	}
	d.w.note("%s has failed twice", d)
	for _, c := range cs {
		c.Drop()
		c.Clear()
	}
}

// resumeInTime resumes at the very end of the time for which the server waits.
func (d *device) resumeInTime(early time.Duration) {
	if left := time.Until(d.cutAt.Add(d.w.cfg.window - early)); left > 0 {
		d.w.sleep(left)
	}
	d.resume()
}

// resumeOn takes the answer to resume.
func (d *device) resumeOn(c *muxtest.Client) {
	d.w.settle()
	d.c = c
	el, ok := d.next()
	if !ok {
		d.w.t.Errorf("%s: no answer to resume", d)
		return
	}
	d.s.acks = append(d.s.acks, ack{d.in, time.Now()})
	if el.Name().Local != "resumed" {
		d.w.note("%s is refused: %s", d, el.Append(nil, ""))
		d.s.acks = d.s.acks[:len(d.s.acks)-1]
		if h := el.Attr("h"); h != "" {
			d.acked(h)
		}
		d.c.Drop()
		d.login()
		return
	}
	d.acked(el.Attr("h"))
	again := d.unacked
	d.w.note("%s is resumed, sends %d again", d, len(again))
	for _, m := range again {
		if m == nil {
			d.c.Send(d.presence())
			continue
		}
		d.c.Send(m.raw())
	}
}

// acked: the server has handled h of our stanzas.
func (d *device) acked(text string) {
	h := atou(text)
	first := d.out - uint32(len(d.unacked))
	n := h - first
	if n > uint32(len(d.unacked)) {
		d.w.t.Errorf("%s: h is %d, of %d sent %d were acknowledged before", d, h, d.out, first)
		return
	}
	for _, m := range d.unacked[:n] {
		if m != nil {
			m.accepted = true
		}
	}
	d.unacked = d.unacked[n:]
}

// presence is what the device shows to everybody; it says in which session.
func (d *device) presence() string {
	d.s.shown++
	return fmt.Sprintf("<presence><priority>%d</priority><session xmlns='%s' n='%d'/></presence>", d.priority, nsTest, d.s.n)
}

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func atou(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

// next takes one element.
func (d *device) next() (*mux.Stanza, bool) {
	if d.c == nil || len(d.c.Arrived()) == 0 {
		return nil, false
	}
	raw := d.c.Next()
	if strings.HasPrefix(raw, "</") || raw == muxtest.Dropped || strings.HasPrefix(raw, "<stream:error") {
		d.w.note("%s: %s", d, raw)
		d.broken = true
		return nil, false
	}
	el, err := mux.Parse([]byte(raw))
	if err != nil {
		d.w.t.Errorf("%s got %q: %v", d, raw, err)
		return nil, false
	}
	return el, true
}

// take takes n elements, or all. At the end of them it may find that the connection
// is.
func (d *device) take(n int) {
	for ; n != 0; n-- {
		el, ok := d.next()
		if !ok {
			break
		}
		d.got(el)
	}
	if d.broken && d.c != nil {
		d.w.note("%s finds its connection broken", d)
		d.c.Clear()
		d.c, d.broken = nil, false
		if !d.enabled || d.token == "" {
			d.fail()
		}
	}
}

func name(space, local string) xml.Name { return xml.Name{Space: space, Local: local} }

// acknowledge says what was taken.
func (d *device) acknowledge() {
	if !d.enabled {
		return
	}
	if d.over() {
		return // it reaches nobody any more
	}
	d.c.Send("<a xmlns='" + nsSM + "' h='" + utoa(d.in) + "'/>")
	d.s.acks = append(d.s.acks, ack{d.in, time.Now()})
}

// over reports whether the server has ended the connection, although the device has
// not got as far yet.
func (d *device) over() bool { return over(d.c) }

func over(c *muxtest.Client) bool {
	for _, raw := range c.Arrived() {
		if raw == muxtest.Dropped || strings.HasPrefix(raw, "</") {
			return true
		}
	}
	return false
}

// ask wants to know what the server has.
func (d *device) ask() {
	if d.enabled {
		d.c.Send("<r xmlns='" + nsSM + "'/>")
	}
}

// sync reads the archive from where it was read last.
func (d *device) sync() {
	if d.c == nil || !d.w.cfg.archive {
		return
	}
	for {
		d.queries++
		before := d.last
		page := "<max>50</max>"
		if before != "" {
			page += "<after>" + before + "</after>"
		}
		d.send("<iq type='set' id='q"+strconv.Itoa(d.queries)+"'><query xmlns='"+nsMAM+"' queryid='q'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"+nsMAM+"</value></field></x><set xmlns='http://jabber.org/protocol/rsm'>"+page+"</set></query></iq>", nil)
		d.w.settle()
		d.take(-1)
		if d.last == before {
			return
		}
	}
}
