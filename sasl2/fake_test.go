package sasl2_test

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
)

// auth is a sasl2.SASL in memory. It has PLAIN; SCRAM-TEST, which is asked "who?"
// when it has been told a name, takes the password, and has something to say in the
// end; and EXTERNAL, which believes what it is told.
type auth struct {
	mu       sync.Mutex
	accounts map[string]*account
	bindings map[string]string // data by type
	down     error             // of everything that looks at an account
	none     bool              // no mechanism can succeed
	knows    bool              // EXTERNAL knows the generation of credentials
	changed  func()            // is called after a proof was checked
	asked    int               // how often an account was looked at
}

type account struct {
	password   string
	generation int64
	disabled   bool
	lacks      []string // upgrade tasks
	salted     []string // what upgrades gave
}

var tasks = []string{"UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256"}

func newAuth() *auth {
	return &auth{accounts: map[string]*account{
		"romeo@example.net":   {password: "secret", generation: 7, lacks: tasks},
		"mallory@example.net": {password: "evil", generation: 8},
	}}
}

type refusal string

func (r refusal) Error() string         { return "refused: " + string(r) }
func (r refusal) SASLCondition() string { return string(r) }

func (a *auth) Mechanisms(*mux.Stream) []string {
	if a.none {
		return nil
	}
	return []string{"SCRAM-TEST", "PLAIN", "EXTERNAL"}
}

func (a *auth) Start(_ *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return &exchange{a: a, mechanism: mechanism, domain: domain}, nil
}

func (a *auth) Binding(_ *mux.Stream, typ string) ([]byte, error) {
	if data, ok := a.bindings[typ]; ok {
		return []byte(data), nil
	}
	return nil, errors.New("no binding")
}

func (a *auth) Status(_ context.Context, name string) (generation int64, disabled, exists bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	x, ok := a.accounts[name]
	if !ok || a.down != nil {
		return 0, false, false, a.down
	}
	return x.generation, x.disabled, true, nil
}

func (a *auth) Upgrades(_ context.Context, name string) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if x, ok := a.accounts[name]; ok {
		return x.lacks, a.down
	}
	return tasks, a.down
}

func (a *auth) BeginUpgrade(_ context.Context, name string, generation int64, task string) ([]byte, int, func(context.Context, []byte) error, error) {
	if a.down != nil {
		return nil, 0, nil, a.down
	}
	return []byte("salt of 16 octet"), 10000, func(_ context.Context, salted []byte) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		x := a.accounts[name]
		switch {
		case x == nil || x.generation != generation:
			return refusal("not-authorized")
		case len(salted) != 4:
			return refusal("malformed-request")
		}
		x.salted = append(x.salted, task+" "+string(salted))
		return nil
	}, nil
}

// set changes an account; a password is another generation.
func (a *auth) set(name string, f func(x *account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a.accounts[name])
}

func (a *auth) check(name, password string) (generation int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x, ok := a.accounts[name]
	switch {
	case a.down != nil:
		return 0, a.down
	case !ok || x.password != password:
		return 0, refusal("not-authorized")
	case x.disabled:
		return 0, refusal("account-disabled")
	}
	return x.generation, nil
}

type exchange struct {
	a                       *auth
	mechanism, domain, name string
	steps                   int
	account, claimed        string
	generation              int64
}

func (x *exchange) Claimed() string   { return x.claimed }
func (x *exchange) Account() string   { return x.account }
func (x *exchange) Generation() int64 { return x.generation }

func (x *exchange) Step(_ context.Context, in []byte) (out []byte, done bool, err error) {
	if in == nil {
		return []byte{}, false, nil
	}
	x.steps++
	switch text := string(in); {
	case x.mechanism == "EXTERNAL":
		x.account = text
		if x.a.knows {
			x.generation, _, _, err = x.a.Status(context.Background(), text)
		}
		return nil, true, err
	case x.mechanism == "PLAIN":
		parts := strings.Split(text, "\x00")
		if len(parts) != 3 {
			return nil, false, refusal("malformed-request")
		}
		if err := x.verify(parts[1], parts[2]); err != nil {
			return nil, false, err
		}
		if parts[0] != "" && parts[0] != x.account {
			return nil, false, refusal("invalid-authzid")
		}
		return nil, true, nil
	case x.steps == 1:
		x.name = text
		return []byte("who?"), false, nil
	case text == "more":
		return []byte("and?"), false, nil
	default:
		return []byte("v=" + x.name), true, x.verify(x.name, text)
	}
}

func (x *exchange) verify(name, password string) (err error) {
	x.account = name + "@" + x.domain
	x.claimed = x.account
	x.generation, err = x.a.check(x.account, password)
	if x.a.changed != nil {
		x.a.changed()
	}
	return err
}
