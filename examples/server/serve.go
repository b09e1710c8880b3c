package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/blocking"
	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/component"
	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/entitytime"
	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/examples/server/internal/selfsigned"
	"github.com/propolis-im/propolis/lastactivity"
	"github.com/propolis-im/propolis/mds"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/ping"
	"github.com/propolis-im/propolis/private"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/server"
	"github.com/propolis-im/propolis/smacks"
	"github.com/propolis-im/propolis/version"
)

// shutdownTime bounds an orderly shutdown (core-im GS-4).
const shutdownTime = 20 * time.Second

// assemble puts the server together. The order of the extensions is the order in
// which they take part; pages is the address of those for people.
func assemble(ctx context.Context, cfg *config.Config, st *stores, cert *selfsigned.Certificate, pages string, counters server.Counters, log *slog.Logger) (*assembly, error) {
	classes, err := st.accounts.Classes(ctx)
	if err != nil {
		return nil, err
	}
	sets, err := st.accounts.HashSets(ctx)
	if err != nil {
		return nil, err
	}
	pool := scram.NewPool(0, 0)
	keys := &lists{census: scram.NewCensus(st.accounts, &scram.CensusOptions{Logger: log})}
	auth := scram.New(st.accounts, &scram.Options{Secret: st.secret, Earlier: st.earlier, Classes: classes, HashSets: sets, Changed: keys.census.Changed,
		DisablePlain: !cfg.SASLPlain, LenientY: cfg.SASLYLenient, Pool: pool, Logger: log})
	fast := sasl2.New(fastSASL{sasl{auth, keys}}, st.clients, &sasl2.Options{Secret: st.tokens, Logger: log})
	people := registration(cfg, st, pages, scram.NewService(st.accounts, &scram.ServiceOptions{Pool: pool, Changed: keys.census.Changed}), nil, fast, log)

	contacts := roster.New(st.rosters, &roster.Options{Logger: log})
	maySee := func(ctx context.Context, e *mux.Event, _, from mux.Address) bool {
		sees, _ := contacts.Subscription(ctx, e, from)
		return sees
	}
	waits := func(e *mux.Event) bool { return !contacts.Cached(e) }
	external, err := components(cfg)
	if err != nil {
		return nil, err
	}
	gateways := component.New(&component.Options{Components: external, Logger: log})
	archives := archive.New(st.archives, &archive.Options{Prefs: st.archives, InRoster: contacts.Listed, Waits: waits, Logger: log})
	limits := new(server.Limits)
	if !cfg.Limits {
		limits = server.NoLimits()
	}
	if cfg.SASLYLenient {
		// Those clients try every mechanism with channel binding first, in vain.
		limits.FailuresPerStream = 5
	}
	blocks := blocking.New(st.blocked, &blocking.Options{Logger: log})
	rooms := newUnified()
	personal := private.New(st.private, &private.Options{Elsewhere: rooms.keeperOf, Logger: log})
	events := pep.New(st.nodes, &pep.Options{Elsewhere: rooms.keeper, Loaded: rooms.loaded, Subscription: contacts.Subscription, Contacts: contacts.Contacts, Groups: contacts.Groups,
		Blocked: blocks.Blocked, Blockers: st.blocked.Blockers, Logger: log,
		Waits: func(e *mux.Event) bool { return waits(e) || !blocks.Cached(e) }})
	discovers := func(ctx context.Context, e *mux.Event, account, from mux.Address) bool {
		return maySee(ctx, e, account, from) || events.Visible(ctx, e, from)
	}
	present, cards, avatars, views := withAvatars(st, contacts, events, log)
	states := csi.New(&csi.Options{Logger: log})
	streams := smacks.New(st.streams, &smacks.Options{Idle: states.Inactive, Logger: log})
	srv, err := server.New(&server.Options{
		Domains: cfg.Domains, Accounts: st.accounts, SASL: sasl{auth, keys}, Certificate: cert.GetCertificate, Components: gateways,
		Mux:    mux.Options{Committer: st.committer, Sessions: st.sessions},
		Limits: limits, Counters: counters, Logger: log,
	},
		// First, so that what others refuse is noted as handled as well.
		streams,
		blocks, // before all that store or copy
		keys,
		fast,
		people, // before the contacts: it sees requests first
		commands(people),
		contacts,
		present,
		caps.New(st.caps, &caps.Options{Subscription: contacts.Subscription, Waits: waits, Changed: events.Wants, Restored: events.Known, Logger: log}),
		offline.New(st.offline, &offline.Options{ReadsArchive: archives.Reads, Archived: archives.Messages, Logger: log}),
		mds.New(events, &mds.Options{Logger: log}), // before all that store or copy
		archives,
		carbons.New(&carbons.Options{StanzaID: archive.StanzaID, Occupant: present.Occupant}),
		events,
		disco.New(&disco.Options{Name: "Propolis", Contacts: &cfg.Contacts, MaySee: discovers, Waits: events.Waits}),
		lastactivity.New(st.last, &lastactivity.Options{MaySee: maySee, Waits: waits, Logger: log}),
		ping.New(),
		version.New("Propolis", programVersion(), nil),
		entitytime.New(nil),
		personal,
		rooms.join(events, personal, log),
		cards,
		avatars,
		views,
		gateways,
		states,
	)
	return &assembly{srv, fast, people, streams, states}, err
}

