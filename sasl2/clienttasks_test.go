package sasl2_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/sasl2"
)

const (
	plusList = "<stream:features><authentication{2}><mechanism>SCRAM-TEST-PLUS</mechanism>" +
		"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication></stream:features>"
	askUpgrade = "S: {hello}" + plusList + "\nC: {from}<authenticate{2} mechanism='SCRAM-TEST-PLUS'>{first}<user-agent></user-agent>" +
		"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authenticate>\n" + whoTest
	continued = "S: <continue{2}>{proof}<tasks><task>UPGR-SCRAM-SHA-256</task><task>UPGR-SCRAM-SHA-512</task></tasks></continue>\n"
	next512   = "C: <next{2} task='UPGR-SCRAM-SHA-512'/>\n"
	without   = "C: <authenticate{2} mechanism='SCRAM-TEST-PLUS'>{first}<user-agent></user-agent></authenticate>\n"
	saltOf16  = "{64 0123456789abcdef}"
	giveSalt  = "S: <task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>" + saltOf16 + "</salt></task-data>\n"
	salted512 = "C: <task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 UPGR-SCRAM-SHA-512}</hash></task-data>\n"
	salted256 = "C: <task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 UPGR-SCRAM-SHA-256}</hash></task-data>\n"
	disabled  = "S: {fail account-disabled}"
)

// saltTest gives the name of the task as what it computes.
func saltTest(_ context.Context, task string, salt []byte, iterations int) ([]byte, error) {
	if string(salt) != "0123456789abcdef" || iterations != 10_000 {
		return nil, fmt.Errorf("salt %q, %d iterations", salt, iterations)
	}
	return []byte(task), nil
}

