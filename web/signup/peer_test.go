package signup_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/web/signup"
)

// TestSource: auth-register AB-7: who asks is the other end, or whom trusted proxies name;
// if that cannot be told, or the way is not safe, no form is shown or taken.
func TestSource(t *testing.T) {
	t.Parallel()
	const none, open = "unknown", "open"
	for _, tt := range []struct {
		name, addr string
		tls        bool
		header     map[string]string
		want       string // the source, none or open
	}{
		{"direct", "192.0.2.1:1", true, nil, "192.0.2.1"},
		{"direct, old address in new dress", "[::ffff:192.0.2.1]:1", true, nil, "192.0.2.1"},
		{"direct, without TLS", "192.0.2.1:1", false, nil, open},
		{"this machine", "127.0.0.1:1", false, nil, "127.0.0.1"},
		{"this machine", "[::1]:1", false, nil, "::1"},
		{"no address", "@", true, nil, none},
		{"lies", "192.0.2.1:1", true, map[string]string{"X-Forwarded-For": "198.51.100.1"}, "192.0.2.1"},
		{"lies of TLS", "192.0.2.1:1", false, map[string]string{"X-Forwarded-Proto": "https"}, open},
		{"a proxy on this machine that is not trusted", "127.0.0.1:1", false, map[string]string{"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https"}, none},
		{"another", "127.0.0.1:1", false, map[string]string{"Forwarded": "for=198.51.100.1"}, none},
		{"that tells little", "127.0.0.1:1", false, map[string]string{"X-Real-Ip": "198.51.100.1"}, none},
		{"that tells next to nothing", "127.0.0.1:1", false, map[string]string{"Via": "1.1 proxy"}, none},
		{"TLS, and not, before the proxy", "10.0.0.1:1", false, map[string]string{"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https, http"}, open},
		{"TLS all the way", "10.0.0.1:1", false, map[string]string{"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https, https"}, "198.51.100.1"},
		{"proxy", "10.0.0.1:1", false, map[string]string{"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "https"}, "198.51.100.1"},
		{"proxy that speaks TLS itself", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "198.51.100.1"}, "198.51.100.1"},
		{"proxy, without TLS before it", "10.0.0.1:1", false, map[string]string{"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "http"}, open},
		{"proxy that says nothing", "10.0.0.1:1", true, nil, none},
		{"proxy that says nonsense", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "unknown"}, none},
		{"made up before the proxy", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"nonsense before the proxy", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "<>, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "203.0.113.9, 198.51.100.1, 2001:db8::5"}, "198.51.100.1"},
		{"with a port", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "198.51.100.1:4711"}, "198.51.100.1"},
		{"new address", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "[2001:db9::1]:4711"}, "2001:db9::1"},
		{"in brackets", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "[2001:db9::1]"}, "2001:db9::1"},
		{"proxies only", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": "10.0.0.9, 10.0.0.2"}, "10.0.0.9"},
		{"too many", "10.0.0.1:1", true, map[string]string{"X-Forwarded-For": strings.Repeat("10.0.0.2,", 40) + "10.0.0.2"}, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var seen []netip.Addr
			s := newSite(t, register.Options{Policy: register.Open, Limiter: watched{&seen}},
				signup.Options{URL: "https://example.org", Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}})
			b := s.browser(t)
			b.addr, b.tls = tt.addr, tt.tls
			for name, value := range tt.header {
				b.header.Set(name, value)
			}
			p := b.get("/register")
			switch tt.want {
			case none:
				p.want(t, 403, "not possible from here")
				b.post("/account", nil).want(t, 403, "not possible from here")
			case open:
				p.want(t, 403, "over https only", "Open it over https")
				b.post("/account", nil).want(t, 403, "over https only")
				b.get("/invite/x").want(t, 403, "over https only")
			default:
				b.signUp(p, "bill", password).want(t, 200, "bill@"+domain)
				if len(seen) != 1 || seen[0].String() != tt.want {
					t.Errorf("sources %v, want %s", seen, tt.want)
				}
			}
			if (tt.want == none || tt.want == open) && len(seen) != 0 {
				t.Errorf("asked about %v", seen)
			}
			want := 0
			if strings.HasPrefix(tt.addr, "127.") && tt.header != nil {
				want = 1 // although there were more requests
			}
			if n := strings.Count(s.log.String(), "not among those that are trusted"); n != want {
				t.Errorf("warned %d times, want %d", n, want)
			}
		})
	}
}

// watched is a limiter that allows all and notes who it was asked about.
type watched struct{ seen *[]netip.Addr }

func (w watched) Begin(source netip.Addr, domain string) (func(register.Ending), time.Duration) {
	*w.seen = append(*w.seen, source)
	return register.Unlimited{}.Begin(source, domain)
}
