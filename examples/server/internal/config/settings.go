package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/disco"
)

// setting is one thing that can be set, by flag, environment and file.
type setting struct {
	name     string
	argument string // in the help text
	value    string // the default; empty if there is none
	help     string
	set      func(c *Config, value string) error
}

// settings are all of them, in the order of the help text.
var settings = []setting{
	{"domain", "NAMES", "localhost", "domains served, comma separated", setDomains},
	{"data", "DIR", "./propolis-data", "directory of the database and of the certificate and key\nthe server makes; created with mode 0700",
		text(func(c *Config) *string { return &c.Data })},
	{"store", "STORE", StoreSQLite, "sqlite, memory (nothing is kept) or postgres://…\n(PostgreSQL has no function yet)", setStore},
	{"c2s", "ADDRESS", "localhost:5222", "clients, STARTTLS; host:port, or off as for every\nlistener; port 0 lets the system choose",
		listener(func(c *Config) *string { return &c.C2S })},
	{"c2s-tls", "ADDRESS", "localhost:5223", "clients, direct TLS",
		listener(func(c *Config) *string { return &c.C2STLS })},
	{"http", "ADDRESS", "localhost:5280", "web pages on accounts and invitations; plain http on\nthe loopback interface, else https",
		listener(func(c *Config) *string { return &c.HTTP })},
	{"http-url", "URL", "", "public address of the web pages, such as\nhttps://example.org; invitations are printed with it", setHTTPURL},
	{"http-trusted-proxies", "LIST", "", "addresses or networks of reverse\nproxies, comma separated; they say who asks, in\nX-Forwarded-For and X-Forwarded-Proto", setHTTPProxies},
	{"s2s", "ADDRESS", off, "other servers\n(no function yet: accepted, but not listened on)",
		listener(func(c *Config) *string { return &c.S2S })},
	{"component", "ADDRESS", off, "external components, XEP-0114; not encrypted",
		listener(func(c *Config) *string { return &c.Component })},
	{"component-secret", "LIST", "", "DOMAIN=FILE of each component that may\nconnect, comma separated or given again; the file has\nits secret", setComponents},
	{"tls-cert", "FILE", "", "certificate chain, PEM; without it the server makes a\nself-signed one in the data directory",
		optional(func(c *Config) *string { return &c.TLSCert })},
	{"tls-key", "FILE", "", "its key, PEM; SIGHUP reads both again",
		optional(func(c *Config) *string { return &c.TLSKey })},
	{"registration", "WHO", "", "open, approve (who is not invited waits for user\napprove), invite or closed; by default open if every\nlistener is on the loopback interface, else invite", setRegistration},
	{"registration-challenge", "WHAT", off, "what those must solve who have no\ninvitation: pow is a proof of work, which the web page\ndoes by itself; clients that cannot do it are refused,\nand told of the page", setChallenge},
	{"contact", "KIND=URI", "", "where to reach those who run the server, such as\nabuse=mailto:abuse@example.org; KIND is abuse, admin,\nfeedback, sales, security, status or support; may be\ngiven again, or several with spaces between",
		setContacts},
	{"sasl-plain", "on|off", "on", "PLAIN inside TLS, for old clients",
		onOff(func(c *Config) *bool { return &c.SASLPlain })},
	{"sasl-y-lenient", "on|off", off, "let in clients that take this server for one without\nchannel binding, as slixmpp 1.8 does on TLS 1.3; then\nnobody notices that the offer was cut short on the way",
		onOff(func(c *Config) *bool { return &c.SASLYLenient })},
	{"limits", "on|off", "on", "rate limits for each address and account; off is for\ntests and measurements on the loopback interface",
		onOff(func(c *Config) *bool { return &c.Limits })},
	{"config", "FILE", "", "file with lines NAME = VALUE of the names above;\n# begins a comment", setNothing},
	{"log-level", "LEVEL", "info", "debug, info, warn or error", setLogLevel},
}

// find returns the setting of a name and whether there is one.
func find(name string) (*setting, bool) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	if i < 0 {
		return nil, false
	}
	return &settings[i], true
}