// TestClientUpgrade: tasks, after the server is verified and over a bound channel
// only; one that fails does not lock anybody out (auth-register S2-10, UG-4, UG-5,
// scenario 25).
func TestClientUpgrade(t *testing.T) {
	t.Parallel()
	upgrades := func(o *sasl2.ClientOptions) { o.Upgrade = saltTest }
	salt := func(attr, salt string) string {
		return askUpgrade + continued + next512 + "S: <task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0'" + attr + ">" + salt + "</salt></task-data>\n"
	}
	refusesSalt := func(attr, data string) string {
		return salt(attr, data) + "C: {abort}\nS: {fail aborted}\n" + without + disabled
	}
	warned := func(t *testing.T, f *fakeServer) {
		if !strings.Contains(f.warned.String(), "upgrade not done") {
			t.Errorf("warned %q", f.warned)
		}
	}
	playClient(t, []clientScript{
		{name: "not verified", with: upgrades, text: askUpgrade + "S: <continue{2}><tasks><task>UPGR-SCRAM-SHA-512</task></tasks></continue>\nC: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "wrongly verified", with: upgrades, text: askUpgrade + strings.Replace(continued, "{proof}", "<additional-data>{64 v=wrong}</additional-data>", 1) + "C: {abort}", want: sasl2.ErrServerNotAuthenticated},
		{name: "unknown tasks", with: upgrades, text: askUpgrade + "S: <continue{2}>{proof}<tasks><task>TOTP</task></tasks></continue>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "the same again", with: upgrades, text: askUpgrade + "S: <continue{2}>{proof}<tasks><task>UPGR-SCRAM-SHA-512</task></tasks></continue>\n" + next512 + giveSalt + salted512 +
			"S: <continue{2}><tasks><task>UPGR-SCRAM-SHA-512</task></tasks></continue>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "verified twice", with: upgrades, text: askUpgrade + continued + next512 + giveSalt + salted512 + "S: {ok}{proof}{is}</success>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "challenged afterwards", with: upgrades, text: askUpgrade + continued + next512 + giveSalt + salted512 + "S: <challenge{2}>{64 who?}</challenge>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "one iteration", with: upgrades, text: refusesSalt(" iterations='1'", saltOf16), want: sasl2.ErrDisabled, check: warned},
		{name: "too many iterations", with: upgrades, text: refusesSalt(" iterations='5000001'", saltOf16), want: sasl2.ErrDisabled, check: warned},
		{name: "short salt", with: upgrades, text: refusesSalt(" iterations='10000'", "{64 0123456789abcde}"), want: sasl2.ErrDisabled, check: warned},
		{name: "not computed", with: upgrades, text: refusesSalt(" iterations='10001'", saltOf16), want: sasl2.ErrDisabled, check: warned},
		{name: "negative iterations", with: upgrades, text: salt(" iterations='-10000'", saltOf16) + "C: {abort}", want: sasl2.ErrServerMessage},
		{name: "no iterations", with: upgrades, text: salt("", saltOf16) + "C: {abort}", want: sasl2.ErrServerMessage},
		{name: "no base64", with: upgrades, text: salt(" iterations='10000'", "?") + "C: {abort}", want: sasl2.ErrServerMessage},
		{name: "no salt", with: upgrades, text: askUpgrade + continued + next512 + "S: <task-data{2}/>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "no task data", with: upgrades, text: askUpgrade + continued + next512 + "S: <challenge{2}/>\nC: {abort}", want: sasl2.ErrServerMessage},
		{name: "refused at once", with: upgrades, text: askUpgrade + continued + next512 + "S: {fail malformed-request}\n" + without + disabled, want: sasl2.ErrDisabled, check: warned},
		{name: "refused later", with: upgrades, text: askUpgrade + continued + next512 + giveSalt + salted512 + "S: {fail malformed-request}\n" + without + disabled, want: sasl2.ErrDisabled, check: warned},
		{name: "no answer to the abort", with: upgrades, text: salt(" iterations='1'", saltOf16) + "C: {abort}\nS: <presence/>", want: sasl2.ErrServerMessage},
		{name: "without binding", with: upgrades, text: "S: {hello}{all}\nC: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind></authenticate>\n" + disabled, want: sasl2.ErrDisabled},
		{name: "without binding, allowed", with: func(o *sasl2.ClientOptions) {
			upgrades(o)
			o.UpgradeUnbound, o.Upgrades = true, []string{"UPGR-SCRAM-SHA-256"}
		},
			text: "S: {hello}{all}\nC: {from}<authenticate{2} mechanism='SCRAM-TEST'>{first}<user-agent></user-agent><bind{bind2}></bind><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authenticate>\n" + disabled,
			want: sasl2.ErrDisabled},
		{name: "not with a token", with: func(o *sasl2.ClientOptions) { upgrades(o); withTokens(o, "one"); o.UpgradeUnbound = true },
			text: "S: {hello}{all}\nC: {from}" + useHT("one") + "S: <continue{2}><additional-data>" + responseHT("one") + "</additional-data><tasks><task>UPGR-SCRAM-SHA-512</task></tasks></continue>\nC: {abort}",
			want: sasl2.ErrServerMessage},
	})
}

// TestClientUpgraded: what was completed is told.
func TestClientUpgraded(t *testing.T) {
	t.Parallel()
	list := strings.Replace(plusList, "</authentication>", "<inline><bind{bind2}/></inline></authentication>", 1)
	ask := strings.Replace(strings.Replace(askUpgrade, plusList, list, 1), "</user-agent>", "</user-agent><bind{bind2}></bind>", 1)
	success := "S: {ok}" + inAll + "</success><stream:features/>"
	upgraded := func(want ...string) func(*testing.T, *fakeServer) {
		return func(t *testing.T, f *fakeServer) {
			if !reflect.DeepEqual(f.login.Upgraded, want) {
				t.Errorf("upgraded %q", f.login.Upgraded)
			}
		}
	}
	with := func(o *sasl2.ClientOptions) { o.Upgrade = saltTest }
	playClient(t, []clientScript{
		{name: "one", with: with, text: ask + continued + next512 + giveSalt + salted512 + success, check: upgraded("UPGR-SCRAM-SHA-512")},
		{name: "both", with: with, text: ask + continued + next512 + giveSalt + salted512 +
			"S: <continue{2}><tasks><task>UPGR-SCRAM-SHA-512</task><task>UPGR-SCRAM-SHA-256</task></tasks></continue>\n" +
			"C: <next{2} task='UPGR-SCRAM-SHA-256'/>\n" + giveSalt + salted256 + success, check: upgraded("UPGR-SCRAM-SHA-512", "UPGR-SCRAM-SHA-256")},
		{name: "none", with: with, text: ask + strings.Replace(success, "{ok}", "{ok}{proof}", 1), check: upgraded()},
	})
}

// TestClientUpgradeError: what could not be computed is told, and not asked for
// again.
func TestClientUpgradeError(t *testing.T) {
	t.Parallel()
	errWhy := errors.New("why")
	playClient(t, []clientScript{{name: "twice", with: func(o *sasl2.ClientOptions) {
		o.Upgrade = func(context.Context, string, []byte, int) ([]byte, error) { return nil, errWhy }
	}, text: askUpgrade + continued + next512 + giveSalt + "C: {abort}\nS: {fail aborted}\n" + without + whoTest + continued + "C: {abort}",
		want: sasl2.ErrServerMessage, check: func(t *testing.T, f *fakeServer) {
			if !strings.Contains(f.warned.String(), "why") {
				t.Errorf("warned %q", f.warned)
			}
		}}})
}

// TestClientUpgradeBounds: parameters out of bounds are refused before anything is
// computed (auth-register UG-4, scenario 25); at the bounds they are not.
func TestClientUpgradeBounds(t *testing.T) {
	t.Parallel()
	var list []clientScript
	for _, c := range []struct {
		iterations, salt int
		taken            bool
	}{
		{1, 16, false}, {4096, 16, false}, {9999, 16, false}, {10_000, 16, true}, {5_000_000, 16, true}, {5_000_001, 16, false},
		{10_000, 15, false}, {10_000, 1024, true}, {10_000, 1025, false},
	} {
		var computed bool
		text := askUpgrade + continued + next512 + fmt.Sprintf("S: <task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='%d'>{64 %s}</salt></task-data>\n",
			c.iterations, strings.Repeat("s", c.salt))
		if c.taken {
			text += salted512 + "S: {fail malformed-request}\n" + without + disabled
		} else {
			text += "C: {abort}\nS: {fail aborted}\n" + without + disabled
		}
		list = append(list, clientScript{
			name: fmt.Sprintf("%d iterations, salt of %d", c.iterations, c.salt), text: text, want: sasl2.ErrDisabled,
			with: func(o *sasl2.ClientOptions) {
				o.Upgrade = func(_ context.Context, task string, _ []byte, _ int) ([]byte, error) {
					computed = true
					return []byte(task), nil
				}
			},
			check: func(t *testing.T, _ *fakeServer) {
				if computed != c.taken {
					t.Errorf("computed: %v", computed)
				}
			},
		})
	}
	playClient(t, list)
}
