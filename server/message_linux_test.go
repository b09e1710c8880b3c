package server_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/smacks"
)

// managedEnv tells a child which stream management it has.
const managedEnv = "PROPOLIS_SERVER_SMACKS"

// managed has a child's sessions managed as the environment wants it.
func managed() (mux.SessionStore, []mux.Extension) {
	switch os.Getenv(managedEnv) {
	case "process":
		return nil, []mux.Extension{smacks.New(nil, nil)}
	case "memory":
		return new(mux.MemorySessions), []mux.Extension{smacks.New(new(smacks.Memory), nil)}
	}
	return nil, nil
}

// BenchmarkMessageCPU compares the processor time that a chat message costs a server
// which manages the streams of sender and recipient to that of one which has no
// stream management, over direct TLS. The servers are processes of their own, whose
// turns alternate; the clients are in another, and are not counted. The ratio is the
// median of what the pairs show. Five hundred more people are there and say nothing:
// without them the heap is so small that each kilobyte which is kept has garbage collected
// more often.
//
// Clients ask for an acknowledgement with each tenth message, and answer at once when
// they are asked.
//   - alone: one sender, who waits until each message has arrived;
//   - busy: sixteen of them, and a server with a single processor;
//   - full: each of these has up to eight messages on their way, which the server reads
//     and writes in one piece. What they cost is little, and a good deal of what is added
//     is the write that the client's own question asks for;
//   - rare: each recipient gets a message only every three seconds, and what is
//     acknowledged is by itself.
//
// Sessions end with the process (process), or are kept in a store in memory (memory).
func BenchmarkMessageCPU(b *testing.B) {
	for _, load := range []traffic{
		{name: "alone", pairs: 1, window: 1, each: 1000},
		{name: "busy", pairs: 16, window: 1, each: 100, env: []string{"GOMAXPROCS=1"}},
		{name: "full", pairs: 16, window: 8, each: 250, env: []string{"GOMAXPROCS=1"}},
		{name: "rare", pairs: 100, window: 1, each: 10, every: 3 * time.Second},
	} {
		b.Run(load.name, func(b *testing.B) {
			off := load.talk(b, "")
			for _, kind := range []string{"process", "memory"} {
				b.Run(kind, func(b *testing.B) { compareTalks(b, off, load.talk(b, kind)) })
			}
		})
	}
}

func compareTalks(b *testing.B, off, on *talk) {
	off.t, on.t = b, b
	off.run() // what is done once
	on.run()
	var offs, ons []time.Duration
	var ratios []float64
	for b.Loop() {
		o, n := off.run(), on.run()
		offs, ons = append(offs, o), append(ons, n)
		ratios = append(ratios, float64(n)/float64(o))
	}
	b.ReportMetric(float64(median(offs).Nanoseconds())/1000, "off-µs/msg")
	b.ReportMetric(float64(median(ons).Nanoseconds())/1000, "on-µs/msg")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op")
}

// crowd is how many people say nothing.
const crowd = 500

// traffic is how messages are sent.
type traffic struct {
	name          string
	pairs, window int
	each          int           // messages of a pair in a run
	every         time.Duration // pause between two of a pair
	env           []string
}

// talk is the traffic through one server.
type talk struct {
	traffic
	t       testing.TB
	p       *process
	meter   meter
	senders []*talker
}

// talker is a sender and a recipient, and the goroutines that read for them.
type talker struct {
	from, to *client
	sent, h  int // and how many are acknowledged
	raw      string
	arrived  chan struct{}
	acked    chan int // of the sender's
	managed  bool
}

func (tr traffic) talk(b *testing.B, kind string) *talk {
	t := &talk{traffic: tr, t: b, p: startProcess(b, time.Minute, append(tr.env, managedEnv+"="+kind)...)}
	t.meter = meter{b: b, p: t.p}
	for i := range crowd {
		enter(b, &t.p.site, fmt.Sprintf("mercutio%d", i), "orchard")
	}
	for i := range tr.pairs {
		t.senders = append(t.senders, newTalker(b, &t.p.site, i, kind != "", tr.window))
	}
	return t
}

func newTalker(b *testing.B, s *site, i int, managed bool, window int) *talker {
	k := &talker{from: enter(b, s, fmt.Sprintf("romeo%d", i), "orchard"), to: enter(b, s, fmt.Sprintf("juliet%d", i), "balcony"),
		arrived: make(chan struct{}, window), acked: make(chan int, 1000), managed: managed}
	k.raw = "<message to='" + k.to.jid + "' type='chat' id='purple3ac3'><body>Wherefore art thou, Romeo? Deny thy father and refuse thy name; " +
		"or if thou wilt not, be but sworn my love and I'll no longer be a Capulet.</body><active xmlns='http://jabber.org/protocol/chatstates'/>" +
		"<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='purple3ac3'/></message>"
	for _, c := range []*client{k.from, k.to} {
		if managed {
			c.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
			if got := c.next(); !strings.HasPrefix(got, "<enabled ") {
				b.Fatalf("got %s", got)
			}
		}
		c.patient = true
		go k.listen(c)
	}
	return k
}

// listen reads what a client gets, until its connection ends, which is when the
// server does.
func (k *talker) listen(c *client) {
	for h := 0; ; {
		got, err := c.try()
		switch {
		case err != nil:
			return
		case strings.HasPrefix(got, "<message "):
			h++
			k.arrived <- struct{}{}
		case strings.HasPrefix(got, "<r "):
			if c.write("<a xmlns='urn:xmpp:sm:3' h='"+strconv.Itoa(h)+"'/>") != nil {
				return
			}
		case strings.HasPrefix(got, "<a "):
			_, rest, _ := strings.Cut(got, " h='")
			rest, _, _ = strings.Cut(rest, "'")
			n, _ := strconv.Atoi(rest)
			k.acked <- n
		}
	}
}

// say sends messages, so many at a time, and returns when all have arrived and the
// server has acknowledged them.
func (k *talker) say(n, window int) error {
	for i := range n {
		if i >= window {
			<-k.arrived
		}
		text := k.raw
		if k.sent++; k.managed && k.sent%10 == 0 {
			text += "<r xmlns='urn:xmpp:sm:3'/>"
		}
		if err := k.from.write(text); err != nil {
			return err
		}
	}
	for range min(n, window) {
		<-k.arrived
	}
	for k.managed && k.h < k.sent/10*10 {
		k.h = <-k.acked
	}
	return nil
}

// run is what a message costs.
func (t *talk) run() time.Duration {
	start := t.meter.quiet()
	var each sync.WaitGroup
	errs := make([]error, len(t.senders))
	if t.every > 0 {
		for n := range t.each * len(t.senders) {
			<-time.After(t.every / time.Duration(len(t.senders)))
			i := n % len(t.senders)
			must(t.t, t.senders[i].say(1, t.window))
		}
		return (t.meter.quiet() - start) / time.Duration(t.each*len(t.senders))
	}
	for i, k := range t.senders {
		each.Go(func() { errs[i] = k.say(t.each, t.window) })
	}
	each.Wait()
	for _, err := range errs {
		must(t.t, err)
	}
	return (t.meter.quiet() - start) / time.Duration(t.each*len(t.senders))
}
