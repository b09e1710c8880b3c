package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	chatters = 20 // sessions that write, and as many that read
	chatGap  = time.Second / 40
	window   = time.Second / 4 // of idle, and of attack
	windows  = 80              // of each
	flooders = 8               // connections
	attempts = 10_000          // in all
)

// pause lets time go by: what is measured is what happens in it.
func pause(d time.Duration) { <-time.After(d) }

// dialFrom connects from another address of the loopback network, which to the server
// is another source.
func dialFrom(from, addr string) (*tls.Conn, error) {
	d := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}},
		Config:    &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}}, // the certificate is not what is measured
	}
	c, err := d.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(c, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='example.org'>")
	return c.(*tls.Conn), err
}

// readTo reads up to some words.
func readTo(r *bufio.Reader, words string) error {
	var tail []byte
	for {
		b, err := r.ReadBytes('>')
		if err != nil {
			return err
		}
		if tail = append(tail, b...); bytes.Contains(tail, []byte(words)) {
			return nil
		}
		tail = tail[max(0, len(tail)-len(words)):]
	}
}

// chatter binds a session.
func chatter(addr, user, resource string) (c *tls.Conn, r *bufio.Reader, err error) {
	if c, err = dialFrom("127.0.1.1", addr); err != nil {
		return nil, nil, err
	}
	r = bufio.NewReader(c)
	ask := func(text, answer string) {
		if err == nil {
			_, err = io.WriteString(c, text)
		}
		if err == nil {
			err = readTo(r, answer)
		}
	}
	ask("", "</stream:features>")
	ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>"+encode("\x00"+user+"\x00"+password)+"</initial-response></authenticate>", "</stream:features>")
	ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
	return c, r, err
}

// latencies are those of messages, by when they were sent.
type latencies struct {
	began time.Time
	mu    sync.Mutex
	list  []latency
}

type latency struct{ at, took time.Duration }

func (l *latencies) add(at time.Duration) {
	took := time.Since(l.began) - at
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, latency{at, took})
}

// of are those of messages that were sent in some time.
func (l *latencies) of(from, to time.Time) (list []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.list {
		if at := l.began.Add(one.at); !at.Before(from) && at.Before(to) {
			list = append(list, one.took)
		}
	}
	return list
}

func p99(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)*99/100]
}

// startChat has sessions of two pairs of people write to each other until ctx ends.
func startChat(ctx context.Context, b *testing.B, addr string) *latencies {
	l := &latencies{began: time.Now()}
	for n := range chatters {
		from, to := "alice", "bob"
		if n%2 == 1 {
			from, to = "carol", "dave"
		}
		at := fmt.Sprint(n)
		w, wr, err := chatter(addr, from, at)
		if err != nil {
			b.Fatal(err)
		}
		r, rr, err := chatter(addr, to, at)
		if err != nil {
			b.Fatal(err)
		}
		context.AfterFunc(ctx, func() { _, _ = w.Close(), r.Close() })
		go func() { _, _ = io.Copy(io.Discard, wr) }()
		go func() {
			pause(chatGap * time.Duration(n) / chatters)
			tick := time.NewTicker(chatGap)
			defer tick.Stop()
			for range tick.C {
				body := strconv.FormatInt(int64(time.Since(l.began)), 10)
				if _, err := io.WriteString(w, "<message type='chat' to='"+to+"@example.org/"+at+"'><body>"+body+"</body></message>"); err != nil {
					return // the end
				}
			}
		}()
		go func() {
			for {
				text, err := rr.ReadString('>')
				if err != nil {
					return // the end
				}
				if sent, ok := strings.CutSuffix(text, "</body>"); ok {
					if n, err := strconv.ParseInt(sent, 10, 64); err == nil {
						l.add(time.Duration(n))
					}
				}
			}
		}()
	}
	return l
}

// flood asks for accounts from one address, each time with another name, once for each
// that it is told to.
type flood struct {
	addr                   string
	tries                  chan struct{}
	asked, refused, closed atomic.Int64
}

// during tells it to ask so many times, evenly over a time, and waits for the answers.
func (f *flood) during(n int, d time.Duration) {
	began, until := time.Now(), f.asked.Load()+int64(n)
	for k := range n {
		pause(time.Until(began.Add(d * time.Duration(k) / time.Duration(n))))
		f.tries <- struct{}{}
	}
	for f.asked.Load() < until {
		pause(time.Millisecond)
	}
}

