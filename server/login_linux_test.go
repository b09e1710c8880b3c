package server_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	xdg "github.com/xdg-go/scram"

	"github.com/propolis-im/propolis/sasl2"
)

// BenchmarkLoginCPU compares the processor time that a login costs a server, from
// the connection to the session, over direct TLS and bound to the channel, to that
// of a bare TLS handshake by crypto/tls with the same certificate, key exchange and
// session tickets in the same process. No TLS session is taken up again. The client
// is in another process, and makes batches of either in turn. The ratio is the
// median of what the rounds show; whole-ratio counts the end of the connections, too.
//
// What a client of each kind sends in one piece is what it can know to send:
//   - sasl1: SCRAM-SHA-256-PLUS and bind, in five round trips;
//   - sasl2: SCRAM-SHA-256-PLUS with Bind 2, stream management and carbons, the
//     first message right behind the stream header: two round trips;
//   - fast: the same with a token: one.
//
// floor-ratio is what the round trips cost by themselves: that of crypto/tls alone,
// which takes and sends as many octets as often and does nothing else.
//
// The clients come one after another to a server that is idle between what they send,
// or eight at a time to one with a single processor, which is busy.
func BenchmarkLoginCPU(b *testing.B) {
	for _, load := range []struct {
		name    string
		clients int
		env     []string
	}{
		{"alone", 1, nil}, {"busy", 8, []string{"GOMAXPROCS=1"}},
	} {
		b.Run(load.name, func(b *testing.B) {
			p := startProcess(b, time.Minute, append(load.env, scramEnv+"=yes")...)
			m := &meter{p: p, clients: load.clients, config: &tls.Config{InsecureSkipVerify: true, ServerName: domain}}
			for _, kind := range []struct {
				name  string
				login func(i int) *client
			}{
				{"sasl1", m.sasl1}, {"sasl2", m.sasl2}, {"fast", m.fast},
			} {
				b.Run(kind.name, func(b *testing.B) {
					m.b = b
					m.compare(b, kind.login)
				})
			}
		})
	}
}

// batch is how many connections are made of a kind at a time.
const batch = 50

// meter makes connections and measures what they cost the server.
type meter struct {
	b       testing.TB
	p       *process
	config  *tls.Config
	clients int // at a time
	users   [batch]struct {
		scram *xdg.Client
		token string
		count int
	}
	flights *flights // of the login that is going on, nil if nobody counts
}

// cost is that of a batch.
type cost struct{ open, end time.Duration }

func (c cost) whole() time.Duration { return c.open + c.end }

func (m *meter) compare(b *testing.B, login func(int) *client) {
	m.run(m.bare) // what is done once
	m.run(login)
	m.flights = new(flights)
	must(b, login(0).tcp.Close())
	floor := m.floor(m.flights.list)
	m.flights = nil
	m.run(floor)
	var shakes, logins []time.Duration
	var ratios, wholes, floors []float64
	for b.Loop() {
		shake, l, f := m.run(m.bare), m.run(login), m.run(floor)
		shakes, logins = append(shakes, shake.open), append(logins, l.open)
		ratios = append(ratios, float64(l.open)/float64(shake.open))
		wholes = append(wholes, float64(l.whole())/float64(shake.whole()))
		floors = append(floors, float64(f.open)/float64(shake.open))
	}
	b.ReportMetric(float64(median(shakes).Microseconds())/batch, "handshake-µs")
	b.ReportMetric(float64(median(logins).Microseconds())/batch, "login-µs")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(wholes), "whole-ratio")
	b.ReportMetric(median(floors), "floor-ratio")
	b.ReportMetric(0, "ns/op")
}

