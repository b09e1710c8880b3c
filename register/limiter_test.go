package register_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/register"
)

// try asks once and says how it ended.
func try(l register.Limiter, source string, made bool) bool {
	end, retry := l.Begin(netip.MustParseAddr(source), domain)
	if end == nil {
		return retry <= 0 // a refusal without a time to wait is none
	}
	how := map[bool]register.Ending{true: register.Made, false: register.Failed}
	end(how[made])
	end(how[!made]) // only the first counts
	return true
}

// TestLimiterDefaults: AB-1 and auth-register §5.
func TestLimiterDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := register.NewMemoryLimiter(nil)
		const a = "192.0.2.1"
		total := 0
		// Three an hour, ten a day.
		for hour := range 5 {
			for range 5 {
				if try(l, a, true) {
					total++
				}
			}
			if want := min(3*(hour+1), 10); total != want {
				t.Errorf("after %d h: %d, want %d", hour, total, want)
			}
			time.Sleep(time.Hour)
		}
		if !try(l, "192.0.2.2", true) || !try(l, "::ffff:192.0.2.3", true) {
			t.Error("others suffer")
		}
		if try(l, "::ffff:"+a, true) {
			t.Error("another spelling of the address is another source")
		}
		time.Sleep(24 * time.Hour)
		if !try(l, a, true) {
			t.Error("nothing is forgotten after a day")
		}
	})
}

func TestLimiterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := register.NewMemoryLimiter(nil)
		const a = "192.0.2.1"
		for i := range 20 {
			if !try(l, a, false) {
				t.Fatalf("refused at %d", i)
			}
		}
		if try(l, a, true) {
			t.Error("20 failures are not enough")
		}
		time.Sleep(time.Hour)
		if !try(l, a, true) {
			t.Error("still refused after an hour")
		}
	})
}

// TestLimiterRetry: it tells when there is room again.
func TestLimiterRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := register.NewMemoryLimiter(&register.LimiterOptions{PerHour: 1})
		a := netip.MustParseAddr("192.0.2.1")
		try(l, a.String(), true)
		time.Sleep(20 * time.Minute)
		end, retry := l.Begin(a, domain)
		if end != nil || retry != 40*time.Minute {
			t.Errorf("granted %t, retry %v", end != nil, retry)
		}
	})
}

// TestLimiterAtOnce: tries that have not ended count.
func TestLimiterAtOnce(t *testing.T) {
	t.Parallel()
	l := register.NewMemoryLimiter(nil)
	a := netip.MustParseAddr("192.0.2.1")
	var ends []func(register.Ending)
	for range 5 {
		if end, _ := l.Begin(a, domain); end != nil {
			ends = append(ends, end)
		}
	}
	if len(ends) != 3 {
		t.Fatalf("%d at once, want 3", len(ends))
	}
	ends[0](register.Failed)
	if end, _ := l.Begin(a, domain); end == nil {
		t.Error("a try that failed still counts as an account")
	}
}

// TestLimiterNetworks: an IPv6 host has a /64, a site a /48.
func TestLimiterNetworks(t *testing.T) {
	t.Parallel()
	l := register.NewMemoryLimiter(&register.LimiterOptions{DomainPerHour: -1})
	made := 0
	for host := range 10 {
		if try(l, fmt.Sprintf("2001:db8::%x", host+1), true) {
			made++
		}
	}
	if made != 3 {
		t.Errorf("%d from one /64, want 3", made)
	}
	for network := range 20 {
		if try(l, fmt.Sprintf("2001:db8:0:%x::1", network+1), true) {
			made++
		}
	}
	if made != 12 {
		t.Errorf("%d from one /48, want 12", made)
	}
	if !try(l, "2001:db8:1::1", true) {
		t.Error("another site suffers")
	}
}

func TestLimiterDomain(t *testing.T) {
	t.Parallel()
	l := register.NewMemoryLimiter(nil)
	made := 0
	for i := range 120 {
		if try(l, fmt.Sprintf("198.51.100.%d", i), true) {
			made++
		}
	}
	if made != 100 {
		t.Errorf("%d at one domain, want 100", made)
	}
	if end, _ := l.Begin(netip.MustParseAddr("198.51.100.200"), "example.org"); end == nil {
		t.Error("another domain suffers")
	}
}

// TestLimiterChurn: whoever comes from many addresses gets rid of nothing that is
// held against him, and takes no more memory (auth-register §3, scenario 27).
func TestLimiterChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := register.NewMemoryLimiter(&register.LimiterOptions{Sources: 100, DomainPerHour: -1})
		const a = "192.0.2.1"
		for range 3 {
			try(l, a, true)
		}
		granted := 0
		for i := range 1000 {
			if try(l, fmt.Sprintf("10.0.%d.%d", i/250, i%250), false) {
				granted++
			}
		}
		// 99 find a place, all others share one.
		if granted != 99+20 {
			t.Errorf("%d granted, want %d", granted, 99+20)
		}
		if try(l, a, true) {
			t.Error("forgotten")
		}
		time.Sleep(time.Hour)
		if !try(l, "10.9.9.9", true) {
			t.Error("places do not become free")
		}
	})
}

func TestLimiterUnbounded(t *testing.T) {
	t.Parallel()
	for _, l := range []register.Limiter{
		register.Unlimited{},
		register.NewMemoryLimiter(&register.LimiterOptions{PerHour: -1, PerDay: -1, FailedPerHour: -1, DomainPerHour: -1, Sources: -1}),
	} {
		for i := range 500 {
			if !try(l, "2001:db8::1", i%2 == 0) {
				t.Fatalf("%T: refused", l)
			}
		}
	}
}
