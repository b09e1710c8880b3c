package signup

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/propolis-im/propolis/register"
)

// TestPending: challenges that wait are bounded, and old ones make room.
func TestPending(t *testing.T) {
	t.Parallel()
	var c challenges
	now := time.Now()
	of := func(n int) netip.Prefix { return network(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})) }
	for n := range maxWaiting {
		if _, err := c.put(waiting{of: of(n / maxOfNetwork)}, now); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if _, err := c.put(waiting{of: of(9999)}, now); err == nil {
		t.Error("one more")
	}
	if _, err := c.put(waiting{of: of(0)}, now); err != nil {
		t.Errorf("in place of an own one: %v", err)
	}
	if _, err := c.put(waiting{of: of(9999)}, now.Add(time.Hour)); err != nil || len(c.all) != 1 || len(c.of) != 1 {
		t.Errorf("%d challenges of %d networks, error %v, want one", len(c.all), len(c.of), err)
	}
}

// TestNetwork: what counts as one source.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64"} {
		if got := network(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if network(netip.Addr{}).IsValid() {
		t.Error("no address is in a network")
	}
}

// TestQR: the picture has the modules of the code, and a margin.
func TestQR(t *testing.T) {
	t.Parallel()
	const text = "xmpp:example.org?register;preauth=abcdefghijklmnopqrstuvwxyz"
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	got := qrOf(text)
	if got.Size != c.Size+8 {
		t.Fatalf("size %d of a code of %d", got.Size, c.Size)
	}
	black := make(map[[2]int]bool)
	for path := got.Path; path != ""; {
		var x, y, w, back int
		if _, err := fmt.Sscanf(path, "M%d %dh%dv1h-%dz", &x, &y, &w, &back); err != nil || w != back || w < 1 {
			t.Fatalf("%q: %v", path, err)
		}
		for i := range w {
			black[[2]int{x + i, y}] = true
		}
		path = path[len(fmt.Sprintf("M%d %dh%dv1h-%dz", x, y, w, back)):]
	}
	for y := range got.Size {
		for x := range got.Size {
			if want := c.Black(x-4, y-4); black[[2]int{x, y}] != want {
				t.Fatalf("module %d, %d is %t, want %t", x, y, !want, want)
			}
		}
	}
	if qrOf(string(make([]byte, 5000))) != nil {
		t.Error("a code for too much")
	}
}

// TestFormKey: values are for one cookie and one purpose.
func TestFormKey(t *testing.T) {
	t.Parallel()
	var k, other formKey
	other[0] = 1
	now := time.Now()
	v := k.make("cookie", "about", now)
	for _, tt := range []struct {
		name          string
		key           *formKey
		value, cookie string
		about         string
		at            time.Duration
		want          bool
	}{
		{"good", &k, v, "cookie", "about", 0, true},
		{"late", &k, v, "cookie", "about", formLifetime, true},
		{"too late", &k, v, "cookie", "about", formLifetime + 2*time.Second, false},
		{"before it was made", &k, v, "cookie", "about", -time.Minute, false},
		{"other key", &other, v, "cookie", "about", 0, false},
		{"other cookie", &k, v, "cookieabout", "", 0, false},
		{"no cookie", &k, k.make("", "about", now), "", "about", 0, false},
		{"other purpose", &k, v, "cookie", "abou", 0, false},
		{"empty", &k, "", "cookie", "about", 0, false},
		{"short", &k, v[:20], "cookie", "about", 0, false},
		{"no base64", &k, "*" + v[1:], "cookie", "about", 0, false},
	} {
		if got := tt.key.check(tt.value, tt.cookie, tt.about, now.Add(tt.at)); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// TestURLs: Options.URL and what is made of it.
func TestURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://example.org": "", "https://example.org/": "", "https://example.org:8443/a/b/": "/a/b", "http://localhost:5280": "", "": "",
	} {
		h, err := New(nil, nil, &Options{URL: url})
		if err != nil || h.prefix != want {
			t.Errorf("%q: prefix %q, error %v, want %q", url, h.prefix, err, want)
		}
	}
	for _, url := range []string{"example.org", "ftp://example.org", "https://", "https://u@example.org", "https://example.org/?a", "https://example.org/#a", "https://example.org/%2F", ":"} {
		if _, err := New(nil, nil, &Options{URL: url}); err == nil {
			t.Errorf("%q: no error", url)
		}
	}
	if Landing("") != nil {
		t.Error("a page nowhere")
	}
	if got, want := Landing("https://example.org/a/")("token"), "https://example.org/a/invite/#token"; got != want {
		t.Errorf("landing page %s, want %s", got, want)
	}
}

// TestSentBounded: of the forms that were taken the oldest are forgotten.
func TestSentBounded(t *testing.T) {
	t.Parallel()
	var s sent
	var k formKey
	mark := func(n int) [sha256.Size]byte { return k.mark("cookie", url.Values{"username": {strconv.Itoa(n)}}) }
	for n := range 3 * maxSent {
		a, first, err := s.begin(t.Context(), mark(n))
		if err != nil || !first {
			t.Fatalf("%d: first %t, %v", n, first, err)
		}
		if n%3 != 0 {
			a.succeeded(register.Request{Password: "secret"}, register.Result{})
		}
		s.end(mark(n), a)
	}
	if len(s.all) != maxSent || len(s.done) != maxSent {
		t.Errorf("%d forms, %d done", len(s.all), len(s.done))
	}
	if a, first, err := s.begin(t.Context(), mark(3*maxSent-1)); first || err != nil || a.ask.Password != "" {
		t.Errorf("the last: first %t, %+v, %v", first, a, err)
	}
	if _, first, err := s.begin(t.Context(), mark(1)); !first || err != nil {
		t.Errorf("the oldest: first %t, %v", first, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.begin(ctx, mark(1)); err == nil {
		t.Error("waits for ever")
	}
}

// TestPendingOfSite: who has many networks does not fill what all share.
func TestPendingOfSite(t *testing.T) {
	t.Parallel()
	var c challenges
	now := time.Now()
	of := func(n int) netip.Prefix {
		return network(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, byte(n >> 8), byte(n)}))
	}
	other := network(netip.MustParseAddr("2001:db8:2::1"))
	theirs, err := c.put(waiting{of: other}, now)
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for n := range 2 * maxWaiting {
		if last, err = c.put(waiting{of: of(n)}, now); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if len(c.all) != maxOfSite+1 || len(c.of) != maxOfSite+3 {
		t.Errorf("%d challenges of %d networks", len(c.all), len(c.of))
	}
	for id, n := range map[string]netip.Prefix{theirs: other, last: of(2*maxWaiting - 1)} {
		if _, ok := c.take(id, "", n, now); !ok {
			t.Errorf("that of %v is gone", n)
		}
	}
	if len(c.all) != maxOfSite-1 || len(c.of) != maxOfSite {
		t.Errorf("at last %d challenges of %d networks", len(c.all), len(c.of))
	}
}