func (f *flood) run(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := dialFrom("127.0.0.1", f.addr)
		if err != nil {
			pause(10 * time.Millisecond) // too many connections
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		r := bufio.NewReader(c)
		for err = readTo(r, "</stream:features>"); err == nil; {
			select {
			case <-f.tries:
				if err = f.try(c, r); err != nil {
					f.tries <- struct{}{} // for another
				}
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		f.closed.Add(1)
		stop()
		_ = c.Close()
	}
}

// try asks once.
func (f *flood) try(c *tls.Conn, r *bufio.Reader) error {
	if _, err := fmt.Fprintf(c, "<iq type='set' id='s'><query xmlns='jabber:iq:register'><username>user%d</username><password>%s</password></query></iq>", f.asked.Load(), password); err != nil {
		return err
	}
	text, err := r.ReadString('>')
	switch {
	case err != nil:
		return err
	case strings.Contains(text, "<stream:"), strings.Contains(text, "</stream:"):
		return io.EOF
	case strings.Contains(text, "type='error'"):
		if err := readTo(r, "</iq>"); err != nil {
			return err
		}
		f.refused.Add(1)
	}
	f.asked.Add(1)
	return nil
}

// BenchmarkChatUnderRegistration measures how much later messages between others arrive
// while somebody makes 10,000 tries to get accounts from one address: windows without
// and with that take turns in one run, and the ratio of their 99th percentiles is taken
// for each pair. With a store in memory there is no disk to wait for, and the processor
// alone counts, of which the attacker, who is in the same process, takes the most. One
// iteration is one run, so -benchtime 1x does.
func BenchmarkChatUnderRegistration(b *testing.B) {
	for _, store := range []string{"sqlite", "memory"} {
		b.Run(store, func(b *testing.B) {
			for b.Loop() {
				chatUnderRegistration(b, store)
			}
		})
	}
}

func chatUnderRegistration(b *testing.B, store string) {
	in := launchInside(b, filepath.Join(b.TempDir(), "data"), nil, "-registration", "open", "-limits", "on", "-store", store)
	defer in.stop()
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		if err := in.people.Add(b.Context(), name+"@example.org", password); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	l := startChat(ctx, b, in.addr)
	f := &flood{addr: in.addr, tries: make(chan struct{}, attempts)}
	var wg sync.WaitGroup
	for range flooders {
		wg.Go(func() { f.run(ctx) })
	}
	defer wg.Wait()
	defer cancel()
	pause(time.Second)
	var spans [windows][2][2]time.Time
	for n := range windows {
		for k := range 2 {
			attack := (n + k) % 2 // which comes first takes turns, too
			pause(window / 10)
			from := time.Now()
			if attack == 1 {
				f.during(attempts/windows, window)
			} else {
				pause(window)
			}
			spans[n][attack] = [2]time.Time{from, time.Now()}
		}
	}
	pause(time.Second) // for what is late
	var idle, attacked []time.Duration
	var ratios []float64
	var each [2][]time.Duration // the percentile of each window
	for _, span := range spans {
		calm, busy := l.of(span[0][0], span[0][1]), l.of(span[1][0], span[1][1])
		idle, attacked = append(idle, calm...), append(attacked, busy...)
		ratios = append(ratios, float64(p99(busy))/float64(p99(calm)))
		each[0], each[1] = append(each[0], p99(calm)), append(each[1], p99(busy))
	}
	b.Logf("in the first window with it %v", each[1][0])
	slices.Sort(each[0])
	slices.Sort(each[1])
	slices.Sort(ratios)
	all, err := in.people.List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if made := int64(len(all) - 4); made > 3 || f.asked.Load() != attempts {
		b.Errorf("%d accounts of %d tries, %d refused", made, f.asked.Load(), f.refused.Load())
	}
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(p99(attacked))/float64(p99(idle)), "pooled-ratio")
	b.ReportMetric(float64(each[0][windows/2].Microseconds()), "idle-p99-µs")
	b.ReportMetric(float64(each[1][windows/2].Microseconds()), "attack-p99-µs")
	b.ReportMetric(float64(f.refused.Load()), "refused")
	b.ReportMetric(float64(len(all)-4), "accounts")
	b.ReportMetric(float64(f.closed.Load()), "connections")
}
