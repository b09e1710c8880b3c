package negotiate_test

import (
	"context"
	"errors"
	"strings"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// saslTest has PLAIN for romeo with the password secret; ASKS, which asks as
// many questions as it gets answers, until one is "enough"; and FAILS, which
// fails with the condition that it is given, or an error of its own for none.
type saslTest struct{}

func (saslTest) Mechanisms(*mux.Stream) []string { return []string{"PLAIN", "ASKS", "FAILS"} }

func (saslTest) Start(_ *mux.Stream, mechanism, domain string) (negotiate.Exchange, error) {
	if mechanism == "FAILS" {
		return nil, errors.New("store is down")
	}
	return &exchange{mechanism: mechanism, domain: domain}, nil
}

type exchange struct{ mechanism, domain, account, claimed string }

func (x *exchange) Claimed() string { return x.claimed }

type failure string

func (f failure) Error() string         { return "failed: " + string(f) }
func (f failure) SASLCondition() string { return string(f) }

func (x *exchange) Step(_ context.Context, in []byte) (out []byte, done bool, err error) {
	if x.mechanism == "PLAIN" {
		parts := strings.Split(string(in), "\x00")
		if len(parts) == 3 {
			x.claimed = parts[1] + "@" + x.domain
		}
		switch {
		case in == nil:
			return nil, false, nil
		case len(parts) != 3:
			return nil, false, failure("malformed-request")
		case parts[2] != "secret":
			return nil, false, failure("not-authorized")
		}
		x.account = parts[1] + "@" + x.domain
		return nil, true, nil
	}
	switch text := string(in); {
	case strings.HasPrefix(text, "fail "):
		return nil, false, failure(strings.TrimPrefix(text, "fail "))
	case strings.HasPrefix(text, "as "):
		x.account = strings.TrimPrefix(text, "as ")
		return []byte("done"), true, nil
	case in == nil:
		return []byte("first"), false, nil
	case text == "":
		return []byte{}, false, nil
	}
	return []byte("more"), false, nil
}

func (x *exchange) Account() string { return x.account }

// noSASL has no mechanisms.
type noSASL struct{ saslTest }

func (noSASL) Mechanisms(*mux.Stream) []string { return nil }
