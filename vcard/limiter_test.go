package vcard_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/vcard"
)

// asks sends requests for accounts that do not exist, and counts those that were
// not refused for being too many.
func asks(send func(el string), next func() string, from string, n int) (answered int) {
	for i := range n {
		send(fmt.Sprintf("<iq type='get' id='%d' %s to='ghost%d@example.net'><vCard xmlns='vcard-temp'/></iq>", i, from, i))
		got := next()
		switch {
		case strings.Contains(got, "<error type='wait'><resource-constraint "):
		case strings.Contains(got, "<service-unavailable "):
			answered++
		default:
			return -1
		}
	}
	return answered
}

// TestHarvesting: whoever asks for too many cards has to wait; others do not
// (core-im VC-3).
func TestHarvesting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, vcard.New(new(vcard.Memory), &vcard.Options{Rate: 6, Burst: 10}))
		romeo, paris := h.Connect(t, "romeo@example.net/orchard"), h.Connect(t, "paris@example.net/house")
		for _, tt := range []struct {
			c    *muxtest.Client
			wait time.Duration
			want int
		}{{romeo, 0, 10}, {romeo, 0, 0}, {paris, 0, 10}, {romeo, 30 * time.Second, 3}, {romeo, time.Hour, 10}} {
			time.Sleep(tt.wait)
			if got := asks(func(el string) { tt.c.Send(el) }, tt.c.Next, "", 20); got != tt.want {
				t.Errorf("%d were answered, want %d", got, tt.want)
			}
		}
		// One's own is not counted.
		romeo.Send("<iq type='set' id='1'>" + card + "</iq>")
		romeo.Clear()
		for range 20 {
			romeo.Send(get)
			if got := romeo.Next(); !strings.Contains(got, "Juliet") {
				t.Fatalf("got %s", got)
			}
		}
	})
}

// TestHarvestingFromElsewhere: a remote domain has a bound of its own, however
// many addresses it uses.
func TestHarvestingFromElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := muxtest.New(t, &mux.Options{NoRecover: true}, vcard.New(new(vcard.Memory), &vcard.Options{Rate: 6, Burst: 3}))
		answered := 0
		for _, domain := range []string{"example.org", "example.com"} {
			remote := h.DialDomain(t, mux.Server, domain)
			next := func() string {
				el, ok := h.TakeRouted(domain)
				if !ok {
					t.Fatal("no answer")
				}
				return el
			}
			send := func(el string) { remote.Send(el) }
			for i := range 20 {
				answered += asks(send, next, fmt.Sprintf("from='u%d@%s/x'", i, domain), 5)
			}
			if answered != 30 {
				t.Errorf("%s: %d were answered, want 30", domain, answered)
			}
			answered = 0
			if got := asks(send, next, "from='"+domain+"'", 5); got != 0 {
				t.Errorf("%s itself: %d were answered", domain, got)
			}
		}
	})
}

// TestManyRequesters: what is remembered is bounded, and nobody gets rid of a
// bound by being many.
func TestManyRequesters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := vcard.NewLimiter(6, 2)
		taken := 0
		for i := range 3 * vcard.MaxRequesters {
			if l.Take(mux.MustParseAddress(fmt.Sprintf("u%d@example.net", i)), true) {
				taken++
			}
		}
		if taken != vcard.MaxRequesters+2 || l.Len() != vcard.MaxRequesters {
			t.Errorf("%d were answered, %d are remembered", taken, l.Len())
		}
		time.Sleep(time.Minute) // all are full again
		if !l.Take(mux.MustParseAddress("new@example.net"), true) || l.Len() != 1 {
			t.Errorf("%d are remembered", l.Len())
		}
		// Remote ones without a place share one bucket, for their domain too.
		for i := range vcard.MaxRequesters {
			l.Take(mux.MustParseAddress(fmt.Sprintf("v%d@example.net", i)), true)
		}
		taken = 0
		for i := range 10 {
			if l.Take(mux.MustParseAddress(fmt.Sprintf("w%d@example.org", i)), false) {
				taken++
			}
		}
		if taken != 1 || l.Len() != vcard.MaxRequesters {
			t.Errorf("%d were answered, %d are remembered", taken, l.Len())
		}
		if free := vcard.NewLimiter(-1, 1); !free.Take(mux.MustParseAddress("a@example.org"), false) || free.Len() != 0 {
			t.Error("a bound where there is none")
		}
	})
}
