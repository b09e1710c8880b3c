package config_test

import (
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/examples/server/internal/config"
)

// defaults is what Load returns if nothing is set.
func defaults() config.Config {
	return config.Config{
		Domains: []string{"localhost"}, Data: "./propolis-data", Store: "sqlite",
		C2S: "localhost:5222", C2STLS: "localhost:5223", HTTP: "localhost:5280",
		Registration: config.Open, Challenge: config.NoChallenge, SASLPlain: true, Limits: true, LogLevel: slog.LevelInfo,
	}
}

// writeFile makes a configuration file.
func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "propolis.conf")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		env  []string
		file string
		want func(c *config.Config)
	}{
		{"nothing", nil, []string{"HOME=/root", "PROPOLIS=1"}, "", func(*config.Config) {}},
		{"domains", []string{"-domain", "Example.ORG., bücher.example,xn--mnchen-3ya.example"}, nil, "", func(c *config.Config) {
			c.Domains = []string{"example.org", "bücher.example", "münchen.example"}
		}},
		{"addresses as domains", []string{"-domain", "192.0.2.1,[2001:db8::1]"}, nil, "", func(c *config.Config) {
			c.Domains = []string{"192.0.2.1", "[2001:db8::1]"}
		}},
		{"data with two dashes", []string{"--data=/srv"}, nil, "", func(c *config.Config) { c.Data = "/srv" }},
		{"memory", []string{"-store", "memory"}, nil, "", func(c *config.Config) { c.Store = config.StoreMemory }},
		{"postgres", []string{"-store", "postgres://u:p@db/x"}, nil, "", func(c *config.Config) { c.Store = "postgres://u:p@db/x" }},
		{"all listeners off", []string{"-c2s", "off", "-c2s-tls", "off", "-http", "off", "-s2s", "off"}, nil, "", func(c *config.Config) {
			c.C2S, c.C2STLS, c.HTTP, c.S2S = "", "", "", ""
		}},
		{"port 0", []string{"-c2s", "127.0.0.1:0", "-c2s-tls", "[::1]:0"}, nil, "", func(c *config.Config) {
			c.C2S, c.C2STLS = "127.0.0.1:0", "[::1]:0"
		}},
		{"all interfaces", []string{"-c2s", ":5222"}, nil, "", func(c *config.Config) {
			c.C2S, c.Registration = ":5222", config.Invite
		}},
		{"federation", []string{"-s2s", "192.0.2.1:5269"}, nil, "", func(c *config.Config) {
			c.S2S, c.Registration = "192.0.2.1:5269", config.Invite
		}},
		{"open to the world", []string{"-c2s", ":5222", "-registration", "open"}, nil, "", func(c *config.Config) { c.C2S = ":5222" }},
		{"closed", []string{"-registration", "closed"}, nil, "", func(c *config.Config) { c.Registration = config.Closed }},
		{"challenge", []string{"-registration-challenge", "pow"}, nil, "", func(c *config.Config) { c.Challenge = config.ProofOfWork }},
		{"challenge in the environment", nil, []string{"PROPOLIS_REGISTRATION_CHALLENGE=pow"}, "registration-challenge = off", func(c *config.Config) { c.Challenge = config.ProofOfWork }},
		{"challenge taken back", []string{"-registration-challenge", "off"}, nil, "registration-challenge = pow", func(*config.Config) {}},
		{"certificate", []string{"-tls-cert", "c.pem", "-tls-key", "k.pem"}, nil, "", func(c *config.Config) {
			c.TLSCert, c.TLSKey = "c.pem", "k.pem"
		}},
		{"switches", []string{"-sasl-plain", "off", "-sasl-y-lenient", "on", "-limits", "off"}, nil, "", func(c *config.Config) { c.SASLPlain, c.SASLYLenient, c.Limits = false, true, false }},
		{"log level", []string{"-log-level", "debug"}, nil, "", func(c *config.Config) { c.LogLevel = slog.LevelDebug }},
		{"last flag", []string{"-limits", "off", "-limits", "on", "-domain", "a.example", "-domain", "b.example"}, nil, "", func(c *config.Config) {
			c.Domains = []string{"b.example"}
		}},
		{"contacts", []string{"-contact", "abuse=mailto:a@example.org  abuse=xmpp:a@example.org", "-contact", "status=https://example.org/?a=b"},
			[]string{"PROPOLIS_CONTACT=admin=mailto:b@example.org"}, "contact = sales=mailto:c@example.org", func(c *config.Config) {
				c.Contacts.Abuse = []string{"mailto:a@example.org", "xmpp:a@example.org"}
				c.Contacts.Status = []string{"https://example.org/?a=b"}
			}},
		{"contacts in lines", nil, nil, "contact = admin=mailto:a@example.org\ncontact = support=mailto:b@example.org feedback=mailto:c@example.org\ncontact = security=mailto:d@example.org", func(c *config.Config) {
			c.Contacts = disco.Contacts{Admin: []string{"mailto:a@example.org"}, Support: []string{"mailto:b@example.org"},
				Feedback: []string{"mailto:c@example.org"}, Security: []string{"mailto:d@example.org"}}
		}},
		{"contacts taken back", []string{"-contact", ""}, nil, "contact = admin=mailto:a@example.org", func(*config.Config) {}},
		{"environment", nil, []string{"PROPOLIS_C2S_TLS=off", "PROPOLIS_DATA=/a=b"}, "", func(c *config.Config) {
			c.C2STLS, c.Data = "", "/a=b"
		}},
		{"file", nil, nil, "# all of it\n\n domain = a.example, b.example # two\r\ndata=/srv/a#b\nlog-level\t=\twarn\nhttp = off", func(c *config.Config) {
			c.Domains, c.Data, c.LogLevel, c.HTTP = []string{"a.example", "b.example"}, "/srv/a#b", slog.LevelWarn, ""
		}},
		{"flag over environment over file",
			[]string{"-data", "flag"}, []string{"PROPOLIS_DATA=env", "PROPOLIS_LOG_LEVEL=error"},
			"data = file\nlog-level = debug\nlimits = off",
			func(c *config.Config) { c.Data, c.LogLevel, c.Limits = "flag", slog.LevelError, false }},
		{"components", []string{"-component", "localhost:0", "-component-secret", "Chat.example=/a=b", "-component-secret", "b.example=x, c.example=y"},
			[]string{"PROPOLIS_COMPONENT_SECRET=z.example=z"}, "", func(c *config.Config) {
				c.Component, c.Components = "localhost:0", []config.Component{{"chat.example", "/a=b"}, {"b.example", "x"}, {"c.example", "y"}}
			}},
		{"components in a file", nil, nil, "component = :5347\ncomponent-secret = a.example=x\ncomponent-secret = b.example=y", func(c *config.Config) {
			c.Component, c.Components = ":5347", []config.Component{{"a.example", "x"}, {"b.example", "y"}}
			c.Registration = config.Invite
		}},
		{"components taken back", []string{"-component", "off", "-component-secret", ""}, nil, "component = :5347\ncomponent-secret = a.example=x", func(*config.Config) {}},
		{"web pages", []string{"-http-url", "https://example.org/chat/", "-http-trusted-proxies", "127.0.0.1, 2001:db8::1/32,::ffff:192.0.2.1"}, nil, "", func(c *config.Config) {
			c.HTTPURL = "https://example.org/chat"
			c.HTTPProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.1/32")}
		}},
		{"web pages on this machine", []string{"-http-url", "http://[::1]:5280"}, nil, "", func(c *config.Config) { c.HTTPURL = "http://[::1]:5280" }},
		{"web pages taken back", []string{"-http-url", "", "-http-trusted-proxies", ""}, nil, "http-url = https://example.org\nhttp-trusted-proxies = ::1", func(*config.Config) {}},
		{"certificate taken back", []string{"-tls-cert", "", "-tls-key="}, nil, "tls-cert = c.pem\ntls-key = k.pem", func(*config.Config) {}},
		{"certificate from two sources", []string{"-tls-key", "k.pem"}, nil, "tls-cert = c.pem", func(c *config.Config) {
			c.TLSCert, c.TLSKey = "c.pem", "k.pem"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := tt.args
			if tt.file != "" {
				args = append([]string{"-config", writeFile(t, tt.file)}, args...)
			}
			got, rest, err := config.Load(args, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			want := defaults()
			tt.want(&want)
			if !reflect.DeepEqual(*got, want) || len(rest) != 0 {
				t.Errorf("Load =\n%+v, rest %q; want\n%+v", *got, rest, want)
			}
		})
	}
}

