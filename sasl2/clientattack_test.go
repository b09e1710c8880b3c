package sasl2_test

import (
	"errors"
	"strings"
	"testing"

	"mellium.im/xmpp"

	"github.com/propolis-im/propolis/sasl2"
)

func featuresOld() []xmpp.StreamFeature { return []xmpp.StreamFeature{oldProfile()} }

// TestClientFalseServer: a server that claims success without proof, or for
// somebody else, is not believed, and hears no more than an abort (auth-register
// SA-16, S2-14, scenario 10).
func TestClientFalseServer(t *testing.T) {
	t.Parallel()
	playClient(t, []clientScript{
		{name: "at once", text: askTest + "S: {ok}{is}</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "without proof", text: askTest + whoTest + "S: {ok}{is}</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "empty proof", text: askTest + whoTest + "S: {ok}<additional-data/>{is}</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "wrong proof", text: askTest + whoTest + "S: {ok}<additional-data>{64 v=wrong}</additional-data>{is}</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "error as proof", text: askTest + whoTest + "S: {ok}<additional-data>{64 e=other-error}</additional-data>{is}</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "no base64", text: askTest + whoTest + "S: {ok}<additional-data>?</additional-data>{is}</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "elements as proof", text: askTest + whoTest + "S: {ok}<additional-data><a/></additional-data>{is}</success>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "older profile's success", text: askTest + "S: <success{1}/>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "another account", text: askTest + whoTest + "S: {ok}{proof}<authorization-identifier>mallory@example.net</authorization-identifier></success>\nC: {abort}", want: sasl2.ErrOtherAccount},
		{name: "another domain", text: askTest + whoTest + "S: {ok}{proof}<authorization-identifier>romeo@example.org</authorization-identifier></success>\nC: {abort}", want: sasl2.ErrOtherAccount},
		{name: "nobody", text: askTest + whoTest + "S: {ok}{proof}</success>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "no address", text: askTest + whoTest + "S: {ok}{proof}<authorization-identifier>@</authorization-identifier></success>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "bound to nothing", text: strings.Replace(askAll, "<request-token{fast} mechanism='HT-SHA-256-NONE'/>", "", 1) + whoTest +
			"S: {ok}{proof}{is}<bound{bind2}/></success>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "no features", text: strings.Replace(askAll, "<request-token{fast} mechanism='HT-SHA-256-NONE'/>", "", 1) + whoTest +
			"S: {ok}{proof}" + inAll + "</success><presence/>", want: sasl2.ErrServerMessage},
	})
}

// TestClientBrokenServer: what breaks the protocol ends the login.
func TestClientBrokenServer(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("<a>", 17)
	many := strings.Repeat("<a/>", 1200)
	playClient(t, []clientScript{
		{name: "wrong challenge", text: askTest + "S: <challenge{2}>{64 who!}</challenge>\nC: {abort}", want: errAny},
		{name: "no base64", text: askTest + "S: <challenge{2}>d2hvPw=</challenge>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "unknown element", text: askTest + "S: <more{2}/>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "stanza", text: askTest + "S: <message/>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "text", text: askTest + "S: hello<challenge{2}/>", want: errAny},
		{name: "failure without condition", text: askTest + "S: <failure{2}/>", want: errAny},
		{name: "white space", text: askTest + "S:  \nS: {fail account-disabled}", want: sasl2.ErrDisabled},
		{name: "endless challenges", text: askTest + strings.Repeat(whoTest, 10), want: sasl2.ErrServerMessage},
		{name: "deep", text: askTest + "S: <challenge{2}>" + deep, want: sasl2.ErrServerMessage},
		{name: "deep features", text: "S: {hello}<stream:features><authentication{2}>" + deep, want: sasl2.ErrServerMessage},
		{name: "wide", text: askTest + "S: <challenge{2}>" + many, want: sasl2.ErrServerMessage},
		{name: "long text", text: askTest + "S: <challenge{2}>" + strings.Repeat("A", 17<<10) + "</challenge>", want: sasl2.ErrServerMessage},
		{name: "long message", text: askTest + "S: <challenge{2}>" + strings.Repeat("AAAA", 4000) + "</challenge>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "long features", text: "S: {hello}<stream:features><a b='" + strings.Repeat("A", 300<<10), want: sasl2.ErrServerMessage},
		{name: "comment", text: askTest + "S: <challenge{2}><!-- --></challenge>", want: errAny},
		{name: "stream error", text: askTest + "S: <stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>", want: errAny},
	})
}

// TestClientErrors: each condition has its error.
func TestClientErrors(t *testing.T) {
	t.Parallel()
	all := []error{sasl2.ErrNotAuthorized, sasl2.ErrDisabled, sasl2.ErrExpired, sasl2.ErrTemporary}
	for condition, want := range map[string]error{
		"not-authorized": sasl2.ErrNotAuthorized, "account-disabled": sasl2.ErrDisabled, "credentials-expired": sasl2.ErrExpired,
		"temporary-auth-failure": sasl2.ErrTemporary, "aborted": nil, "": nil,
	} {
		err := &sasl2.RefusedError{Condition: condition, Mechanism: "PLAIN", Text: strings.Repeat("x", 200)}
		for _, e := range all {
			if errors.Is(err, e) != (e == want) {
				t.Errorf("%q is %v: %v", condition, e, errors.Is(err, e))
			}
		}
		if s := err.Error(); len(s) > 200 || !strings.Contains(s, "PLAIN") {
			t.Error(s)
		}
	}
}
