package server

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestPrefix(t *testing.T) {
	t.Parallel()
	tests := []struct {
		ip   string
		want string
	}{
		{"192.0.2.7", "192.0.2.7/32"},
		{"::ffff:192.0.2.7", "192.0.2.7/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"fe80::1%lo", "fe80::/64"},
		{"::1", "::/64"},
	}
	for _, tt := range tests {
		addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(tt.ip), 5222))
		if got := prefixOf(addr); got.String() != tt.want {
			t.Errorf("prefixOf(%s) = %s, want %s", tt.ip, got, tt.want)
		}
	}
	if got := prefixOf(&net.UnixAddr{Name: "x"}); got.IsValid() {
		t.Errorf("prefixOf(unix) = %s", got)
	}
}

// network is the n-th of many addresses.
func network(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	l := Limits{Connections: 4, ConnectionsPerAddress: 2, NewPerMinute: 3, FailuresPerAddress: 2, FailureDelay: time.Second}
	a, now := newAdmission(l), time.Now()
	a1, a2, a3 := network(1), network(2), network(3)
	step := func(p netip.Prefix, want string) {
		t.Helper()
		if got := a.enter(p, now); got != want {
			t.Errorf("enter = %q, want %q", got, want)
		}
	}
	step(a1, "")
	step(a1, "")
	step(a1, "too many connections of the address")
	a.leave(a1, now)
	step(a1, "too many new connections of the address")
	now = now.Add(time.Minute)
	step(a1, "")
	step(a2, "")
	step(a2, "")
	step(a3, "too many connections")
	a.leave(a2, now)
	step(a3, "")

	for i, want := range []time.Duration{0, 0, time.Second, time.Second} {
		if got := a.failed(a1, now); got != want {
			t.Errorf("failure %d waits %v, want %v", i, got, want)
		}
	}
	if got := a.failed(a2, now); got != 0 {
		t.Errorf("the failure of another waits %v", got)
	}
	now = now.Add(10 * time.Minute)
	if got := a.failed(a1, now); got != 0 {
		t.Errorf("a failure after 10 minutes waits %v", got)
	}
}

// TestAdmissionBounded: the table forgets, and does not grow without bound.
func TestAdmissionBounded(t *testing.T) {
	t.Parallel()
	a, now := newAdmission(Limits{FailuresPerAddress: 1}), time.Now()
	stays, failed := network(1), network(2)
	for _, p := range []netip.Prefix{stays, failed} {
		if why := a.enter(p, now); why != "" {
			t.Fatal(why)
		}
	}
	a.failed(failed, now)
	a.leave(failed, now)
	refused := 0
	for i := range maxNets + 100 {
		if why := a.enter(network(10+i), now); why == "" {
			a.leave(network(10+i), now)
		} else {
			refused++
		}
	}
	if n := len(a.nets); n != maxNets || refused != 102 {
		t.Errorf("%d addresses known, want %d; %d refused, want 102", n, maxNets, refused)
	}
	if why := a.enter(stays, now); why != "" {
		t.Errorf("an address that is known is refused: %s", why)
	}
	a.leave(stays, now)
	now = now.Add(61 * time.Second)
	if why := a.enter(network(3), now); why != "" {
		t.Errorf("refused a minute later: %s", why)
	}
	if n := len(a.nets); n != 3 {
		t.Errorf("%d addresses known after a minute, want 3", n)
	}
	now = now.Add(10 * time.Minute)
	a.leave(network(3), now)
	a.enter(network(4), now)
	if _, ok := a.nets[failed]; ok {
		t.Error("failures are remembered for ever")
	}
	if _, ok := a.nets[stays]; !ok {
		t.Error("an address with a connection is forgotten")
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	type take struct {
		after time.Duration
		n     int
		want  time.Duration
	}
	tests := []struct {
		name        string
		rate, burst int
		takes       []take
	}{
		{"burst", 10, 5, []take{{0, 5, 0}, {0, 1, 100 * time.Millisecond}}},
		{"refills", 10, 5, []take{{0, 5, 0}, {100 * time.Millisecond, 1, 0}, {0, 1, 100 * time.Millisecond}}},
		{"not above burst", 10, 5, []take{{0, 5, 0}, {time.Hour, 6, 100 * time.Millisecond}}},
		{"debt", 10, 5, []take{{0, 25, 2 * time.Second}, {time.Second, 0, time.Second}, {time.Second, 0, 0}}},
		{"nothing", 10, 5, []take{{0, 0, 0}}},
		{"no rate", -1, 5, []take{{0, 1 << 30, 0}, {0, 1 << 30, 0}}},
		{"no bound of bursts", 10, -1, []take{{0, 1 << 30, 0}, {0, 1 << 30, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, now := newBucket(tt.rate, tt.burst), time.Now()
			for i, x := range tt.takes {
				now = now.Add(x.after)
				if got := b.take(x.n, now).Round(time.Millisecond); got != x.want {
					t.Errorf("take %d = %v, want %v", i, got, x.want)
				}
			}
		})
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	least, most := time.Hour, -time.Hour
	for range 1000 {
		j := jitter(time.Minute)
		least, most = min(least, j), max(most, j)
	}
	if least < -6*time.Second || most > 6*time.Second || least > -4*time.Second || most < 4*time.Second {
		t.Errorf("spread from %v to %v, want ±10 %%", least, most)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	d := (*Limits)(nil).withDefaults()
	zero := (&Limits{}).withDefaults()
	if d != zero {
		t.Errorf("nil is %+v, the zero value %+v", d, zero)
	}
	if d.BytesPerSecond != 64<<10 || d.BytesBurst != 1<<20 || d.StanzasPerSecond != 50 || d.StanzasBurst != 200 ||
		d.ConnectionsPerAddress != 100 || d.NewPerMinute != 60 || d.FailuresPerAddress != 30 || d.FailureDelay != 5*time.Second || d.FailuresPerLogin != 5 || d.FailuresPerAccount != 30 ||
		d.Connections != 20000 || d.RecipientsPerMinute != 200 || d.StanzaBytes != 256<<10 || d.PreAuthBytes != 32<<10 || d.WriteBuffer != 4<<20 ||
		d.WriteBuffers != 16<<20 || d.Negotiation != time.Minute || d.Idle != 5*time.Minute || d.Probe != time.Minute ||
		d.WriteStall != 30*time.Second || d.Closing != 5*time.Second {
		t.Errorf("defaults %+v", d)
	}
	kept := (&Limits{Connections: -1, StanzaBytes: -1, Idle: -1}).withDefaults()
	if kept.Connections != -1 || kept.StanzaBytes != d.StanzaBytes || kept.Idle != d.Idle {
		t.Errorf("negative limits become %+v", kept)
	}
	n := NoLimits().withDefaults()
	n.BytesPerSecond, n.StanzasPerSecond, n.ConnectionsPerAddress, n.NewPerMinute = d.BytesPerSecond, d.StanzasPerSecond, d.ConnectionsPerAddress, d.NewPerMinute
	n.FailuresPerLogin, n.FailuresPerAccount = d.FailuresPerLogin, d.FailuresPerAccount
	n.FailuresPerAddress, n.Connections, n.RecipientsPerMinute = d.FailuresPerAddress, d.Connections, d.RecipientsPerMinute
	if n != d {
		t.Errorf("without limits sizes and times are %+v", n)
	}
}
