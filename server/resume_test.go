package server_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/presence"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/smacks"
)

// racer is a client that does something together with another one.
type racer struct {
	*client
	got []string // elements
	err error
}

// run sends, and takes elements until one begins as one of these, or the connection ends.
func (r *racer) run(send string, until ...string) {
	if err := r.write(send); err != nil && !gone(err) {
		r.err = err
		return
	}
	for {
		el, err := r.try()
		if err != nil {
			r.err = err
			return
		}
		r.got = append(r.got, el)
		for _, begin := range until {
			if strings.HasPrefix(el, begin) {
				return
			}
		}
	}
}

// last is what a racer has got last, empty for nothing.
func (r *racer) last() string {
	if len(r.got) == 0 {
		return ""
	}
	return r.got[len(r.got)-1]
}

func (r *racer) count(begin string) (n int) {
	for _, el := range r.got {
		if strings.HasPrefix(el, begin) {
			n++
		}
	}
	return n
}

// atOnce has functions begin at the same instant, and waits for all.
func atOnce(t testing.TB, fs ...func()) {
	t.Helper()
	start, done := make(chan struct{}), make(chan struct{}, len(fs))
	for _, f := range fs {
		go func() {
			<-start
			f()
			done <- struct{}{}
		}()
	}
	close(start)
	for range fs {
		<-done // what they wait for has its time
	}
}

const (
	enableSM = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
	askSM    = "<r xmlns='urn:xmpp:sm:3'/>"
)

// enabled is the token of a session.
func (c *client) enabled(send string) string {
	c.t.Helper()
	r := racer{client: c}
	r.run(send, "<enabled ")
	_, rest, _ := strings.Cut(r.last(), " id='")
	token, _, ok := strings.Cut(rest, "'")
	if !ok {
		c.t.Fatalf("got %q, %v", r.got, r.err)
	}
	return token
}

func resumeSM(token string, h int) string {
	return fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='%d'/>", token, h)
}

// emptied waits until an account has no session, and looks at what is left of it.
func emptied(t *testing.T, s *site, x *smacks.Extension) {
	t.Helper()
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		n := x.Stats()
		if n.Managed == 0 && n.Waiting == 0 && n.Queued == 0 && n.Bytes == 0 && n.WaitingBytes == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left: %+v", n)
		}
	}
}

// Two streams resume a session at the same instant, a hundred times, in every other of
// which its own connection is still there: one goes on and misses nothing, and the other
// was refused, or is superseded (smacks FI-11).
func TestTwoResumptions(t *testing.T) {
	t.Parallel()
	x := smacks.New(nil, nil)
	s := open(t, nil, x)
	romeo, juliet := enter(t, s, "romeo", "a"), enter(t, s, "juliet", "b")
	token := juliet.enabled(enableSM)
	send, _ := message(romeo.jid, juliet.jid, "x")
	reply, want := message(juliet.jid, romeo.jid, "y")
	superseded := 0
	for n := range 100 {
		romeo.send(send)
		romeo.alive() // that is on its way
		if n%2 == 0 {
			_ = juliet.tcp.Close()
		}
		var rs [2]*racer
		for i := range rs {
			rs[i] = &racer{client: dialTLS(t, s)}
			rs[i].login("juliet")
		}
		both := func(send string, until ...string) {
			atOnce(t, func() { rs[0].run(send, until...) }, func() { rs[1].run(send, until...) })
		}
		both(resumeSM(token, n), "<resumed ", "<failed ")
		both(askSM, "<a ", "<failed ") // the second refuses that as well
		var on *racer
		for _, r := range rs {
			switch {
			case r.count("<a ") > 0 && r.count("<failed") == 0 && r.count("<stream:error") == 0:
				if on != nil {
					t.Fatal("both go on")
				}
				on = r
			case r.count("<resumed ") == 0 && r.count("<failed ") == 2 && len(r.got) == 2:
			case r.count("<failed ") == 0 && gone(r.err) && (r.count("<resumed ") == 1 || r.count("<stream:error><conflict ") == 1):
				superseded++ // with conflict, unless that was lost because it had asked
			default:
				t.Fatalf("got %q, %v", r.got, r.err)
			}
			if r != on {
				_ = r.tcp.Close()
			}
		}
		if on == nil {
			t.Fatalf("none goes on: %q, %q", rs[0].got, rs[1].got)
		}
		if !strings.Contains(on.got[0], fmt.Sprintf(" h='%d'", n)) || on.count("<message ") != 1 {
			t.Fatalf("in round %d the one that goes on got %q", n, on.got)
		}
		juliet = on.client
		juliet.send(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n+1) + reply)
		romeo.expect(want) // and nothing else
	}
	t.Logf("%d were superseded", superseded)
	juliet.send(closing)
	emptied(t, s, x)
	romeo.alive()
}

