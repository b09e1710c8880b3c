package scram

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// Options of an [Authenticator]. The zero value is ready to use.
type Options struct {
	// Policy is what keys should be like. Its hashes are the mechanisms that
	// are offered, and after a login with PLAIN, when the password is at hand,
	// missing and weak keys of the account are replaced according to it.
	Policy Policy
	// Secret and Classes are those of [NewDecoys]. Without classes, the
	// policy is the only one.
	Secret  [32]byte
	Classes []Class
	// Earlier are secrets that Secret has taken the place of, and DecoyLife how long
	// each account that does not exist shows what it did with the one before, on
	// average: best, how long people keep a password. See [Decoys.After]. 0 or less
	// means [DefaultDecoyLife].
	Earlier   []EarlierSecret
	DecoyLife time.Duration
	// HashSets lists for which hashes real accounts have keys, a set repeated in
	// proportion to how many have it: by it, accounts that do not exist are told
	// what they could be upgraded with, and cost their time with PLAIN. None means
	// that all have keys for the hashes of the policy.
	HashSets [][]Hash
	// LenientY and DisableListHash are about [ServerConfig.LenientY] and
	// [ServerConfig.ListHash], which is sent unless it is disabled, for clients
	// that fail on an attribute they do not know.
	LenientY, DisableListHash bool
	// ExporterTLS12 offers the channel binding tls-exporter on TLS 1.2 too, if both
	// ends have the extended master secret (RFC 9266 §3). Clients that do not know
	// that may expect it never to be there.
	ExporterTLS12 bool
	// DisablePlain stops offering PLAIN. It is on by default, for tools that
	// know nothing else; the caller has to keep it inside TLS.
	DisablePlain bool
	// Pool runs the checks of PLAIN; nil means a pool with the defaults of
	// [NewPool].
	Pool *Pool
	// Changed, unless nil, is told of accounts that have got a key, such as
	// [Census.Changed]. It must not wait.
	Changed func(account string)
	// Nonce is that of [ServerConfig], for tests.
	Nonce func() string
	// Logger gets what went wrong without failing a login; nil discards it.
	Logger *slog.Logger
}

// Authenticator runs the server's side of authentication for all accounts of
// a store. It is safe for concurrent use.
type Authenticator struct {
	store  Store
	read   func(ctx context.Context, account string) (Credentials, error) // for reading only
	o      Options
	decoys *Decoys

	plain   []string // mechanisms without channel binding, best first
	subsets []lists  // what may be listed of the policy's hashes
	lists   listHashes
}

// New returns an authenticator. The store must not be nil; the options may
// be, and are copied.
func New(store Store, o *Options) *Authenticator {
	a := &Authenticator{store: store, read: store.Credentials}
	if m, ok := store.(*Memory); ok {
		a.read = m.kept // needs no copy
	}
	if o != nil {
		a.o = *o
	}
	a.o.Policy = a.o.Policy.normal()
	a.o.HashSets = slices.DeleteFunc(slices.Clone(a.o.HashSets), func(set []Hash) bool {
		return len(set) == 0 || slices.ContainsFunc(set, func(h Hash) bool { return h.Size() == 0 })
	})
	if a.o.Pool == nil {
		a.o.Pool = NewPool(0, 0)
	}
	if a.o.Changed == nil {
		a.o.Changed = func(string) {}
	}
	if a.o.Logger == nil {
		a.o.Logger = slog.New(slog.DiscardHandler)
	}
	classes := a.o.Classes
	if len(classes) == 0 {
		classes = []Class{{a.o.Policy.SaltLength, a.o.Policy.Iterations}}
	}
	a.decoys = rotated(a.o.Secret, classes, a.o.Earlier, a.o.DecoyLife)
	a.subsets = subsets(a.o.Policy.Hashes, !a.o.DisablePlain)
	a.plain = a.subsets[0].plain
	return a
}

// Mechanisms returns the names of the mechanisms without channel binding, best
// first. With TLS, take those of [Authenticator.On].
func (a *Authenticator) Mechanisms() []string { return slices.Clone(a.plain) }

var errMechanism = errors.New("mechanism not on offer")

// Start begins an exchange with a mechanism of [Authenticator.Mechanisms], whose
// name is compared exactly, for the accounts of host, which is the prepared
// domainpart of their JIDs. The error is a [*Failure] with invalid-mechanism.
func (a *Authenticator) Start(mechanism, host string) (*Exchange, error) {
	if !slices.Contains(a.plain, mechanism) {
		return nil, fail(InvalidMechanism, errMechanism)
	}
	h, _ := ParseMechanism(mechanism)
	return a.start(mechanism, host, h, ServerConfig{}), nil
}

// start begins an exchange with SCRAM, or with PLAIN if there is no hash.
func (a *Authenticator) start(mechanism, host string, h Hash, config ServerConfig) *Exchange {
	if h == 0 {
		e := &Exchange{a: a, host: host, mechanism: mechanism}
		e.next = e.plain
		return e
	}
	config.Nonce = a.o.Nonce
	var all struct { // in one piece of memory
		Exchange
		run    scramRun
		server Server
	}
	x := &all
	x.Exchange = Exchange{a: a, host: host, mechanism: mechanism, next: x.run.first}
	x.server = newServer(h, config)
	x.run = scramRun{e: &x.Exchange, hash: h, server: &x.server}
	return &x.Exchange
}

// decoyHashes are the hashes for which an account that does not exist seems to
// have keys.
func (a *Authenticator) decoyHashes(account string) []Hash {
	n := len(a.o.HashSets)
	if n == 0 {
		n = 1
	}
	i := a.decoys.draw("hashes", account, n) // in any case, for the time it takes
	if i < len(a.o.HashSets) {
		return a.o.HashSets[i]
	}
	return a.o.Policy.Hashes
}

// Reasons for refusal that must not be told.
var (
	errUnknownUser = errors.New("no such account")
	errNoKey       = errors.New("account has no key for this hash")
	errPassword    = errors.New("wrong password")
	errChanged     = errors.New("credentials changed during the exchange")
	errDisabled    = errors.New("account is disabled")
	errAuthzid     = errors.New("authorization identity is not the account")
)

// lookup returns the credentials of an account, without keys if there is no
// account. The error is a failure: the store did not answer.
func (a *Authenticator) lookup(ctx context.Context, account string) (c Credentials, known bool, err error) {
	c, err = a.read(ctx, account)
	if errors.Is(err, ErrNoAccount) {
		return Credentials{}, false, nil
	}
	if err != nil {
		return Credentials{}, false, fail(TemporaryAuthFailure, err)
	}
	// A broken key is as good as none; an error would show that the account
	// exists.
	if slices.ContainsFunc(c.Keys, func(k Key) bool { return k.Check() != nil }) {
		c.Keys = slices.DeleteFunc(slices.Clone(c.Keys), func(k Key) bool {
			err := k.Check()
			if err != nil {
				a.o.Logger.LogAttrs(ctx, slog.LevelError, "scram: stored key ignored",
					slog.String("account", account), slog.Any("err", err))
			}
			return err != nil
		})
	}
	return c, true, nil
}

// confirm checks, once the client has shown that it knows the password, that
// the account is still as it was when the exchange began, and enabled. Only
// then may a failure tell more than not-authorized.
func (a *Authenticator) confirm(ctx context.Context, account string, generation int64) error {
	c, known, err := a.lookup(ctx, account)
	switch {
	case err != nil:
		return err
	case !known || c.Generation != generation:
		return fail(NotAuthorized, errChanged)
	case c.Refuses():
		return fail(AccountDisabled, errDisabled)
	}
	return nil
}