// setDomains takes a list of domains apart and prepares each as the domainpart
// of a JID (RFC 7622 §3.2).
func setDomains(c *Config, value string) error {
	c.Domains = nil
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		domain, err := prepareDomain(name)
		if err != nil {
			return fmt.Errorf("%q is not a domain: %w", name, err)
		}
		if slices.Contains(c.Domains, domain) {
			return fmt.Errorf("domain %s is given twice", domain)
		}
		c.Domains = append(c.Domains, domain)
	}
	return nil
}

// dnsName checks the lengths of labels and names too, which package jid leaves
// out: without a form for the DNS there is no certificate.
var dnsName = idna.New(idna.VerifyDNSLength(true))

func prepareDomain(name string) (string, error) {
	if name == "" {
		return "", errors.New("it is empty")
	}
	j, err := jid.New("", name, "")
	if err != nil {
		return "", err
	}
	domain := j.Domainpart()
	if strings.HasPrefix(domain, "[") { // an IPv6 address, checked by jid
		return domain, nil
	}
	if _, err := dnsName.ToASCII(domain); err != nil {
		return "", err
	}
	return domain, nil
}

// setStore quotes no value: it may contain a password.
func setStore(c *Config, value string) error {
	switch {
	case value == StoreSQLite, value == StoreMemory,
		strings.HasPrefix(value, "postgres://"), strings.HasPrefix(value, "postgresql://"):
		c.Store = value
		return nil
	}
	return errors.New("want sqlite, memory or postgres://…")
}

func setRegistration(c *Config, value string) error {
	switch r := Registration(value); r {
	case Open, Approve, Invite, Closed:
		c.Registration = r
		return nil
	}
	return fmt.Errorf("%q: want open, approve, invite or closed", value)
}

func setChallenge(c *Config, value string) error {
	switch v := Challenge(value); v {
	case NoChallenge, ProofOfWork:
		c.Challenge = v
		return nil
	}
	return fmt.Errorf("%q: want pow or off", value)
}

func setLogLevel(c *Config, value string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[value]
	if !ok {
		return fmt.Errorf("%q: want debug, info, warn or error", value)
	}
	c.LogLevel = level
	return nil
}

// setContacts takes a list KIND=URI apart, with spaces between (XEP-0157 §3).
func setContacts(c *Config, value string) error {
	c.Contacts = disco.Contacts{}
	kinds := map[string]*[]string{
		"abuse": &c.Contacts.Abuse, "admin": &c.Contacts.Admin, "feedback": &c.Contacts.Feedback, "sales": &c.Contacts.Sales,
		"security": &c.Contacts.Security, "status": &c.Contacts.Status, "support": &c.Contacts.Support,
	}
	for _, contact := range strings.Fields(value) {
		kind, uri, ok := strings.Cut(contact, "=")
		list := kinds[kind]
		if !ok || list == nil {
			return fmt.Errorf("%q: want KIND=URI, where KIND is abuse, admin, feedback, sales, security, status or support", contact)
		}
		if err := (&disco.Contacts{Abuse: []string{uri}}).Check(); err != nil {
			return fmt.Errorf("%q: want an absolute URI such as mailto:abuse@example.org", contact)
		}
		*list = append(*list, uri)
	}
	return nil
}

// setNothing is for -config, which is not part of a Config.
func setNothing(_ *Config, value string) error {
	if value == "" {
		return errors.New("it is empty")
	}
	return nil
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if value == "" {
			return errors.New("it is empty")
		}
		*field(c) = value
		return nil
	}
}

func optional(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		*field(c) = value
		return nil
	}
}

func onOff(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, value string) error {
		if value != "on" && value != off {
			return fmt.Errorf("%q: want on or off", value)
		}
		*field(c) = value == "on"
		return nil
	}
}

func listener(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if value == off {
			*field(c) = ""
			return nil
		}
		if err := checkAddress(value); err != nil {
			return err
		}
		*field(c) = value
		return nil
	}
}
