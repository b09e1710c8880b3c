package sasl2_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/sasl2"
)

// offers is what is offered to a peer with that header.
func offers(t *testing.T, s *site, header string) string {
	t.Helper()
	p := s.connect()
	defer p.stop()
	p.send(header)
	got := p.raw()
	_, got, ok := strings.Cut(got, "<authentication ")
	if !ok {
		t.Fatalf("nothing is offered: %s", got)
	}
	got, _, _ = strings.Cut("<authentication "+got, "</stream:features>")
	return limits.ReplaceAllString(got, "")
}

// TestOffer: auth-register S2-1, B2-1, UG-1, IN-1.
func TestOffer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup{auth: newAuth(), opt: sasl2.Options{NoPipelining: true}}
		s.auth.bindings = map[string]string{"tls-exporter": "data", "tls-unique": "data"}
		withMembers(&s)
		site := newSite(t, s)
		const want = "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-TEST</mechanism><mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism>" +
			"<inline><sm xmlns='urn:xmpp:sm:3'/><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/><feature var='urn:xmpp:csi:0'/></inline></bind>" +
			"<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>"
		if got := offers(t, site, "{open}"); got != want+"</authentication>" {
			t.Errorf("got %s", got)
		}
		const upgrades = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication>"
		known := offers(t, site, "{romeo}")
		if known != want+upgrades {
			t.Errorf("with an account: got %s", known)
		}
		// Scenario 14: what is offered does not tell whether there is an account.
		if unknown := offers(t, site, strings.ReplaceAll(expand("{romeo}"), "romeo", "nobody")); unknown != known {
			t.Errorf("with an unknown account: got %s", unknown)
		}
	})
}

// TestOfferLittle: without stores, members and bindings.
func TestOfferLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := offers(t, newSite(t, setup{opt: sasl2.Options{NoPipelining: true, Tokens: []string{"HT-SHA-512-EXPR"}}}), "{open}")
		if !strings.HasSuffix(got, "<inline><bind xmlns='urn:xmpp:bind:0'></bind></inline></authentication>") {
			t.Errorf("got %s", got)
		}
	})
}

// TestPipelining: auth-register IA-1 to IA-3, scenarios 20 and 37.
func TestPipelining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup{auth: newAuth()}
		withMembers(&s)
		site := newSite(t, s)
		first := site.connect()
		defer first.stop()
		first.run("C: {romeo}\n")
		version := first.version
		cached := "<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='" + version + "'/>"
		if version == "" {
			t.Fatal("no version is offered")
		}

		// Header, authentication and what follows in one flight.
		p := site.connect()
		defer p.stop()
		p.send("{romeo}{plain}" + cached + "<bind{bind2}/>{end}<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
		got := p.take()
		want := expand("{ok}{full}<bound{bind2}></bound></success>{bound}")
		if p.version != version || !strings.HasPrefix(got, want+"<iq ") {
			t.Errorf("got %s\nwant %s and an answer", got, want)
		}

		// A version of other features: nothing is tried, nothing counts.
		const stale = "<failure{2}><aborted{1}/><config-version-mismatch xmlns='urn:xmpp:iap:0'/></failure>"
		old := site.connect()
		defer old.stop()
		for range 5 {
			old.run("C: " + map[bool]string{true: "{romeo}", false: ""}[old.version == ""] +
				"<authenticate{2} mechanism='PLAIN'><config-version xmlns='urn:xmpp:iap:0' value='x'/><initial-response>?</initial-response>{end}\nS: " + stale + "\n")
		}
		old.run("C: {plain}" + cached + "{end}\nS: {ok}{is}</success>{ready}")

		// Another account, and other features, have another version; the same again
		// the same.
		for header, same := range map[string]bool{"{romeo}": true, "{open}": false} {
			other := site.connect()
			other.run("C: " + header + "\n")
			if (other.version == version) != same {
				t.Errorf("%s: version %s", header, other.version)
			}
			other.stop()
		}
		site.auth.bindings = map[string]string{"tls-exporter": "data"}
		other := site.connect()
		defer other.stop()
		other.run("C: {romeo}\n")
		if other.version == version {
			t.Error("a version for other features")
		}
	})
}

// TestPipeliningOff: a version that was learned before is of no use.
func TestPipeliningOff(t *testing.T) {
	t.Parallel()
	play(t, []transcript{{name: "off", with: func(s *setup) { s.opt.NoPipelining = true },
		text: "C: {open}\nC: {plain}<config-version xmlns='urn:xmpp:iap:0' value='x'/>{end}\nS: <failure{2}><aborted{1}/><config-version-mismatch xmlns='urn:xmpp:iap:0'/></failure>"}})
}