// assembly is the server with those of its extensions that others need.
type assembly struct {
	*server.Server
	sasl2    *sasl2.Extension
	register *register.Extension
	streams  *smacks.Extension
	states   *csi.Extension
}

// operator works on the accounts of the server.
func (a *assembly) operator(st *stores) *operatorAccounts {
	return &operatorAccounts{store: st.accounts, clients: st.clients, committer: st.committer, sasl2: a.sasl2, register: a.register,
		mux: a.Mux(), streams: a.streams, states: a.states}
}

// run runs the server until ctx is done, and returns nil after a clean
// shutdown. Log and the line that says ready go to stderr; load reads the settings
// again.
func run(ctx context.Context, cfg *config.Config, load func() (*config.Config, error), stderr io.Writer) (err error) {
	log := newLogger(stderr, cfg.LogLevel)
	if err := errors.Join(cfg.Unavailable(), cfg.MakeData()); err != nil {
		return err
	}
	for _, warning := range cfg.Warnings() {
		log.WarnContext(ctx, warning)
	}
	lock, err := control.Acquire(ctx, cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	cert, err := certificate(cfg)
	if err != nil {
		return err
	}
	warnEndPoint(ctx, cert, log)
	st, err := openStores(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	if err := st.check(ctx, log); err != nil {
		return err
	}
	site, err := openWebsite(cfg, cert, log)
	if err != nil {
		return err
	}
	defer site.close()
	var act activity
	srv, err := assemble(ctx, cfg, st, cert, site.address(), &act, log)
	if err != nil {
		return err
	}
	go act.collectWhenQuiet(ctx)
	if err := srv.Start(ctx); err != nil {
		return err
	}
	operator, err := lock.Listen(control.Serving(srv.operator(st), srv.Domains), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, operator.Close()) }()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	again := &reloader{load: load, cfg: cfg, cert: cert, srv: srv.Server, log: log}
	go again.on(ctx, hup)

	failed := make(chan error, 4)
	ready, listenErr := listen(cfg, srv.Server, failed)
	if listenErr == nil {
		listenErr = site.serve(cfg, srv.register, srv.Domains, log, failed)
	}
	if listenErr == nil {
		fmt.Fprintln(stderr, "ready "+ready+site.ready())
		select {
		case <-ctx.Done():
		case listenErr = <-failed:
		}
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	return errors.Join(listenErr, site.shutdown(stop), srv.Shutdown(stop))
}

// listen opens the listeners and returns what the ready line tells of them.
func listen(cfg *config.Config, srv *server.Server, failed chan<- error) (string, error) {
	var ready []string
	for _, l := range []struct {
		name, addr string
		serve      func(net.Listener) error
	}{{"c2s", cfg.C2S, srv.Serve}, {"c2s-tls", cfg.C2STLS, srv.ServeTLS}, {"component", cfg.Component, srv.ServeComponents}} {
		if l.addr == "" {
			continue
		}
		ln, err := net.Listen("tcp", l.addr)
		if err != nil {
			return "", err
		}
		ready = append(ready, l.name+"="+ln.Addr().String())
		go func() {
			if err := l.serve(ln); !errors.Is(err, server.ErrClosed) {
				failed <- err
			}
		}()
	}
	return strings.Join(ready, " "), nil
}

// certificate opens the certificate of the settings, or one of the server's own
// making.
func certificate(cfg *config.Config) (*selfsigned.Certificate, error) {
	certFile, keyFile, err := certificateFiles(cfg)
	if err != nil {
		return nil, err
	}
	return selfsigned.Open(certFile, keyFile)
}

// certificateFiles are its files, made if they have to be.
func certificateFiles(cfg *config.Config) (certFile, keyFile string, err error) {
	if cfg.TLSCert != "" {
		return cfg.TLSCert, cfg.TLSKey, nil
	}
	return selfsigned.Ensure(cfg.Data, selfsigned.Names(cfg.Domains, cfg.LocalClients()))
}
