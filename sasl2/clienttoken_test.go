package sasl2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/sasl2"
)

var noneHT, _ = sasl2.ParseHT("HT-SHA-256-NONE")

const (
	askAll = "S: {hello}{all}\nC: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind><request-token{fast} mechanism='HT-SHA-256-NONE'/></authenticate>\n"
	inAll  = "<authorization-identifier>romeo@example.net/1</authorization-identifier><bound{bind2}/>"
)

func initialHT(token string) string { return base64Of(string(noneHT.Initial("romeo", token, nil))) }

func responseHT(token string) string { return base64Of(string(noneHT.Response(token, nil))) }

// useHT is what a client sends that uses a token for the fifth time.
func useHT(token string) string {
	return "<authenticate{2} mechanism='HT-SHA-256-NONE'><initial-response>" + initialHT(token) +
		"</initial-response><user-agent></user-agent><bind{bind2}></bind><fast{fast} count='5'/></authenticate>\n"
}

func withTokens(o *sasl2.ClientOptions, secrets ...string) {
	o.Binding = noBinding
	o.State = sasl2.ClientState{Agent: testAgent, SASL2: true}
	for _, s := range secrets {
		o.State.Tokens = append(o.State.Tokens, sasl2.ClientToken{Mechanism: "HT-SHA-256-NONE", Secret: s, Count: 4})
	}
}

func secrets(s sasl2.ClientState) (list []string) {
	for _, t := range s.Tokens {
		list = append(list, t.Secret)
	}
	return list
}