// TestPipelinedResponse: only one authenticate can be sent ahead, but what comes
// too early is still read in order.
func TestPipelinedResponse(t *testing.T) {
	t.Parallel()
	play(t, []transcript{
		{name: "response", text: "C: {open}{scram}{end}{secret}\nS: {who}{ok}<additional-data>{64 v=romeo}</additional-data>{is}</success>{ready}"},
		{name: "stanza", text: "C: {open}{plain}{end}<presence/>\nS: {ok}{is}</success>{ready}{error not-authorized}\nEND"},
	})
}

// TestUpgrade: auth-register S2-5, S2-9, UG-1, UG-2, UG-5, scenario 25.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	const (
		ask256 = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>"
		ask512 = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'> UPGR-SCRAM-SHA-512 </upgrade>"
		to256  = "<tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>\n"
		to512  = "<tasks><task>UPGR-SCRAM-SHA-512</task></tasks></continue>\n"
		next   = "C: <next{2} task='UPGR-SCRAM-SHA-256'/>\nS: <task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>{64 salt of 16 octet}</salt></task-data>\n"
		hash   = "C: <task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hash}</hash></task-data>\n"
		begins = "C: {romeo}\nC: {scram}" + ask256 + "{end}\nS: {who}\nC: {secret}\nS: <continue{2}><additional-data>{64 v=romeo}</additional-data>" + to256
	)
	for _, tt := range []struct {
		transcript
		want []string
	}{
		{transcript{name: "one", text: begins + next + hash + "S: {ok}{is}</success>{ready}"}, []string{"UPGR-SCRAM-SHA-256 hash"}},
		{transcript{name: "two", text: "C: {open}\nC: {plain}" + ask512 + ask256 + ask512 + "{end}\nS: <continue{2}>" + to512 +
			strings.ReplaceAll(next, "256", "512") + hash + "S: <continue{2}>" + to256 + next + hash + "S: {ok}{is}</success>{ready}"},
			[]string{"UPGR-SCRAM-SHA-512 hash", "UPGR-SCRAM-SHA-256 hash"}},
		{transcript{name: "of no use", text: "C: {romeo}\nC: {plain}<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade>{end}\nS: {ok}{is}</success>{ready}"}, nil},
		{transcript{name: "without a password", text: "C: {romeo}\nC: <authenticate{2} mechanism='EXTERNAL'><initial-response>{64 romeo@example.net}</initial-response>" + ask256 + "{end}\nS: {ok}{is}</success>{ready}"}, nil},
		{transcript{name: "another task", text: begins + "C: <next{2} task='UPGR-SCRAM-SHA-512'/>\nS: {fail malformed-request}"}, nil},
		{transcript{name: "wrong length", text: begins + next + "C: <task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hashes}</hash></task-data>\nS: {fail malformed-request}\nC: {plain}{end}\nS: {ok}{is}</success>{ready}"}, nil},
		{transcript{name: "no base64", text: begins + next + "C: <task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>?</hash></task-data>\nS: {fail incorrect-encoding}"}, nil},
		{transcript{name: "no hash", text: begins + next + "C: <task-data{2}/>\nS: {fail malformed-request}"}, nil},
		{transcript{name: "aborted", text: begins + "C: <abort{2}/>\nS: {fail aborted}\nC: {plain}{end}\nS: {ok}{is}</success>{ready}"}, nil},
		{transcript{name: "aborted late", text: begins + next + "C: <abort{2}/>\nS: {fail aborted}\nC: {plain}{end}\nS: {ok}{is}</success>{ready}"}, nil},
		{transcript{name: "inline requests wait", text: "C: {romeo}\nC: {plain}<bind{bind2}/>" + ask256 + "{end}\nS: <continue{2}>" + to256 + next + hash + "S: {ok}{full}<bound{bind2}></bound></success>{bound}"}, []string{"UPGR-SCRAM-SHA-256 hash"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t, setup{})
				p := site.connect()
				defer p.stop()
				p.run(tt.text)
				if got := site.auth.accounts["romeo@example.net"].salted; strings.Join(got, ",") != strings.Join(tt.want, ",") {
					t.Errorf("written %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestUpgradeRace: the password changes during the task (scenario 25).
func TestUpgradeRace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, setup{})
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {plain}<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>{end}\nS: <continue{2}><tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>\n" +
			"C: <next{2} task='UPGR-SCRAM-SHA-256'/>\nS: <task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>{64 salt of 16 octet}</salt></task-data>\n")
		site.auth.set("romeo@example.net", func(x *account) { x.generation++ })
		p.run("C: <task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hash}</hash></task-data>\nS: {fail not-authorized}")
		time.Sleep(time.Second)
		if got := site.auth.accounts["romeo@example.net"].salted; got != nil {
			t.Errorf("written %q", got)
		}
	})
}
