package sasl2_test

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

func name(space, local string) xml.Name { return xml.Name{Space: space, Local: local} }

const success = "S: {ok}{is}</success>{ready}\n"

// exchanges are about authentication alone (XEP-0388).
var exchanges = []transcript{
	{name: "in one message", text: "C: {open}\nC: {plain}{end}\n" + success},
	{name: "in two messages", text: "C: {open}\nC: {scram}{end}\nS: {who}\nC: {secret}\n" +
		"S: {ok}<additional-data>{64 v=romeo}</additional-data>{is}</success>{ready}"},
	{name: "white space around base64", text: "C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response> \t AHJvbWVvAHNlY3JldA== </initial-response>{end}\n" + success},
	{name: "aborted", text: "C: {open}\nC: {scram}{end}\nS: {who}\nC: <abort{2}/>\nS: {fail aborted}\nC: {plain}{end}\n" + success},
	{name: "wrong password", text: "C: {open}\nC: {wrong}\nS: {fail not-authorized}\nC: {scram}{end}\nS: {who}\nC: <response{2}>{64 wrong}</response>\nS: {fail not-authorized}\nC: {plain}{end}\n" + success},
	{name: "unknown account", text: "C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>{64 \x00nobody\x00secret}</initial-response>{end}\nS: {fail not-authorized}"},
	{name: "disabled", with: func(s *setup) {
		s.auth = newAuth()
		s.auth.accounts["romeo@example.net"].disabled = true
	}, text: "C: {open}\nC: {wrong}\nS: {fail not-authorized}\nC: {plain}{end}\nS: {fail account-disabled}"},
	{name: "unknown mechanism", text: "C: {open}\nC: <authenticate{2} mechanism='plain'/>\nS: {fail invalid-mechanism}"},
	{name: "token mechanism without fast", text: "C: {romeo}\nC: <authenticate{2} mechanism='HT-SHA-256-NONE'/>\nS: {fail invalid-mechanism}"},
	{name: "no mechanism", text: "C: {open}\nC: <authenticate{2}/>\nS: {fail malformed-request}"},
	{name: "no initial response", text: "C: {open}\nC: <authenticate{2} mechanism='PLAIN'/>\nS: {fail malformed-request}"},
	{name: "empty initial response", text: "C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response/>{end}\nS: {fail malformed-request}"},
	{name: "two initial responses", text: "C: {open}\nC: {plain}<initial-response/>{end}\nS: {fail malformed-request}"},
	{name: "element in a response", text: "C: {open}\nC: {scram}{end}\nS: {who}\nC: <response{2}><x/></response>\nS: {fail malformed-request}"},
	{name: "element in the initial response", text: "C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>AHJv<x/></initial-response>{end}\nS: {fail malformed-request}"},
	{name: "not the account of the stream", text: "C: {romeo}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>{64 \x00mallory\x00evil}</initial-response>{end}\nS: {fail not-authorized}\nC: {plain}{end}\n" + success},
	{name: "for somebody else", text: "C: {romeo}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>{64 romeo@example.net\x00mallory\x00evil}</initial-response>{end}\nS: {fail invalid-authzid}"},
	{name: "unusable account", text: "C: {open}\nC: <authenticate{2} mechanism='EXTERNAL'><initial-response>{64 romeo@example.org}</initial-response>{end}\nS: {fail temporary-auth-failure}"},
	{name: "store is down", with: func(s *setup) {
		s.auth = newAuth()
		s.auth.down = errors.New("down")
	}, text: "C: {open}\n" + strings.Repeat("C: {plain}{end}\nS: {fail temporary-auth-failure}\n", 5)},
	{name: "too many failures", text: "C: {open}\nC: {wrong}\nS: {fail not-authorized}\nC: <auth{1} mechanism='PLAIN'>AHJvbWVvAHdyb25n</auth>\nS: <failure{1}><not-authorized/></failure>\n" +
		"C: {wrong}\nS: {fail not-authorized}{error policy-violation}\nEND"},
	{name: "too many messages", text: "C: {open}\nC: {scram}{end}\nS: {who}\n" + strings.Repeat("C: <response{2}>{64 more}</response>\nS: <challenge{2}>{64 and?}</challenge>\n", 9) +
		"C: <response{2}>{64 more}</response>\nS: {fail malformed-request}"},
	{name: "too many aborts", text: "C: {open}\n" + strings.Repeat("C: {scram}{end}\nS: {who}\nC: <abort{2}/>\nS: {fail aborted}\n", 10) +
		"C: {scram}{end}\nS: {who}\nC: <abort{2}/>\nS: {fail aborted}{error policy-violation}\nEND"},
	{name: "no exchange to go on with", text: "C: {open}\nC: {secret}\nS: {error not-authorized}\nEND"},
	{name: "not in clear", with: func(s *setup) { s.clear = true }, text: "C: {open}\nS: <stream:features><limits/></stream:features>\nC: {plain}{end}\nS: {error not-authorized}\nEND"},
	{name: "no mechanisms", with: func(s *setup) {
		s.auth = newAuth()
		s.auth.none = true
	}, text: "C: {open}\nS: <stream:features><limits/></stream:features>\nC: {plain}{end}\nS: {fail invalid-mechanism}"},
	{name: "twice", text: "C: {open}\nC: {plain}{end}\n" + success + "C: {plain}{end}\nS: {error not-authorized}\nEND"},
	{name: "both profiles", text: "C: {open}\nC: <auth{1} mechanism='SCRAM-TEST'>{64 romeo}</auth>\nS: <challenge{1}>{64 who?}</challenge>\nC: {plain}{end}\nS: {error policy-violation}\nEND"},
}