// people2 are [people] for SASL2.
type people2 struct{ people }

func (p people2) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return p.people.Start(st, mechanism, domain)
}

func (people2) Binding(*mux.Stream, string) ([]byte, error) { return nil, wrong("none") }

const carbonsOn = "<enable xmlns='urn:xmpp:carbons:2'/>"

// A session is resumed at the instant in which another one takes its place: with the same
// resource, or by Bind 2 of the same installation. The new one is there in the end, with
// its carbons, and everybody sees the old one go before it comes (smacks FI-15).
func TestResumptionAndBinding(t *testing.T) {
	t.Parallel()
	for _, inline := range []bool{false, true} {
		t.Run(fmt.Sprintf("inline=%t", inline), func(t *testing.T) {
			t.Parallel()
			contacts := roster.New(new(roster.Memory), nil)
			x := smacks.New(nil, nil)
			s := open(t, nil, x, contacts, presence.New(contacts, nil), carbons.New(nil), sasl2.New(people2{}, nil, nil))
			juliet := enter(t, s, "juliet", "b")
			watcher := &racer{client: enter(t, s, "romeo", "watcher")}
			watcher.run("<presence/>", "<presence ")
			begin, token := (*client)(nil), ""
			resumed := 0
			for n := range 50 {
				a, b := &racer{client: dialTLS(t, s)}, &racer{client: dialTLS(t, s)}
				a.login("romeo")
				come := fmt.Sprintf("<presence><status>%d</status></presence>", n)
				bind, until := "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>a</resource></bind></iq><iq type='set' id='on'>"+carbonsOn+"</iq>"+come, "<iq from='romeo@example.net' to="
				if inline {
					b.features()
					bind, until = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>"+plainText("romeo", "secret")+"</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><bind xmlns='urn:xmpp:bind:0'><tag>a</tag>"+carbonsOn+"</bind></authenticate>", "<stream:features"
				} else {
					b.login("romeo")
				}
				if begin == nil {
					atOnce(t, func() { b.run(bind, until) })
				} else {
					if n%2 == 0 {
						_ = begin.tcp.Close()
					}
					atOnce(t, func() { a.run(resumeSM(token, 0), "<failed ", closing) }, func() { b.run(bind, until) })
					if resumed += a.count("<resumed "); a.count("<failed ") == 0 && a.last() != closing {
						t.Fatalf("who resumes got %q, %v", a.got, a.err)
					}
					if text := strings.Join(a.got, ""); a.count("<resumed ") > 0 && a.last() == closing && !strings.Contains(text, "<conflict ") {
						t.Fatalf("who has resumed is not told why that ends: %q", a.got)
					}
				}
				if b.err != nil || b.count("<failure") > 0 || !inline && !strings.HasSuffix(b.last(), " type='result' id='on'/>") {
					t.Fatalf("who binds got %q, %v", b.got, b.err)
				}
				_ = a.tcp.Close()
				if inline {
					b.run(come, "<presence ")
				}
				watcher.got = nil
				watcher.run("", "<presence ")
				if begin != nil {
					watcher.run("", "<presence ")
				}
				b.jid = watcher.sees(t, begin, fmt.Sprint(n))
				send, _ := message(watcher.jid, juliet.jid, "x")
				watcher.send(send)
				juliet.next()
				b.got = nil
				b.run("", "<message ")
				if !strings.Contains(b.last(), "<sent ") {
					t.Fatalf("got %q, %v", b.got, b.err)
				}
				begin, token = b.client, b.enabled(enableSM)
			}
			t.Logf("%d were resumed", resumed)
			watcher.alive()
			for _, c := range []*client{begin, watcher.client, juliet} {
				c.send(closing)
			}
			emptied(t, s, x)
		})
	}
}

// sees wants a session to have gone, if there was one, and another to have come; its
// address is returned.
func (r *racer) sees(t *testing.T, old *client, status string) string {
	t.Helper()
	come := r.got[0]
	if old != nil {
		if !strings.Contains(r.got[0], " type='unavailable'") || !strings.Contains(r.got[0], " from='"+old.jid+"'") || len(r.got) != 2 {
			t.Fatalf("got %q", r.got)
		}
		come = r.got[1]
	}
	_, from, _ := strings.Cut(come, " from='")
	from, _, ok := strings.Cut(from, "'")
	if !ok || !strings.Contains(come, "<status>"+status+"</status>") {
		t.Fatalf("got %q", r.got)
	}
	return from
}
