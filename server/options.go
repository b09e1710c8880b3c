package server

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// Options say what a server is. Fields without "required" have defaults.
type Options struct {
	// Domains are the served domains, required, prepared or not. Clients that name
	// none get it if there is only one, and are refused otherwise.
	Domains []string
	// Accounts knows which accounts exist; required.
	Accounts Accounts
	// Certificate returns the certificate to show. It may look at
	// hello.ServerName, and is asked for each handshake. With nil there is no TLS,
	// and clients log in in clear: for connections that never leave the machine.
	Certificate func(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// SASL authenticates clients; required.
	SASL negotiate.SASL
	// Components are the external components that ServeComponents lets in (XEP-0114),
	// such as an Extension of package component; nil for none.
	Components negotiate.Components
	// Mux refines the kernel: store, limits. Its Logger is replaced by Logger.
	Mux mux.Options
	// Limits bound what peers can use up; nil for the defaults.
	Limits *Limits
	// Logger is for what an operator wants to see; nil discards.
	Logger *slog.Logger
	// Counters are told what happens; nil for nobody.
	Counters Counters
}

// Limits bound what peers can use up. A zero field stands for its default. A
// negative one stands for no limit where it is a rate or a number; sizes and times
// always have one.
type Limits struct {
	// BytesPerSecond and BytesBurst bound the input of a client stream, in octets;
	// 64 KiB and 1 MiB. Above it the stream is read more slowly (core-im LIM-8).
	BytesPerSecond, BytesBurst int
	// StanzasPerSecond and StanzasBurst do the same for stanzas; 50 and 200.
	StanzasPerSecond, StanzasBurst int
	// ConnectionsPerAddress and NewPerMinute bound the TCP connections of one IPv4
	// address or IPv6 /64 network; 100 and 60 (core-im LIM-10).
	ConnectionsPerAddress, NewPerMinute int
	// FailuresPerAddress bounds failed logins of one address in 10 minutes; 30
	// (core-im LIM-11). Above it every attempt is delayed by FailureDelay, 5 s.
	FailuresPerAddress int
	FailureDelay       time.Duration
	// FailuresPerLogin is how many wrong passwords or tokens one address may try in 10
	// minutes, 5, and four times that an IPv6 /48, FailuresPerAccount how many all of them may try on one account, 30.
	// After that every attempt of the address, or on the account, waits for half a
	// second, then twice as long each time up to FailureDelay; those of one address on
	// one account wait for each other, too. Nobody is locked out: failures elsewhere
	// cost no more than FailureDelay.
	FailuresPerLogin, FailuresPerAccount int
	// FailuresPerStream is how many attempts to log in may fail before the stream
	// ends, 3; from 2 to 5 (RFC 6120 §6.4.5).
	FailuresPerStream int
	// Connections bounds all TCP connections; 20000.
	Connections int
	// RecipientsPerMinute bounds the bare addresses, beside its own and its
	// domain, that one session may write to in a minute; 200 (core-im
	// LIM-13). What is for one more is refused with unexpected-request and
	// too-many-stanzas; presence that contacts are told by broadcast, answers and
	// errors do not count.
	RecipientsPerMinute int

	// StanzaBytes bounds a stanza after authentication, PreAuthBytes an element
	// before it; 256 KiB and 32 KiB (core-im LIM-1, LIM-2). A stanza that is up to twice
	// as large is refused, anything larger ends the stream.
	StanzaBytes, PreAuthBytes int
	// ComponentBytes bounds a stanza of a component; 512 KiB (core-im LIM-3).
	ComponentBytes int
	// WriteBuffer bounds what one connection may have unsent, 4 MiB (LIM-18), and
	// WriteBuffers what all may have together, 16 MiB; the process may grow by
	// about twice that, as the garbage collector goes.
	WriteBuffer, WriteBuffers int

	// Negotiation bounds the time from the first byte to a bound resource, 60 s
	// (core-im LC-20).
	Negotiation time.Duration
	// Idle is how long a client may be silent before it is probed, 5 min, and
	// Probe how long it may leave the probe unanswered, 1 min (LC-22, LC-23).
	Idle, Probe time.Duration
	// WriteStall is how long a peer may take nothing of what waits for it, 30 s
	// (LC-24).
	WriteStall time.Duration
	// Closing bounds the end of a stream, 5 s (LC-26).
	Closing time.Duration
}

// NoLimits switches off all limits on rates and numbers, for tests and load
// measurements; those on sizes and times stay.
func NoLimits() *Limits {
	return &Limits{BytesPerSecond: -1, StanzasPerSecond: -1, ConnectionsPerAddress: -1, NewPerMinute: -1,
		FailuresPerAddress: -1, FailuresPerLogin: -1, FailuresPerAccount: -1, Connections: -1, RecipientsPerMinute: -1}
}

func (l *Limits) withDefaults() Limits {
	var d Limits
	if l != nil {
		d = *l
	}
	n := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	size := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	t := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	n(&d.BytesPerSecond, 64<<10)
	n(&d.BytesBurst, 1<<20)
	n(&d.StanzasPerSecond, 50)
	n(&d.StanzasBurst, 200)
	n(&d.ConnectionsPerAddress, 100)
	n(&d.NewPerMinute, 60)
	n(&d.FailuresPerAddress, 30)
	n(&d.FailuresPerLogin, 5)
	n(&d.FailuresPerAccount, 30)
	n(&d.FailuresPerStream, 3)
	n(&d.Connections, 20000)
	n(&d.RecipientsPerMinute, 200)
	size(&d.StanzaBytes, 256<<10)
	size(&d.PreAuthBytes, 32<<10)
	size(&d.ComponentBytes, 512<<10)
	size(&d.WriteBuffer, 4<<20)
	size(&d.WriteBuffers, 16<<20)
	t(&d.FailureDelay, 5*time.Second)
	t(&d.Negotiation, time.Minute)
	t(&d.Idle, 5*time.Minute)
	t(&d.Probe, time.Minute)
	t(&d.WriteStall, 30*time.Second)
	t(&d.Closing, 5*time.Second)
	return d
}

// Counters are told what happens, for metrics. Implementations must be fast and
// allow concurrent calls.
type Counters interface {
	// Connection: one was accepted (+1) or has ended (-1).
	Connection(delta int)
	// Refused: a connection was closed because of a limit.
	Refused(reason string)
	// Session: one was bound (+1) or has lost its connection (-1).
	Session(delta int)
	// Stanza: one was received.
	Stanza(k mux.Kind)
}

type noCounters struct{}

func (noCounters) Connection(int)  {}
func (noCounters) Refused(string)  {}
func (noCounters) Session(int)     {}
func (noCounters) Stanza(mux.Kind) {}