// TestClientToken: what becomes of tokens (auth-register FT-13 to FT-15, scenarios 8,
// 12, 23, 24).
func TestClientToken(t *testing.T) {
	t.Parallel()
	password := "S: <challenge{2}>{64 who?}</challenge>\nC: <response{2}>{64 secret}</response>\n"
	wish := "C: <authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind><request-token{fast} mechanism='HT-SHA-256-NONE'/></authenticate>\n"
	ok := func(token string) string {
		return "S: {ok}<additional-data>" + responseHT(token) + "</additional-data>" + inAll
	}
	kept := func(want ...string) func(*testing.T, *fakeServer) {
		return func(t *testing.T, f *fakeServer) {
			if got := secrets(f.last()); !reflect.DeepEqual(got, want) {
				t.Errorf("tokens %q, want %q", got, want)
			}
		}
	}
	use := func(token string) string { return "S: {hello}{all}\nC: {from}" + useHT(token) }
	playClient(t, []clientScript{
		{name: "asked for", with: func(o *sasl2.ClientOptions) { o.Binding = noBinding },
			text: askAll + password + "S: {ok}{proof}" + inAll + "<token{fast} token='one' expiry='2100-01-02T03:04:05Z'/></success><stream:features/>",
			check: func(t *testing.T, f *fakeServer) {
				want := []sasl2.ClientToken{{Mechanism: "HT-SHA-256-NONE", Secret: "one", Expires: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)}}
				if got := f.last().Tokens; !reflect.DeepEqual(got, want) {
					t.Errorf("%#v", got)
				}
			}},
		{name: "not given", with: func(o *sasl2.ClientOptions) { o.Binding = noBinding },
			text: askAll + password + "S: {ok}{proof}" + inAll + "</success><stream:features/>", check: kept()},
		{name: "not asked for", text: strings.Replace(askAll, "<request-token{fast} mechanism='HT-SHA-256-NONE'/>", "", 1) + password +
			"S: {ok}{proof}" + inAll + "<token{fast} token='one'/></success><stream:features/>", check: kept()},
		{name: "too long", with: func(o *sasl2.ClientOptions) { o.Binding = noBinding },
			text: askAll + password + "S: {ok}{proof}" + inAll + "<token{fast} token='" + strings.Repeat("x", 1025) + "'/></success><stream:features/>", check: kept()},
		{name: "used", with: func(o *sasl2.ClientOptions) { withTokens(o, "one", "old") },
			text: use("one") + ok("one") + "</success><stream:features/>",
			check: func(t *testing.T, f *fakeServer) {
				kept("one")(t, f)
				if !f.login.Token || f.login.Run != nil || f.last().Tokens[0].Count != 5 {
					t.Errorf("login: %+v, %#v", f.login, f.last().Tokens)
				}
			}},
		{name: "rotated", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text:  use("one") + ok("one") + "<token{fast} token='two' expiry='x'/></success><stream:features/>",
			check: kept("two", "one")},
		{name: "new one lost", with: func(o *sasl2.ClientOptions) { withTokens(o, "two", "one") },
			text:  use("two") + "S: {fail not-authorized}\n" + "C: " + useHT("one") + ok("one") + "</success><stream:features/>",
			check: kept("one")},
		{name: "refused", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text:  use("one") + "S: {fail not-authorized}\n" + wish + password + "S: {ok}{proof}" + inAll + "</success><stream:features/>",
			check: kept()},
		{name: "expired there", with: func(o *sasl2.ClientOptions) { withTokens(o, "one", "old") },
			text: use("one") + "S: {fail credentials-expired}\n" + wish + "S: {fail account-disabled}", want: sasl2.ErrDisabled, check: kept()},
		{name: "expired here", with: func(o *sasl2.ClientOptions) { withTokens(o, "one"); o.State.Tokens[0].Expires = time.Now() },
			text: askAll + "S: {fail account-disabled}", want: sasl2.ErrDisabled},
		{name: "temporary", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: use("one") + "S: {fail temporary-auth-failure}", want: sasl2.ErrTemporary, check: kept("one")},
		{name: "aborted", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: use("one") + "S: {fail aborted}", want: errAny, check: kept("one")},
		{name: "lost", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: use("one") + "S: </stream:stream>", want: errAny, check: kept("one")},
		{name: "server without proof", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: use("one") + "S: {ok}" + inAll + "</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated, check: kept("one")},
		{name: "own proof echoed", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: use("one") + "S: {ok}<additional-data>" + base64Of(string(noneHT.Initial("romeo", "one", nil)[6:])) + "</additional-data>" + inAll + "</success>\nC: {abort}",
			want: sasl2.ErrServerNotAuthenticated, check: kept("one")},
		{name: "challenged", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: use("one") + "S: <challenge{2}>{64 who?}</challenge>\nC: {abort}", want: errAny, check: kept("one")},
		{name: "no longer listed", with: func(o *sasl2.ClientOptions) { withTokens(o, "one") },
			text: askTest + "S: {fail account-disabled}", want: sasl2.ErrDisabled},
		{name: "mechanism not wanted", with: func(o *sasl2.ClientOptions) { withTokens(o, "one"); o.Tokens = []string{} },
			text: strings.Replace(askAll, "<request-token{fast} mechanism='HT-SHA-256-NONE'/>", "", 1) + "S: {fail account-disabled}", want: sasl2.ErrDisabled},
	})
}

// TestClientTokenDurable: nothing is sent or acted on before what it needs is kept
// (auth-register FT-15).
func TestClientTokenDurable(t *testing.T) {
	t.Parallel()
	errFull := errors.New("disk full")
	fails := func(n int) func(*sasl2.ClientOptions) {
		return func(o *sasl2.ClientOptions) {
			o.Binding = noBinding
			o.Save = func(context.Context, sasl2.ClientState) error {
				if n--; n < 0 {
					return errFull
				}
				return nil
			}
		}
	}
	playClient(t, []clientScript{
		{name: "identity", with: fails(0), text: "S: {hello}{all}\nC: {from}", want: errFull},
		{name: "count", with: func(o *sasl2.ClientOptions) { withTokens(o, "one"); fails(0)(o) }, text: "S: {hello}{all}\nC: {from}", want: errFull},
		{name: "token", with: fails(1), text: askAll + whoTest +
			"S: {ok}{proof}" + inAll + "<token{fast} token='one'/></success>\nC: {abort}", want: errFull},
		{name: "refusal", with: func(o *sasl2.ClientOptions) { withTokens(o, "one"); fails(1)(o) },
			text: "S: {hello}{all}\nC: {from}" + useHT("one") + "S: {fail not-authorized}", want: errFull},
		{name: "done", with: func(o *sasl2.ClientOptions) {
			o.Done = func(context.Context, sasl2.Login) error { return errFull }
		}, text: strings.Replace(askAll, "<request-token{fast} mechanism='HT-SHA-256-NONE'/>", "", 1) + whoTest + "S: {ok}{proof}" + inAll + "</success><stream:features/>", want: errFull},
	})
}

