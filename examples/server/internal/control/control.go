// Package control lets the operator's commands reach a server that runs on the
// same data directory.
//
// The server holds the directory's [Lock] and listens on a Unix socket in it,
// which only its own user may open. A connection carries one request, a line
// of JSON, and its answer, one or more lines of JSON. Who finds no server takes
// the lock and works on the store itself.
package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// Accounts is what can be done with accounts, named by their prepared bare JID.
// A new password is prepared and turned into keys by the implementation.
type Accounts interface {
	// Add makes an account, or returns [scram.ErrExists] or an error that
	// wraps [ErrDomain] or [scram.ErrPassword].
	Add(ctx context.Context, account, password string) error
	// SetPassword replaces the password, or returns [scram.ErrNoAccount] or an
	// error that wraps [scram.ErrPassword].
	SetPassword(ctx context.Context, account, password string) error
	// Remove deletes an account with all that belongs to it, or returns
	// [scram.ErrNoAccount].
	Remove(ctx context.Context, account string) error
	// SetDisabled refuses or allows logins, and ends sessions when it refuses them,
	// or returns [scram.ErrNoAccount]. What belongs to the account stays.
	SetDisabled(ctx context.Context, account string, disabled bool) error
	// Clients returns the clients of an account, or [scram.ErrNoAccount].
	Clients(ctx context.Context, account string) ([]ClientInfo, error)
	// Revoke takes a client's access away, or returns [scram.ErrNoAccount] or
	// [sasl2.ErrNoClient].
	Revoke(ctx context.Context, account, client string) error
	// List returns the names of all accounts.
	List(ctx context.Context) ([]string, error)
	// Numbers returns how the server does, or [ErrNotRunning].
	Numbers(ctx context.Context) ([]Number, error)
	Invitations
}

// Number is one of those that say how a server does.
type Number struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// ClientInfo is a client of an account. What it says about itself may be anything.
type ClientInfo struct {
	ID        string    `json:"id"`
	Software  string    `json:"software,omitempty"`
	Device    string    `json:"device,omitempty"`
	Resource  string    `json:"resource,omitempty"` // if it is known by its session only
	Last      time.Time `json:"last"`
	Connected bool      `json:"connected,omitempty"`
	Password  bool      `json:"password,omitempty"` // it knows the password
	Token     bool      `json:"token,omitempty"`
}

var (
	// ErrNotRunning is returned by a [Client] that finds no server. Nothing
	// was done then.
	ErrNotRunning = errors.New("no server runs on this data directory")
	// ErrRunning is returned by [Acquire] if a server runs on the directory.
	ErrRunning = errors.New("a server runs on this data directory already")
	// ErrBusy is returned by [Acquire] if something else holds the lock.
	ErrBusy = errors.New("another command works on this data directory")
	// ErrDomain is wrapped by the error for an account at a domain that is not
	// served.
	ErrDomain = errors.New("domain is not served")
)

// codes are the errors that a client can tell apart, by their name on the wire.
var codes = map[string]error{
	"exists":     scram.ErrExists,
	"no-account": scram.ErrNoAccount,
	"password":   scram.ErrPassword,
	"domain":     ErrDomain,
	"no-client":  sasl2.ErrNoClient,
	"no-invite":  register.ErrNoInvite,
	"waits-not":  register.ErrNoApplication,
	"taken":      register.ErrTaken,
	"name":       register.ErrName,
}

func codeOf(err error) string {
	for code, sentinel := range codes {
		if errors.Is(err, sentinel) {
			return code
		}
	}
	return ""
}

// remoteError is an error that the server answered.
type remoteError struct {
	text string
	code string
}

func (e *remoteError) Error() string { return e.text }

// Unwrap returns the sentinel, or nil.
func (e *remoteError) Unwrap() error { return codes[e.code] }

// Serving returns accounts that refuses to add any, or invite to one, at a domain other
// than the given ones.
func Serving(accounts Accounts, domains func() []string) Accounts {
	return &serving{accounts, domains}
}

type serving struct {
	Accounts
	domains func() []string
}

func (s *serving) Add(ctx context.Context, account, password string) error {
	_, domain, _ := strings.Cut(account, "@")
	if err := s.serves(domain); err != nil {
		return err
	}
	return s.Accounts.Add(ctx, account, password)
}

func (s *serving) serves(domain string) error {
	if served := s.domains(); !slices.Contains(served, domain) {
		return fmt.Errorf("%s: %w here; those served are %s", domain, ErrDomain, strings.Join(served, ", "))
	}
	return nil
}

// Invite gives one without a domain the first that is served.
func (s *serving) Invite(ctx context.Context, n NewInvite) (InviteInfo, error) {
	if n.Domain == "" {
		n.Domain = s.domains()[0]
	}
	if err := s.serves(n.Domain); err != nil {
		return InviteInfo{}, err
	}
	return s.Accounts.Invite(ctx, n)
}
