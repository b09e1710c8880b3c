package main

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// as dials as who a stream header names, and returns the features.
func as(t *testing.T, addr, user string) (p *peer, features string) {
	t.Helper()
	p = dial(t, addr, "example.org' from='"+user+"@example.org")
	_, features, _ = strings.Cut(p.until("</stream:features>"), "<stream:features>")
	return p, features
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

const agent = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>"

// sasl2Login makes an attempt and returns the condition or success, and a token that was
// issued.
func (p *peer) sasl2Login(mechanism, initial, children string) (answer, token string) {
	p.t.Helper()
	p.send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" +
		encode(initial) + "</initial-response>" + agent + children + "</authenticate>")
	answer = p.until("</failure>", "</success>")
	if m := regexp.MustCompile(` token='([^']*)'`).FindStringSubmatch(answer); m != nil {
		token = m[1]
	}
	if strings.HasPrefix(answer, "<success") {
		return "success", token
	}
	_, answer, _ = strings.Cut(answer, "'><")
	answer, _, _ = strings.Cut(answer, " ")
	return answer, token
}

// issueToken logs alice in with her password.
func issueToken(t *testing.T, addr, secret string) string {
	t.Helper()
	p, _ := as(t, addr, "alice")
	defer p.close()
	got, token := p.sasl2Login("PLAIN", "\x00alice\x00"+secret, "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>")
	if got != "success" || token == "" {
		t.Fatalf("%s, token %q", got, token)
	}
	return token
}

// useToken logs alice in with a token.
func useToken(t *testing.T, addr, token string) string {
	t.Helper()
	p, _ := as(t, addr, "alice")
	defer p.close()
	m, _ := sasl2.ParseHT("HT-SHA-256-NONE")
	got, _ := p.sasl2Login(m.Name(), string(m.Initial("alice", token, nil)), "<fast xmlns='urn:xmpp:fast:0'/>")
	return got
}

// TestTokens: tokens are void once the operator has changed the password, or disabled
// or removed the account, whether or not the server runs meanwhile, and for good; they
// outlive a new start (auth-register FT-16, scenario 24).
func TestTokens(t *testing.T) {
	t.Parallel()
	const alice = "alice@example.org"
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprint("running ", running), func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			operate(t, data, password, "user", "add", alice)
			s := launch(t, data, "-domain", "example.org")
			tell := func(input string, verbs ...string) {
				t.Helper()
				if !running {
					s.stop()
				}
				for _, verb := range verbs {
					operate(t, data, input, "user", verb, alice)
				}
				if !running {
					s = launch(t, data, "-domain", "example.org")
				}
			}
			token := issueToken(t, s.addr, password)
			tell("", "clients") // nothing that changes
			if got := useToken(t, s.addr, token); got != "success" {
				t.Errorf("at first: %s", got)
			}
			tell("battery staple", "passwd")
			if got := useToken(t, s.addr, token); got != "credentials-expired" && got != "not-authorized" {
				t.Errorf("after passwd: %s", got)
			}
			token = issueToken(t, s.addr, "battery staple")
			tell("", "disable")
			if got := useToken(t, s.addr, token); got != "account-disabled" {
				t.Errorf("after disable: %s", got)
			}
			tell("", "enable")
			if got := useToken(t, s.addr, token); got != "credentials-expired" {
				t.Errorf("after enable: %s", got)
			}
			token = issueToken(t, s.addr, "battery staple")
			tell("", "del")
			if got := useToken(t, s.addr, token); got != "not-authorized" {
				t.Errorf("after del: %s", got)
			}
			// Who gets the name next has nothing of all that.
			tell(password, "add")
			if got := useToken(t, s.addr, token); got != "not-authorized" {
				t.Errorf("after add: %s", got)
			}
			if got := operate(t, data, "", "user", "clients", alice); strings.Contains(got, "0") {
				t.Errorf("clients of a new account: %s", got)
			}
			s.stop()
		})
	}
}

// TestAttack14Features: what is offered to a stream that names an account does not tell
// whether there is one: with all keys or one, disabled, without keys, or none at all.
func TestAttack14Features(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for _, name := range []string{"alice", "banned", "empty"} {
		operate(t, data, password, "user", "add", name+"@example.org")
	}
	operate(t, data, "", "user", "disable", "banned@example.org")
	cfg, _, err := config.Load([]string{"-data", data}, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := openStores(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := st.accounts.Credentials(t.Context(), "empty@example.org")
	if err == nil {
		_, err = st.accounts.Update(t.Context(), "empty@example.org", c.Generation, scram.Credentials{})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	s := launch(t, data, "-domain", "example.org")
	version := regexp.MustCompile(`<config-version [^>]*>`)
	var want string
	for _, user := range []string{"alice", "nobody", "banned", "empty", "ALICE", "somebody"} {
		p, features := as(t, s.addr, user)
		p.close()
		features = version.ReplaceAllString(features, "")
		if want == "" {
			want = features
		}
		if features != want || !strings.Contains(features, "<fast ") {
			t.Errorf("%s is offered %s\nwant %s", user, features, want)
		}
	}
}
