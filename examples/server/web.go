package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/selfsigned"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/web/signup"
)

// Bounds of the web listener: pages and forms are small.
const (
	webConns   = 1000
	webTime    = 20 * time.Second // to read a request
	webAnswer  = 90 * time.Second // to answer it; more than the pages themselves allow
	webIdle    = 60 * time.Second
	webHeaders = 16 << 10
)

// website is the listener for browsers.
type website struct {
	ln  net.Listener
	srv *http.Server
	url string // of the pages for people; empty if they cannot be reached by one
}

// openWebsite opens the listener, or returns nil if it is off. On the loopback interface
// it speaks plain http, for a proxy or a trial; elsewhere TLS.
func openWebsite(cfg *config.Config, cert *selfsigned.Certificate, log *slog.Logger) (*website, error) {
	if cfg.HTTP == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", cfg.HTTP)
	if err != nil {
		return nil, err
	}
	w := &website{url: cfg.WebURL(ln.Addr().String())}
	w.ln = netutil.LimitListener(shared(ln, cfg), webConns)
	w.srv = &http.Server{
		ReadHeaderTimeout: webTime, ReadTimeout: webTime, WriteTimeout: webAnswer, IdleTimeout: webIdle, MaxHeaderBytes: webHeaders,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // mostly what scanners do
	}
	w.srv.TLSConfig = webTLS(cfg.HTTP, cert)
	return w, nil
}

// webTLS is nil for a listener that speaks plain http.
func webTLS(address string, cert *selfsigned.Certificate) *tls.Config {
	if config.IsLoopback(address) {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.GetCertificate}
}

// address is the public one of the pages.
func (w *website) address() string {
	if w == nil {
		return ""
	}
	return w.url
}

// ready is what the ready line tells of it.
func (w *website) ready() string {
	if w == nil {
		return ""
	}
	return " http=" + w.ln.Addr().String()
}

// serve answers with the pages until shutdown.
func (w *website) serve(cfg *config.Config, people *register.Extension, domains func() []string, log *slog.Logger, failed chan<- error) error {
	if w == nil {
		return nil
	}
	pages, err := signup.New(people, domains, &signup.Options{URL: w.url, Proxies: cfg.HTTPProxies, MinPassword: scram.DefaultMinPassword,
		Contacts: webContacts(&cfg.Contacts), Logger: log})
	if err != nil {
		return err
	}
	w.srv.Handler = pages
	serve := w.srv.Serve
	if w.srv.TLSConfig != nil {
		serve = func(ln net.Listener) error { return w.srv.ServeTLS(ln, "", "") }
	}
	go func() {
		if err := serve(w.ln); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return nil
}

// webContacts are the contacts as the page at the top shows them: first what most people
// look for.
func webContacts(c *disco.Contacts) (all []signup.Contact) {
	for _, k := range []struct {
		kind string
		uris []string
	}{{"support", c.Support}, {"admin", c.Admin}, {"abuse", c.Abuse}, {"security", c.Security}, {"status", c.Status}, {"feedback", c.Feedback}, {"sales", c.Sales}} {
		for _, uri := range k.uris {
			all = append(all, signup.Contact{Kind: k.kind, URI: uri})
		}
	}
	return all
}

// shutdown takes no more requests, and waits for the answers to those there are.
func (w *website) shutdown(ctx context.Context) error {
	if w == nil {
		return nil
	}
	return w.srv.Shutdown(ctx)
}

// close ends it at once, if it has not ended.
func (w *website) close() {
	if w != nil {
		_ = w.srv.Close()
		_ = w.ln.Close()
	}
}