// TestConfigFile: the file may be named in the environment, and by a flag that
// wins over that.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	a, b := writeFile(t, "data = a"), writeFile(t, "data = b")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"environment", nil, "a"},
		{"flag", []string{"-config", b}, "b"},
	} {
		c, _, err := config.Load(tt.args, []string{"PROPOLIS_CONFIG=" + a})
		if err != nil || c.Data != tt.want {
			t.Errorf("%s: %+v, %v; want data %s", tt.name, c, err, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		env  []string
		file string
		want string // FILE stands for the file's path
	}{
		{"unknown flag", []string{"-colour", "red"}, nil, "", "flag provided but not defined: -colour"},
		{"no value", []string{"-data"}, nil, "", "flag needs an argument: -data"},
		{"unknown variable", nil, []string{"PROPOLIS_COLOUR=red"}, "", "PROPOLIS_COLOUR in the environment is no setting; -help lists them"},
		{"variable in lower case", nil, []string{"PROPOLIS_data=x"}, "", "PROPOLIS_data in the environment is no setting; -help lists them"},
		{"unknown key", nil, nil, "\ncolour = red", `FILE:2: "colour" is no setting; -help lists them`},
		{"key with dash", nil, nil, "-data = x", `FILE:1: "-data" is no setting; -help lists them`},
		{"no equals sign", nil, nil, "data", "FILE:1: want NAME = VALUE"},
		{"twice", nil, nil, "data = a\nlimits = on\ndata = a", "FILE:3: data was set in line 1 already"},
		{"nested", nil, nil, "config = x", "FILE:1: a configuration file cannot name another one"},
		{"no file", []string{"-config", "/nonexistent/x"}, nil, "", "-config: open /nonexistent/x: no such file or directory"},
		{"long file", nil, nil, strings.Repeat("#\n", 33<<10), "-config: FILE has more than 65536 bytes"},
		{"empty config", []string{"-config", ""}, nil, "", "-config: it is empty"},
		{"empty data", nil, []string{"PROPOLIS_DATA="}, "", "PROPOLIS_DATA: it is empty"},
		{"wrong although overridden", []string{"-limits", "on"}, nil, "limits = maybe", `FILE:1: limits: "maybe": want on or off`},
		{"switch", []string{"-sasl-plain", "true"}, nil, "", `-sasl-plain: "true": want on or off`},
		{"level", []string{"-log-level", "INFO"}, nil, "", `-log-level: "INFO": want debug, info, warn or error`},
		{"registration", []string{"-registration", ""}, nil, "", `-registration: "": want open, approve, invite or closed`},
		{"challenge", []string{"-registration-challenge", "on"}, nil, "", `-registration-challenge: "on": want pow or off`},
		{"store keeps its secret", []string{"-store", "mysql://u:secret@db"}, nil, "", "-store: want sqlite, memory or postgres://…"},
		{"no port", []string{"-c2s", "localhost"}, nil, "", `-c2s: "localhost": want host:port or off`},
		{"empty listener", []string{"-c2s", ""}, nil, "", `-c2s: "": want host:port or off`},
		{"port by name", []string{"-c2s-tls", ":https"}, nil, "", `-c2s-tls: ":https": the port must be a number from 0 to 65535`},
		{"large port", []string{"-http", ":65536"}, nil, "", `-http: ":65536": the port must be a number from 0 to 65535`},
		{"no IPv6", []string{"-s2s", "[::g]:1"}, nil, "", `-s2s: "[::g]:1": "::g" is no IPv6 address`},
		{"host", []string{"-s2s", "a b:1"}, nil, "", `-s2s: "a b:1": "a b" is no host`},
		{"on is no address", []string{"-s2s", "on"}, nil, "", `-s2s: "on": want host:port or off`},
		{"empty domain", []string{"-domain", "a.example,"}, nil, "", `-domain: "" is not a domain: it is empty`},
		{"account as domain", []string{"-domain", "a@b"}, nil, "", `-domain: "a@b" is not a domain: idna: disallowed rune U+0040`},
		{"empty label", []string{"-domain", "a..b"}, nil, "", `-domain: "a..b" is not a domain: idna: invalid label "a..b"`},
		{"long label", []string{"-domain", strings.Repeat("a", 64)}, nil, "", `-domain: "` + strings.Repeat("a", 64) + `" is not a domain: idna: invalid label "` + strings.Repeat("a", 64) + `"`},
		{"domain twice", []string{"-domain", "a.example,A.example"}, nil, "", "-domain: domain a.example is given twice"},
		{"component without a file", []string{"-component-secret", "secret"}, nil, "", "-component-secret: want DOMAIN=FILE"},
		{"component with an empty file", []string{"-component-secret", "a.example="}, nil, "", "-component-secret: want DOMAIN=FILE"},
		{"component without a domain", []string{"-component-secret", "=x"}, nil, "", `-component-secret: "" is not a domain: it is empty`},
		{"component twice", []string{"-component-secret", "a.example=x", "-component-secret", "a.example=y"}, nil, "", "-component-secret: component a.example is given twice"},
		{"component of nobody", []string{"-component", "localhost:0"}, nil, "", "-component and -component-secret go together: give both or none"},
		{"component without a listener", []string{"-component-secret", "a.example=x"}, nil, "", "-component and -component-secret go together: give both or none"},
		{"component at a served domain", []string{"-component", "localhost:0", "-component-secret", "localhost=x"}, nil, "", "-component-secret: localhost is a domain of -domain"},
		{"unknown kind of contact", []string{"-contact", "boss=mailto:a@b"}, nil, "", `-contact: "boss=mailto:a@b": want KIND=URI, where KIND is abuse, admin, feedback, sales, security, status or support`},
		{"contact without kind", []string{"-contact", "mailto:a@b"}, nil, "", `-contact: "mailto:a@b": want KIND=URI, where KIND is abuse, admin, feedback, sales, security, status or support`},
		{"contact that is no URI", nil, nil, "contact = abuse=a@example.org", `FILE:1: contact: "abuse=a@example.org": want an absolute URI such as mailto:abuse@example.org`},
		{"certificate alone", []string{"-tls-cert", "c.pem"}, nil, "", "-tls-cert and -tls-key go together: give both or none"},
		{"web pages without TLS", []string{"-http-url", "http://example.org"}, nil, "", `-http-url: "http://example.org": want https, since passwords are typed there`},
		{"web pages nowhere", []string{"-http-url", "example.org"}, nil, "", `-http-url: "example.org": want the address of web pages, such as https://example.org`},
		{"web pages with a fragment", []string{"-http-url", "https://example.org/#"}, nil, "", `-http-url: "https://example.org/#": want the address of web pages, such as https://example.org`},
		{"proxies", []string{"-http-trusted-proxies", "localhost"}, nil, "", `-http-trusted-proxies: "localhost": want an address such as 192.0.2.1, or a network such as 2001:db8::/32`},
		{"key alone", nil, nil, "tls-key = k.pem", "-tls-cert and -tls-key go together: give both or none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args, want := tt.args, tt.want
			if tt.file != "" {
				path := writeFile(t, tt.file)
				args, want = append([]string{"-config", path}, args...), strings.ReplaceAll(want, "FILE", path)
			}
			_, _, err := config.Load(args, tt.env)
			if err == nil || err.Error() != want {
				t.Errorf("Load: %v, want %s", err, want)
			}
		})
	}
}

func TestFlagsAnywhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		data string
		rest []string
	}{
		{"before", []string{"-data", "x", "user", "list"}, "x", []string{"user", "list"}},
		{"between", []string{"user", "-data", "x", "list"}, "x", []string{"user", "list"}},
		{"after", []string{"user", "list", "-data=x"}, "x", []string{"user", "list"}},
		{"last wins", []string{"-data", "y", "user", "-data", "x"}, "x", []string{"user"}},
		{"dashes", []string{"-data", "x", "user", "del", "--", "-data"}, "x", []string{"user", "del", "-data"}},
		{"client", []string{"user", "revoke", "a@b", "-fd_x-", "-data=x"}, "x", []string{"user", "revoke", "a@b", "-fd_x-"}},
		{"client behind a flag", []string{"user", "revoke", "-data", "x", "a@b", "--fd=x"}, "x", []string{"user", "revoke", "a@b", "--fd=x"}},
	} {
		c, rest, err := config.Load(tt.args, nil)
		if err != nil || c.Data != tt.data || !slices.Equal(rest, tt.rest) {
			t.Errorf("%s: %+v, %q, %v", tt.name, c, rest, err)
		}
	}
	for _, args := range [][]string{{"user", "del", "a@b", "-fd"}, {"user", "revoke", "-fd"}, {"user", "revoke", "a@b", "c", "-fd"}, {"user", "revoke", "a@b", "-data"}} {
		if c, rest, err := config.Load(args, nil); err == nil {
			t.Errorf("%q: %+v, %q", args, c, rest)
		}
	}
	for _, args := range [][]string{{"-help"}, {"user", "-h"}, {"-data", "x", "--help"}, {"user", "revoke", "a@b", "-help"}} {
		if _, _, err := config.Load(args, nil); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v, want ErrHelp", args, err)
		}
	}
}
