package sasl2

import (
	"context"
	"errors"
	"time"
)

// clientTokens are the mechanisms for tokens by default, best first (XEP-0484 §6).
var clientTokens = []string{"HT-SHA-256-EXPR", "HT-SHA-256-UNIQ", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"}

var errNoChallenge = errors.New("a challenge where there is none")

// tokenRun is a [Run] with a token.
type tokenRun struct {
	m        HT
	username string
	token    string
	data     []byte
}

// Mechanism implements [Run].
func (r *tokenRun) Mechanism() string { return r.m.Name() }

// First implements [Run].
func (r *tokenRun) First() ([]byte, error) { return r.m.Initial(r.username, r.token, r.data), nil }

// Next implements [Run].
func (r *tokenRun) Next(context.Context, []byte) ([]byte, error) { return nil, errNoChallenge }

// Verify implements [Run]: the server has the token too (auth-register FT-12). What
// the client has sent itself does not prove it.
func (r *tokenRun) Verify(data []byte) error {
	if !r.m.VerifyResponse(r.token, r.data, data) {
		return errors.New("proof of the token is wrong")
	}
	return nil
}

// tokenUse is the newest token that can be used, with what the server lists and
// the connection has. Those that have expired are forgotten.
func (x *clientLogin) tokenUse(o *Offer) (ClientToken, *tokenRun, bool) {
	if !x.keepsTokens() {
		return ClientToken{}, nil, false
	}
	for _, t := range x.state.Tokens {
		if !t.Expires.IsZero() && !time.Now().Before(t.Expires) {
			x.state = x.state.without(t)
			continue
		}
		if len(common([]string{t.Mechanism}, o.Tokens)) == 0 || len(common([]string{t.Mechanism}, x.o.Tokens)) == 0 {
			continue
		}
		if m, data, ok := x.tokenMechanism(t.Mechanism); ok {
			return t, &tokenRun{m: m, username: x.account.Localpart(), token: t.Secret, data: data}, true
		}
	}
	return ClientToken{}, nil, false
}

// tokenWish is the best mechanism that a token can be asked for with, empty for
// none (auth-register FT-13).
func (x *clientLogin) tokenWish(o *Offer) string {
	if !x.keepsTokens() {
		return ""
	}
	for _, name := range common(x.o.Tokens, o.Tokens) {
		if _, _, ok := x.tokenMechanism(name); ok {
			return name
		}
	}
	return ""
}

func (x *clientLogin) keepsTokens() bool { return x.o.Save != nil && x.o.Binding != nil }

// tokenMechanism is a mechanism with the data of its channel binding on this
// connection.
func (x *clientLogin) tokenMechanism(name string) (m HT, data []byte, ok bool) {
	if m, ok = ParseHT(name); !ok || m.Binding() == "" {
		return m, nil, ok
	}
	if x.tls == nil || len(x.tls.PeerCertificates) == 0 {
		return m, nil, false
	}
	data, err := x.o.Binding(m.Binding(), x.tls, x.tls.PeerCertificates[0])
	return m, data, err == nil && len(data) > 0
}
