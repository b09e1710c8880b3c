// Package signup serves web pages for people who want an account, or were invited: the
// landing page of XEP-0401: Ad-hoc Account Invitation Generation, version 0.6.0 (§5.2),
// and of XEP-0379: Pre-Authenticated Roster Subscription, version 0.3.3 (§3.3), with a
// form that makes the account right there; a page to register without an invitation,
// where the policy allows it; one to set a new password by an operator's link; and at
// the top one that tells what this is.
//
// # Assembling
//
// A [Handler] is an http.Handler over package register, which decides everything: names,
// limits, invitations and challenges are the same as in-band, through the very same call.
//
//	const url = "https://example.org"
//	people := register.New(accounts, &register.Options{Landing: signup.Landing(url), …})
//	pages, err := signup.New(people, domains, &signup.Options{URL: url})
//	http.Handle("/", pages)
//
// It is below the path of [Options.URL]:
//
//	/               what this server is, and how to get an account
//	/invite/#TOKEN  the landing page of an invitation; this is what is handed out
//	/invite/TOKEN   the same, for browsers without scripts and links that lose the rest
//	/register       for those without an invitation
//
// Everything works without scripts but two things: with #TOKEN the token must be typed
// or pasted, and proof of work cannot be done.
//
// # Security
//
// The token in the fragment reaches neither logs nor other sites: browsers do not send
// it with the address, the page passes it on in the body of a request, tells no referrer,
// loads nothing from elsewhere and is not stored. This package logs no addresses of pages.
//
// Forms are taken over TLS only, or from this machine. Who asks is the other end of the
// connection, unless that is one of [Options.Proxies]; then it is who they say, and if
// they do not, the answer is no. Forms from other sites are refused by what the browser
// says of their origin, and by a value in each form that belongs to a cookie.
package signup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/propolis-im/propolis/register"
)

// Service is what the pages stand on; a register.Extension satisfies it. Its methods may
// wait and must be safe for concurrent use.
type Service interface {
	// Policy says who may make an account.
	Policy() register.Policy
	// Show looks at an invitation.
	Show(ctx context.Context, source netip.Addr, token string) (*register.Grant, error)
	// Challenge makes what those have to solve who have none; nil if there is nothing.
	Challenge(ctx context.Context, domain string) (register.Challenge, error)
	// SignUp makes the account, or sets the password.
	SignUp(ctx context.Context, r register.Request) (register.Result, error)
}

var _ Service = (*register.Extension)(nil)

// Options refine a Handler. The zero value is ready to use.
type Options struct {
	// URL is the public address of the pages, such as https://example.org/chat, below
	// whose path the handler answers; empty for the top of whatever server it is part
	// of.
	URL string
	// Proxies are the networks of reverse proxies: what these say in X-Forwarded-For
	// and X-Forwarded-Proto is believed, and nothing else. Empty for none.
	Proxies []netip.Prefix
	// Clients are the apps that are recommended; nil means [Clients].
	Clients []Client
	// MinPassword is told to people as the least number of characters; 0 tells none.
	MinPassword int
	// Contacts are shown on the page at the top; empty for none.
	Contacts []Contact
	// Logger gets failures (Error), and once that a proxy is not among Proxies (Warn);
	// nil discards.
	Logger *slog.Logger
}

var _ http.Handler = (*Handler)(nil)

// Handler serves the pages. It is safe for concurrent use.
type Handler struct {
	people  Service
	domains func() []string
	opt     Options
	base    *url.URL // nil if Options.URL is empty
	prefix  string   // the path of it, without a slash at the end

	routes  http.Handler
	pages   map[string]*template.Template
	assets  map[string]asset
	origins *http.CrossOriginProtection
	forms   formKey
	pending challenges
	sent    sent
	hint    hint
}

// New returns the pages of a service. domains returns the served domains, of which there
// is at least one; it is called for each page, must not wait, and be safe for concurrent
// use. o may be nil and is copied. The error is about Options.URL.
func New(people Service, domains func() []string, o *Options) (*Handler, error) {
	h := &Handler{people: people, domains: domains, origins: http.NewCrossOriginProtection()}
	if o != nil {
		h.opt = *o
	}
	if h.opt.Logger == nil {
		h.opt.Logger = slog.New(slog.DiscardHandler)
	}
	if h.opt.Clients == nil {
		h.opt.Clients = Clients()
	}
	if err := h.setURL(h.opt.URL); err != nil {
		return nil, err
	}
	_, _ = rand.Read(h.forms[:]) // never fails
	h.load()
	h.route()
	return h, nil
}

// setURL takes the public address apart.
func (h *Handler) setURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("signup: %q: want the address of a web site, such as https://example.org", text)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.EscapedPath() != u.Path {
		return errors.New("signup: the address of the pages must have neither user, query, fragment nor escapes")
	}
	h.base, h.prefix = u, strings.TrimRight(u.Path, "/")
	// A proxy may talk to this server by another name.
	return h.origins.AddTrustedOrigin(u.Scheme + "://" + u.Host)
}

// Landing returns what register.Options.Landing is for pages whose [Options.URL] is url: the
// address of the page for an invitation. It is nil for an empty url.
func Landing(url string) func(token string) string {
	if url == "" {
		return nil
	}
	// Tokens are letters and digits.
	return func(token string) string { return strings.TrimRight(url, "/") + "/invite/#" + token }
}
