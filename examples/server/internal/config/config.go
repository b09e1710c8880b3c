// Package config reads the settings of the reference server from flags, the
// environment and a file, and checks them.
//
// Flags win over the environment, which wins over the file, which wins over
// the defaults. Every setting has the same name in all three; PROPOLIS_C2S_TLS
// is -c2s-tls in the environment. Reading is strict: an unknown name or a value
// that is wrong is an error even where another source overrides it.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"

	"github.com/propolis-im/propolis/disco"
)

// Values of Config.Store that are not the address of a database.
const (
	StoreSQLite = "sqlite"
	StoreMemory = "memory"
)

// Registration says who may make an account from outside.
type Registration string

// The values of Config.Registration.
const (
	Open    Registration = "open"    // everybody
	Approve Registration = "approve" // who is invited, and others once the operator agrees
	Invite  Registration = "invite"  // who is invited
	Closed  Registration = "closed"  // nobody
)

// Challenge is what those have to solve who make an account without an invitation.
type Challenge string

// The values of Config.Challenge.
const (
	NoChallenge Challenge = off
	ProofOfWork Challenge = "pow" // a computer does it
)

// Config is what the settings say. A listener that is off is the empty string.
type Config struct {
	// Domains are the domains served, in the form a JID has (RFC 7622 §3.2),
	// without duplicates; there is at least one.
	Domains []string
	// Data is the data directory as it was given.
	Data string
	// Store is StoreSQLite, StoreMemory or the address of a PostgreSQL
	// database, which may contain a password.
	Store string

	C2S, C2STLS, HTTP, S2S string // addresses, host:port

	HTTPURL     string         // the public address of the web pages; empty if it is not known
	HTTPProxies []netip.Prefix // reverse proxies that are believed

	Component  string      // the address that external components connect to
	Components []Component // those that may

	// TLSCert and TLSKey are files; both are empty if the server is to make
	// its own.
	TLSCert, TLSKey string

	Contacts     disco.Contacts // where to reach those who run the server
	Registration Registration
	Challenge    Challenge // for those who have no invitation
	SASLPlain    bool
	SASLYLenient bool
	Limits       bool
	LogLevel     slog.Level
}

// Load reads the arguments of a command line without the program's name, the
// environment as [os.Environ] returns it, and the file they name. It returns
// the arguments that are no flags; flags may stand before, between and after
// them. The error is [flag.ErrHelp] if help was asked for; every other one is
// of one line and means a wrong use of the program.
func Load(args, environ []string) (*Config, []string, error) {
	flags, rest, err := parseFlags(args)
	if err != nil {
		return nil, nil, err
	}
	env, err := parseEnviron(environ)
	if err != nil {
		return nil, nil, err
	}
	var file []entry
	if path := last(env, flags); path != "" {
		if file, err = readFile(path); err != nil {
			return nil, nil, err
		}
	}
	c := new(Config)
	for _, s := range settings {
		if s.value == "" {
			continue
		}
		if err := s.set(c, s.value); err != nil {
			return nil, nil, fmt.Errorf("default of -%s: %w", s.name, err)
		}
	}
	for _, source := range [][]entry{file, env, flags} {
		for _, e := range combined(source) {
			if err := e.setting.set(c, e.value); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", e.from, err)
			}
		}
	}
	if err := c.complete(); err != nil {
		return nil, nil, err
	}
	return c, rest, nil
}

// complete checks what concerns several settings, and decides the defaults
// that depend on others.
func (c *Config) complete() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("-tls-cert and -tls-key go together: give both or none")
	}
	if err := c.checkComponents(); err != nil {
		return err
	}
	if c.Registration == "" {
		c.Registration = Invite
		if c.allLoopback() {
			c.Registration = Open
		}
	}
	return nil
}

// allLoopback reports whether no listener can be reached from outside.
func (c *Config) allLoopback() bool {
	for _, address := range []string{c.C2S, c.C2STLS, c.HTTP, c.S2S, c.Component} {
		if address != "" && !IsLoopback(address) {
			return false
		}
	}
	return true
}

// LocalClients reports whether a listener for XMPP clients is on the loopback
// interface, so that clients may know the server as localhost.
func (c *Config) LocalClients() bool {
	return IsLoopback(c.C2S) || IsLoopback(c.C2STLS)
}

// Unavailable returns an error if the server cannot run as the settings say
// because a part of it is not built yet.
func (c *Config) Unavailable() error {
	if c.Store != StoreSQLite && c.Store != StoreMemory {
		return errors.New("-store: PostgreSQL is not available yet")
	}
	return nil
}

// Warnings returns what the operator should be told when the server starts, a
// line each.
func (c *Config) Warnings() []string {
	var w []string
	if c.S2S != "" {
		w = append(w, "-s2s has no function yet: messages to other servers are refused")
	}
	if c.Component != "" && !IsLoopback(c.Component) {
		w = append(w, "-component can be reached from outside and is not encrypted: use the loopback interface or a tunnel")
	}
	if !c.allLoopback() && (len(c.Contacts.Abuse) == 0 || len(c.Contacts.Admin) == 0) {
		w = append(w, "people cannot find out how to reach you: set -contact abuse=URI and -contact admin=URI")
	}
	if c.Challenge != NoChallenge && c.Registration != Open && c.Registration != Approve {
		w = append(w, fmt.Sprintf("-registration-challenge has no function with -registration %s: invitations are challenge enough", c.Registration))
	}
	if !c.Limits && !c.allLoopback() {
		w = append(w, "-limits is off and the server can be reached from outside: passwords can be guessed at full speed")
	}
	if c.SASLYLenient {
		w = append(w, "-sasl-y-lenient is on: when somebody on the way cuts the offer of channel binding short, the server does not notice")
	}
	if info, err := os.Stat(c.Data); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		w = append(w, fmt.Sprintf("the data directory %s is open to other users of this machine (mode %04o, want 0700)", c.Data, info.Mode().Perm()))
	}
	return w
}

// MakeData makes the data directory, with mode 0700, unless it is there.
func (c *Config) MakeData() error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}