func median[T int | float64 | time.Duration](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

// run makes connections, and ends them.
func (m *meter) run(open func(i int) *client) (c cost) {
	start := m.quiet()
	var all [batch]*client
	var each sync.WaitGroup
	for w := range m.clients {
		each.Go(func() {
			for i := w; i < batch; i += m.clients {
				all[i] = open(i)
			}
		})
	}
	each.Wait()
	opened := m.quiet()
	for _, cl := range all {
		if cl.jid != "" {
			cl.send(closing)
			for got := ""; got != closing; {
				if got = cl.next(); got == end {
					m.b.Fatal("the server has not closed its stream")
				}
			}
		}
		must(m.b, cl.tcp.Close())
	}
	return cost{open: opened - start, end: m.quiet() - opened}
}

// quiet is the processor time of the server once it has nothing to do any more.
func (m *meter) quiet() time.Duration {
	for last := m.p.processorTime(m.b); ; {
		<-time.After(3 * time.Millisecond)
		now := m.p.processorTime(m.b)
		if now-last < 20*time.Microsecond {
			return now
		}
		last = now
	}
}

func (m *meter) dial(addr string) (*client, *tls.ConnectionState) {
	c := dial(m.b, addr)
	cs := c.secureWith(m.config)
	if m.flights != nil {
		m.flights.Conn, c.conn = c.conn, m.flights
	}
	return c, &cs
}

// bare is a TLS handshake.
func (m *meter) bare(int) *client {
	c, _ := m.dial(m.p.bare)
	return c
}

// conversation begins SCRAM bound to the channel.
func (m *meter) conversation(i int, cs *tls.ConnectionState) *xdg.ClientConversation {
	user := &m.users[i]
	if user.scram == nil {
		var err error
		user.scram, err = xdg.SHA256.NewClient(person(i), "secret", "") // keeps the salted password
		must(m.b, err)
	}
	cb, err := xdg.NewTLSExporterBinding(cs)
	must(m.b, err)
	return user.scram.NewConversationWithChannelBinding(cb)
}

func person(i int) string { return "user" + strconv.Itoa(i) }

func (m *meter) sasl1(i int) *client {
	c, cs := m.dial(m.p.direct)
	c.features()
	if got := c.authenticate("SCRAM-SHA-256-PLUS", m.conversation(i, cs)); !strings.HasPrefix(got, accepted) {
		m.b.Fatalf("got %s", got)
	}
	c.restart()
	c.features()
	c.bind("a")
	return c
}

// The parts of an authenticate element.
const (
	bind2 = "<bind xmlns='urn:xmpp:bind:0'><tag>test</tag><enable xmlns='urn:xmpp:carbons:2'/><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
	ht    = "HT-SHA-256-EXPR"
	wants = "<request-token xmlns='urn:xmpp:fast:0' mechanism='" + ht + "'/>"
)

func (m *meter) begin(i int, mechanism, initial, more string) string {
	return strings.Replace(header, " to=", " from='"+person(i)+"@"+domain+"' to=", 1) +
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" +
		base64.StdEncoding.EncodeToString([]byte(initial)) + "</initial-response>" +
		fmt.Sprintf("<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf8%04d'><software>Test</software></user-agent>", i) +
		bind2 + more + "</authenticate>"
}

func (m *meter) sasl2(i int) *client { return m.withPassword(i, "") }

func (m *meter) withPassword(i int, more string) *client {
	c, cs := m.dial(m.p.direct)
	conv := m.conversation(i, cs)
	first, err := conv.Step("")
	must(m.b, err)
	c.send(m.begin(i, "SCRAM-SHA-256-PLUS", first, more))
	c.header()
	c.next() // features
	last, err := conv.Step(c.between("<challenge xmlns='urn:xmpp:sasl:2'>", "</challenge>"))
	must(m.b, err)
	c.send("<response xmlns='urn:xmpp:sasl:2'>" + base64.StdEncoding.EncodeToString([]byte(last)) + "</response>")
	m.succeeded(c, i)
	return c
}

// between is the data in the next element.
func (c *client) between(before, after string) string {
	got := c.next()
	_, rest, ok := strings.Cut(got, before)
	text, _, ok2 := strings.Cut(rest, after)
	data, err := base64.StdEncoding.DecodeString(text)
	if !ok || !ok2 || err != nil {
		c.t.Fatalf("got %s, want %s", got, before)
	}
	return string(data)
}

// succeeded wants the end of a login with a session.
func (m *meter) succeeded(c *client, i int) {
	got := c.next()
	if !strings.HasPrefix(got, "<success ") || !strings.Contains(got, "<enabled xmlns='urn:xmpp:sm:3'") {
		m.b.Fatalf("got %s, want success and a session", got)
	}
	if features := c.next(); !strings.HasPrefix(features, "<stream:features") {
		m.b.Fatalf("got %s, want features", features)
	}
	if _, rest, ok := strings.Cut(got, " token='"); ok {
		m.users[i].token, _, _ = strings.Cut(rest, "'")
	}
	c.jid = "bound"
}

func (m *meter) fast(i int) *client {
	user := &m.users[i]
	if user.token == "" {
		must(m.b, m.withPassword(i, wants).tcp.Close())
	}
	c, cs := m.dial(m.p.direct)
	data, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	must(m.b, err)
	mechanism, _ := sasl2.ParseHT(ht)
	user.count++
	c.send(m.begin(i, ht, string(mechanism.Initial(person(i), user.token, data)), fmt.Sprintf("<fast xmlns='urn:xmpp:fast:0' count='%d'/>", user.count)))
	c.header()
	c.next() // features
	m.succeeded(c, i)
	return c
}