// TestClientBinding: a token is asked for and used with the best channel binding
// that both ends have (auth-register FT-13), and one that is bound to what this
// connection lacks waits for a better one.
func TestClientBinding(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, listed string
		max          uint16
		tokens       []string
		have         string
		want         string
	}{
		{name: "best", listed: "NONE ENDP EXPR", want: "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>"},
		{name: "certificate", listed: "NONE ENDP", want: "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/>"},
		{name: "older TLS", listed: "NONE ENDP EXPR", max: tls.VersionTLS12, want: "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/>"},
		{name: "none in common", listed: "NONE", want: "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"},
		{name: "none allowed", listed: "NONE", tokens: []string{"HT-SHA-256-EXPR"}, want: "<user-agent></user-agent></authenticate>"},
		{name: "unknown", listed: "MORE", want: "<user-agent></user-agent></authenticate>"},
		{name: "kept", listed: "NONE ENDP EXPR", have: "EXPR", want: " mechanism='HT-SHA-256-EXPR'><initial-response>"},
		{name: "kept, not here", listed: "NONE ENDP EXPR", have: "EXPR", max: tls.VersionTLS12, want: " mechanism='SCRAM-TEST'><initial-response>"},
		{name: "kept, better now", listed: "NONE ENDP EXPR", have: "ENDP", want: " mechanism='HT-SHA-256-EXPR'/></authenticate>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				o := f.clientOptions()
				o.Tokens = tt.tokens
				o.Binding = testBinding
				if tt.have != "" {
					o.State = sasl2.ClientState{Agent: testAgent, Tokens: []sasl2.ClientToken{{Mechanism: "HT-SHA-256-" + tt.have, Secret: "one"}}}
				}
				f.connectTLS(o, tt.max)
				var list strings.Builder
				for _, m := range strings.Fields(tt.listed) {
					list.WriteString("<mechanism>HT-SHA-256-" + m + "</mechanism>")
				}
				f.send("{hello}<stream:features><authentication{2}><mechanism>SCRAM-TEST</mechanism><inline><fast{fast}>" + list.String() + "</fast></inline></authentication></stream:features>")
				if got := f.take(); !strings.Contains(got, tt.want) {
					t.Errorf("client sent %s", got)
				}
				f.send("{fail account-disabled}")
				f.end()
			})
		})
	}
}

// TestClientSecrets: what is printed by accident gives nothing away.
func TestClientSecrets(t *testing.T) {
	t.Parallel()
	s := sasl2.ClientState{Tokens: []sasl2.ClientToken{{Mechanism: "HT-SHA-256-NONE", Secret: "hush"}}}
	l := sasl2.Login{State: s}
	if all := fmt.Sprintf("%v %+v %#v %v %+v", s, s, s, l, l); strings.Contains(all, "hush") || !strings.Contains(all, "HT-SHA-256-NONE") {
		t.Error(all)
	}
}

// TestClientTokenNotKept: where nothing is kept, a token is not used either.
func TestClientTokenNotKept(t *testing.T) {
	t.Parallel()
	const all = "S: {hello}{all}\nC: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}"
	playClient(t, []clientScript{
		{name: "no Save", with: func(o *sasl2.ClientOptions) { withTokens(o, "one"); o.Save = nil }, text: all + "<bind{bind2}></bind></authenticate>\n" + disabled, want: sasl2.ErrDisabled},
		{name: "no Binding", with: func(o *sasl2.ClientOptions) { withTokens(o, "one"); o.Binding = nil }, text: all + "<user-agent></user-agent><bind{bind2}></bind></authenticate>\n" + disabled, want: sasl2.ErrDisabled},
	})
}
