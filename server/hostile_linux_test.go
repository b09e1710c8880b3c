package server_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	halfOpen   = 200      // connections that get nowhere
	neverRead  = 50       // peers that log in and read nothing
	hostileRSS = 64 << 20 // what they may cost together, in bytes
)

// TestHostile: peers that get nowhere and peers that do not read cost a bounded
// amount of memory, and others chat on without loss. PROPOLIS_HOSTILE is how long.
func TestHostile(t *testing.T) {
	lasts := 3 * time.Second
	if text := os.Getenv("PROPOLIS_HOSTILE"); text != "" {
		var err error
		lasts, err = time.ParseDuration(text)
		must(t, err)
	} else if testing.Short() {
		t.Skip("takes some seconds")
	}
	p := startProcess(t, min(lasts/2, 30*time.Second))
	s := &p.site
	var pairs [3][2]*client
	for i := range pairs {
		pairs[i] = [2]*client{enter(t, s, fmt.Sprint("romeo", i), "a"), enter(t, s, fmt.Sprint("juliet", i), "b")}
		pairs[i][0].says(pairs[i][1], "warm up")
	}
	p.collect(t)
	before := p.rss(t)

	for i := range halfOpen {
		switch i % 4 {
		case 0: // nothing at all
			dial(t, s.clear)
		case 1: // half a TLS handshake
			dial(t, s.direct).send("\x16\x03\x01\x02\x00\x01")
		case 2: // a header, and as much of an element as may be
			c := dial(t, s.clear)
			c.features()
			c.send("<auth xmlns='" + strings.Repeat("x", 30<<10))
		case 3: // the same in TLS
			c := beforeAuth(t, s)
			c.send("<auth xmlns='" + strings.Repeat("x", 30<<10))
		}
	}
	deaf := make([]string, neverRead)
	for i := range deaf {
		deaf[i] = enterDeaf(t, s, fmt.Sprint("deaf", i)).jid
	}

	until := time.Now().Add(lasts)
	var all sync.WaitGroup
	var mu sync.Mutex
	var problems []string
	problem := func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		problems = append(problems, fmt.Sprintf(format, a...))
	}
	said := make([]int, len(pairs))
	for i := range pairs {
		all.Go(func() {
			var err error
			if said[i], err = chatter(pairs[i][0], pairs[i][1], until); err != nil {
				problem("pair %d after %d messages: %v", i, said[i], err)
			}
		})
	}
	senders := make([]*client, 2)
	bounced := make([]map[string]int, len(senders))
	for i := range senders {
		senders[i] = enter(t, s, fmt.Sprint("sender", i), "x")
		all.Go(func() {
			var err error
			if bounced[i], err = bombard(senders[i], deaf, until); err != nil {
				problem("sender %d: %v", i, err)
			}
		})
	}
	most := 0
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; time.Now().Before(until); i++ {
		most = max(most, p.rss(t))
		if i%4 == 0 {
			enterDeaf(t, s, fmt.Sprint("deaf", i/4%neverRead)) // again, cut or not
		}
		<-tick.C
	}
	all.Wait()
	for _, text := range problems {
		t.Error(text)
	}
	growth := most - before
	t.Logf("RSS %d MiB before, %d MiB at most: %d MiB more; pairs said %v; %d of %d that do not read were cut",
		before>>20, most>>20, growth>>20, said, len(bounced[0]), neverRead)
	if growth > hostileRSS && !raceEnabled {
		t.Errorf("RSS grew by %d MiB, want at most %d", growth>>20, hostileRSS>>20)
	}
	if len(bounced[0]) == 0 && lasts >= 10*time.Second { // in less a busy machine may not fill their buffers
		t.Error("no peer that does not read was cut")
	}
	for i, n := range said {
		if n == 0 {
			t.Errorf("pair %d said nothing", i)
		}
	}
	for _, pair := range pairs {
		pair[0].says(pair[1], "that was that")
	}
}

// chatter has two clients answer each other until the time is over, and returns
// how many messages arrived.
func chatter(a, b *client, until time.Time) (n int, err error) {
	for ; time.Now().Before(until); n++ {
		send, want := message(a.jid, b.jid, fmt.Sprint("message ", n))
		if err := a.write(send); err != nil {
			return n, err
		}
		got, err := b.try()
		if err != nil {
			return n, err
		}
		if got != want {
			return n, fmt.Errorf("got %.200s, want %s", got, want)
		}
		a, b = b, a
	}
	return n, nil
}

// bombard sends what peers do not read, and returns how many messages for each
// came back.
func bombard(from *client, to []string, until time.Time) (bounced map[string]int, err error) {
	bounced = make(map[string]int)
	body := strings.Repeat("x", 16<<10)
	for i := 0; time.Now().Before(until); i++ {
		send, _ := message(from.jid, to[i%len(to)], body)
		if err := from.write(send + "<iq type='get' id='sync' to='example.net'><x xmlns='urn:example:unknown'/></iq>"); err != nil {
			return bounced, err
		}
		for {
			got, err := from.try()
			if err != nil {
				return bounced, err
			}
			if strings.Contains(got, "id='sync'") {
				break
			}
			_, peer, ok := strings.Cut(got, "from='")
			if !ok || !strings.HasPrefix(got, "<message ") || !strings.Contains(got, "type='error'") {
				return bounced, fmt.Errorf("got %.200s", got)
			}
			peer, _, _ = strings.Cut(peer, "'")
			bounced[peer]++
		}
	}
	return bounced, nil
}