// TestExchange: auth-register S2-1 to S2-8, S2-15, SA-7, SA-8.
func TestExchange(t *testing.T) {
	t.Parallel()
	play(t, exchanges)
}

// TestSilence: an exchange keeps a copy of credentials for half a minute, as one of
// the older profile does (auth-register SC-22).
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, setup{}).connect()
		defer p.stop()
		p.run("C: {open}\nC: {scram}{end}\nS: {who}\n")
		time.Sleep(30*time.Second - 1)
		p.expect("")
		time.Sleep(time.Nanosecond)
		p.expect("{error connection-timeout}")
	})
}

// TestForeignTraffic: auth-register S2-4, scenarios 17 and 21.
func TestForeignTraffic(t *testing.T) {
	t.Parallel()
	const begins = "C: {open}\nC: {scram}{end}\nS: {who}\n"
	const task = "C: {romeo}\nC: {plain}<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>{end}\nS: <continue{2}><tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>\n"
	const data = task + "C: <next{2} task='UPGR-SCRAM-SHA-256'/>\nS: <task-data{2}><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='10000'>{64 salt of 16 octet}</salt></task-data>\n"
	var list []transcript
	for _, at := range []struct{ name, text string }{{"challenge", begins}, {"continue", task}, {"task", data}} {
		for _, x := range []struct{ name, text string }{
			{"white space", " "},
			{"stanza", "<presence/>"},
			{"request", "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>"},
			{"second authenticate", "{plain}{end}"},
			{"older profile", "<response{1}>c2VjcmV0</response>"},
			{"other element", "<challenge{2}/>"},
		} {
			list = append(list, transcript{name: at.name + ", " + x.name, text: at.text + "C: " + x.text + "\nS: {error policy-violation}\nEND"})
		}
	}
	play(t, list)
}

// TestBase64: auth-register SA-4, scenario 15.
func TestBase64(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"YR==": "incorrect-encoding", "YQ": "incorrect-encoding", "Y Q==": "incorrect-encoding", "YQ==\nYQ==": "incorrect-encoding",
		"_-8=": "incorrect-encoding", "=": "incorrect-encoding", "YQ==YQ==": "incorrect-encoding", "ü": "incorrect-encoding",
		strings.Repeat("AAAA", 4096): "malformed-request", strings.Repeat("A", 16<<10+4): "malformed-request",
	} {
		t.Run(text[:min(len(text), 8)], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, setup{neg: negotiate.Options{MaxFailures: 5}})
				p := s.connect()
				defer p.stop()
				p.run("C: {open}\n")
				p.send("<authenticate{2} mechanism='PLAIN'><initial-response>" + text + "</initial-response>{end}")
				p.expect("{fail " + want + "}")
				p.send("{scram}{end}")
				p.expect("{who}")
				p.send("<response{2}>" + text + "</response>")
				p.expect("{fail " + want + "}")
			})
		})
	}
}

// TestBounds: text of 16 KiB and messages of 8 KiB are looked at, longer ones are not
// (auth-register §5).
func TestBounds(t *testing.T) {
	t.Parallel()
	const plain = "C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>"
	message := func(n int) string { return "{64 \x00romeo\x00" + strings.Repeat("x", n-7) + "}" }
	play(t, []transcript{
		{name: "text", text: plain + strings.Repeat("%", 16<<10) + "</initial-response>{end}\nS: {fail incorrect-encoding}"},
		{name: "longer text", text: plain + strings.Repeat("%", 16<<10+1) + "</initial-response>{end}\nS: {fail malformed-request}"},
		{name: "message", text: plain + message(8<<10) + "</initial-response>{end}\nS: {fail not-authorized}"},
		{name: "longer message", text: plain + message(8<<10+1) + "</initial-response>{end}\nS: {fail malformed-request}"},
	})
}

// TestOversized: auth-register scenario 15; the element is never kept.
func TestOversized(t *testing.T) {
	t.Parallel()
	const tooBig = "S: <stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><stanza-too-big xmlns='urn:xmpp:errors'/></stream:error></stream:stream>"
	play(t, []transcript{
		{name: "response", text: "C: {open}\nC: <authenticate{2} mechanism='PLAIN'><initial-response>" + strings.Repeat("A", 33<<10) + "\n" + tooBig},
		{name: "children", text: "C: {open}\nC: {plain}" + strings.Repeat("<x/>", 9<<10) + "\n" + tooBig},
	})
}

// TestAudit: who watches over failures is told the mechanism and the cause, cut to
// size.
func TestAudit(t *testing.T) {
	t.Parallel()
	var got []negotiate.AuthFailure
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, setup{neg: negotiate.Options{OnFailure: func(_ context.Context, _ *mux.Stream, f negotiate.AuthFailure) time.Duration {
			got = append(got, f)
			return time.Second
		}}}).connect()
		defer p.stop()
		p.run("C: {open}\nC: {wrong}\n")
		p.expect("") // it waits
		time.Sleep(time.Second)
		p.run("S: {fail not-authorized}\nC: <authenticate{2} mechanism='" + strings.Repeat("X", 100) + "'/>\n")
		time.Sleep(time.Second)
		synctest.Wait()
	})
	if len(got) != 2 || got[0].Mechanism != "PLAIN" || got[0].Condition != "not-authorized" || got[0].Err == nil || got[1].Mechanism != strings.Repeat("X", 64) {
		t.Errorf("told %+v", got)
	}
}
