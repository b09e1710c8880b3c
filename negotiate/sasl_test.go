package negotiate_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// asks is an auth for the mechanism ASKS.
func asks(s string) string { return "C: <auth{sasl} mechanism='ASKS'>" + b64(s) + "</auth>\n" }

const (
	opened    = "C: {open}\nS: {head}{auth}\n"
	wrong     = "C: <auth{sasl} mechanism='PLAIN'>AHJvbWVvAG5vbmU=</auth>\nS: <failure{sasl}><not-authorized/></failure>"
	malformed = "S: <failure{sasl}><malformed-request/></failure>"
	asJuliet  = "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='juliet@example.net' to='example.net' version='1.0'>\n"
	toJuliet  = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net' to='juliet@example.net' id='ID' version='1.0' xml:lang='en'>"
)

// exchanges are about RFC 6120 §6.4 and §6.5; auth-register SA-3 to SA-14.
var exchanges = []transcript{
	{name: "retry", text: opened + wrong + "\n" + wrong + "\nC: {romeo}\nS: {success}\nC: {open}\nS: {head}{bind}"},
	{name: "too many failures", text: opened + wrong + "\n" + wrong + "\n" + wrong + "{error policy-violation}\nEND", err: "policy-violation"},
	{name: "more failures allowed", with: func(s *setup) { s.opt.MaxFailures = 4 }, text: opened + wrong + "\n" + wrong + "\n" + wrong + "\n" + wrong + "{error policy-violation}\nEND", err: "policy-violation"},
	{name: "five are the most", with: func(s *setup) { s.opt.MaxFailures = 9 }, text: opened + strings.Repeat(wrong+"\n", 5) + "S: {error policy-violation}\nEND", err: "policy-violation"},
	{name: "malformed ones count", text: opened + strings.Repeat("C: <response{sasl}/>\n"+malformed+"\n", 2) + "C: <auth{sasl} mechanism='PLAIN'>%</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>{error policy-violation}\nEND", err: "policy-violation"},
	{name: "one failure is too few", with: func(s *setup) { s.opt.MaxFailures = 1 }, text: opened + wrong + "\n" + wrong + "{error policy-violation}\nEND", err: "policy-violation"},
	{name: "no initial response", text: opened + "C: <auth{sasl} mechanism='PLAIN'/>\nS: <challenge{sasl}>=</challenge>\nC: <response{sasl}>AHJvbWVvAHNlY3JldA==</response>\nS: {success}"},
	{name: "white space around", text: opened + "C: <auth{sasl} mechanism='PLAIN'> AHJvbWVvAHNlY3JldA== </auth>\nS: {success}"},
	{name: "empty initial response", text: opened + "C: <auth{sasl} mechanism='PLAIN'>=</auth>\n" + malformed},
	{name: "questions", text: opened + "C: <auth{sasl} mechanism='ASKS'/>\nS: <challenge{sasl}>" + b64("first") + "</challenge>\n" +
		"C: <response{sasl}>" + b64("x") + "</response>\nS: <challenge{sasl}>" + b64("more") + "</challenge>\n" +
		"C: <response{sasl}/>\nS: <challenge{sasl}>=</challenge>\n" +
		"C: <response{sasl}>" + b64("as romeo@example.net") + "</response>\nS: <success{sasl}>" + b64("done") + "</success>"},
	{name: "questions without end", text: opened + asks("x") + strings.Repeat("S: <challenge{sasl}>"+b64("more")+"</challenge>\nC: <response{sasl}>"+b64("x")+"</response>\n", 10) + malformed},
	{name: "unknown mechanism", text: opened + "C: <auth{sasl} mechanism='DIGEST-MD5'/>\nS: <failure{sasl}><invalid-mechanism/></failure>"},
	{name: "mechanism in lower case", text: opened + "C: <auth{sasl} mechanism='plain'/>\nS: <failure{sasl}><invalid-mechanism/></failure>"},
	{name: "no mechanism", text: opened + "C: <auth{sasl}/>\nS: <failure{sasl}><invalid-mechanism/></failure>"},
	{name: "no base64", text: opened + "C: <auth{sasl} mechanism='PLAIN'>%</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>"},
	{name: "no padding", text: opened + "C: <auth{sasl} mechanism='PLAIN'>AHJvbWVvAHNlY3JldA</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>"},
	{name: "trailing bits", text: opened + "C: <auth{sasl} mechanism='PLAIN'>AHJvbWVvAHNlY3JldB==</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>"},
	{name: "line break inside", text: opened + "C: <auth{sasl} mechanism='PLAIN'>AHJvbWVv&#10;AHNlY3JldA==</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>"},
	{name: "space inside", text: opened + "C: <auth{sasl} mechanism='PLAIN'>AHJvbWVv AHNlY3JldA==</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>"},
	{name: "alphabet of URLs", text: opened + "C: <auth{sasl} mechanism='PLAIN'>AHJvbWVvAP-_</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>"},
	{name: "too much base64", text: opened + "C: <auth{sasl} mechanism='PLAIN'>" + strings.Repeat("A", 16<<10+4) + "</auth>\n" + malformed},
	{name: "message too long", text: opened + "C: <auth{sasl} mechanism='PLAIN'>" + strings.Repeat("A", 12<<10) + "</auth>\n" + malformed},
	// At the bounds: whatever else is wrong with it.
	{name: "as much base64 as may be", text: opened + "C: <auth{sasl} mechanism='PLAIN'>" + strings.Repeat("%", 16<<10) + "</auth>\nS: <failure{sasl}><incorrect-encoding/></failure>"},
	{name: "a little too much base64", text: opened + "C: <auth{sasl} mechanism='PLAIN'>" + strings.Repeat("%", 16<<10+1) + "</auth>\n" + malformed},
	{name: "message as long as may be", text: opened + "C: <auth{sasl} mechanism='PLAIN'>" + b64("\x00romeo\x00"+strings.Repeat("x", 8<<10-7)) + "</auth>\nS: <failure{sasl}><not-authorized/></failure>"},
	{name: "message a little too long", text: opened + "C: <auth{sasl} mechanism='PLAIN'>" + b64("\x00romeo\x00"+strings.Repeat("x", 8<<10-6)) + "</auth>\n" + malformed},
	{name: "child element", text: opened + "C: <auth{sasl} mechanism='PLAIN'><x/></auth>\n" + malformed},
	{name: "child element of a response", text: opened + asks("x") + "S: <challenge{sasl}>" + b64("more") + "</challenge>\nC: <response{sasl}><x/></response>\n" + malformed + "\nC: <response{sasl}/>\n" + malformed},
	{name: "response out of turn", text: opened + "C: <response{sasl}/>\n" + malformed},
	{name: "bad response", text: opened + asks("x") + "S: <challenge{sasl}>" + b64("more") + "</challenge>\nC: <response{sasl}>%</response>\nS: <failure{sasl}><incorrect-encoding/></failure>\nC: <response{sasl}/>\n" + malformed},
	{name: "auth inside an exchange", text: opened + asks("x") + "S: <challenge{sasl}>" + b64("more") + "</challenge>\nC: {romeo}\n" + malformed + "\nC: {romeo}\nS: {success}"},
	{name: "response of another profile", text: opened + asks("x") + "S: <challenge{sasl}>" + b64("more") + "</challenge>\nC: <response xmlns='urn:xmpp:sasl:2'/>\nS: {error policy-violation}\nEND", err: "policy-violation"},
	{name: "IQ inside an exchange", text: opened + asks("x") + "S: <challenge{sasl}>" + b64("more") + "</challenge>\nC: <iq type='get' id='1'><x xmlns='urn:x'/></iq>\nS: {error policy-violation}\nEND", err: "policy-violation"},
	{name: "message inside an exchange", text: opened + asks("x") + "S: <challenge{sasl}>" + b64("more") + "</challenge>\nC: <message/>\nS: {error not-authorized}\nEND", err: "not-authorized"},
	{name: "abort", text: opened + asks("x") + "S: <challenge{sasl}>" + b64("more") + "</challenge>\nC: <abort{sasl}/>\nS: <failure{sasl}><aborted/></failure>\nC: <response{sasl}/>\n" + malformed + "\nC: {romeo}\nS: {success}"},
	{name: "aborts without end", text: opened + strings.Repeat("C: <abort{sasl}/>\nS: <failure{sasl}><aborted/></failure>\n", 11) + "S: {error policy-violation}\nEND", err: "policy-violation"},
	{name: "condition", text: opened + asks("fail account-disabled") + "S: <failure{sasl}><account-disabled/></failure>"},
	{name: "invalid authzid", text: opened + asks("fail invalid-authzid") + "S: <failure{sasl}><invalid-authzid/></failure>"},
	{name: "condition that is none", text: opened + asks("fail x><evil/") + "S: <failure{sasl}><temporary-auth-failure/></failure>"},
	{name: "store is down", text: opened + strings.Repeat("C: <auth{sasl} mechanism='FAILS'/>\nS: <failure{sasl}><temporary-auth-failure/></failure>\n", 10) + "C: {romeo}\nS: {success}"},
	{name: "store is down for ever", text: opened + strings.Repeat("C: <auth{sasl} mechanism='FAILS'/>\nS: <failure{sasl}><temporary-auth-failure/></failure>\n", 11) + "S: {error policy-violation}\nEND", err: "policy-violation"},
	{name: "account of another domain", text: opened + asks("as romeo@example.org") + "S: <failure{sasl}><temporary-auth-failure/></failure>"},
	{name: "account with a resource", text: opened + asks("as romeo@example.net/x") + "S: <failure{sasl}><temporary-auth-failure/></failure>"},
	{name: "account without a name", text: opened + asks("as example.net") + "S: <failure{sasl}><temporary-auth-failure/></failure>"},
	{name: "no account", text: opened + asks("as ") + "S: <failure{sasl}><temporary-auth-failure/></failure>"},
	{name: "from is nobody's identity", text: asJuliet + "S: " + toJuliet + "{auth}\nC: {romeo}\nS: {success}\n" + asJuliet + "S: " + toJuliet + "{bind}\n" + bindX + boundX},
	{name: "pipelined", text: "C: {open}{romeo}{open}<iq type='set' id='1'><bind{ns}><resource>x</resource></bind></iq><iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>\n" +
		"S: {head}{auth}{success}{head}{bind}<iq to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq><iq from='romeo@example.net' to='romeo@example.net/x' type='result' id='2'/>"},
}

func TestServeSASL(t *testing.T) {
	t.Parallel()
	play(t, exchanges)
}

// TestServeFailureHook: core-im LIM-11, a penalty that depends on the address.
func TestServeFailureHook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []negotiate.AuthFailure
		s := trusted()
		s.opt.OnFailure = func(_ context.Context, _ *mux.Stream, f negotiate.AuthFailure) time.Duration {
			seen = append(seen, f)
			return 10 * time.Second
		}
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened)
		before := time.Now()
		p.send(expand("<auth{sasl} mechanism='" + strings.Repeat("é", 40) + "'/>"))
		p.expect("")
		time.Sleep(10 * time.Second)
		p.expect(expand("<failure{sasl}><invalid-mechanism/></failure>"))
		if got := time.Since(before); got != 10*time.Second {
			t.Errorf("answer after %v, want 10s", got)
		}
		if len(seen) != 1 || seen[0].Condition != "invalid-mechanism" || seen[0].Mechanism != strings.Repeat("é", 32) {
			t.Errorf("told of %+v", seen)
		}
		p.send(expand("<abort{sasl}/>"))
		p.expect(expand("<failure{sasl}><aborted/></failure>"))
	})
}

// TestServeFailureHookTime: a long penalty ends with the time for negotiation, and then
// nobody learns whether it was one (auth-register AB-2).
func TestServeFailureHookTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := trusted()
		s.opt.OnFailure = func(context.Context, *mux.Stream, negotiate.AuthFailure) time.Duration { return time.Hour }
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened + "C: <response{sasl}/>")
		time.Sleep(time.Minute)
		p.expect(expand("{error connection-timeout}"))
	})
}

// TestServeClaimed: whoever watches over failures is told whose login it was to be, once
// the peer has named somebody (auth-register AB-2).
func TestServeClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		s := trusted()
		s.opt.MaxFailures = 5
		f := nonza(always(mux.Outcome{Reply: mux.Raw("<failure xmlns='urn:x'/>"), Failed: "not-authorized", Account: mux.MustParseAddress("nobody@example.net")}, nil))
		having(f)(&s)
		s.opt.OnFailure = func(_ context.Context, _ *mux.Stream, f negotiate.AuthFailure) time.Duration {
			seen = append(seen, f.Account.String())
			return 0
		}
		p := newSite(t, s).connect()
		defer p.stop()
		p.run(opened + wrong + "\nC: <auth{sasl} mechanism='PLAIN'>" + b64("romeo, none") + "</auth>\n" + malformed + "\n" + goes + "S: <failure xmlns='urn:x'/>")
		if got := strings.Join(seen, " "); got != "romeo@example.net  nobody@example.net" {
			t.Errorf("told of %q", got)
		}
	})
}

// TestServeSuccessHook: success waits as failure does, in SASL and in features, and so
// does what only hints at it; nothing is said after the time for negotiation, and nobody
// is logged in then (auth-register AB-2).
func TestServeSuccessHook(t *testing.T) {
	t.Parallel()
	romeo := mux.MustParseAddress("romeo@example.net")
	succeeds := mux.Outcome{Reply: mux.Raw("<done xmlns='urn:x'/>"), Sets: mux.Authenticated, Account: romeo}
	hints := mux.Outcome{Reply: mux.Raw("<more xmlns='urn:x'/>"), Account: romeo, Next: always(succeeds, nil)}
	for _, tt := range []struct {
		name, text, then string
		with             mux.Outcome
	}{
		{"SASL", opened + "C: {romeo}", "{success}", mux.Outcome{}},
		{"feature", opened + goes, "<done xmlns='urn:x'/>", succeeds},
		{"feature that goes on", opened + goes, "<more xmlns='urn:x'/>", hints},
	} {
		for _, wait := range []time.Duration{10 * time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				s := trusted()
				having(nonza(always(tt.with, nil)))(&s)
				s.opt.OnSuccess = func(_ context.Context, _ *mux.Stream, a mux.Address) time.Duration {
					if asked++; a != romeo {
						t.Errorf("%s: success of %s", tt.name, a)
					}
					return wait
				}
				p := newSite(t, s).connect()
				defer p.stop()
				p.run(tt.text)
				time.Sleep(min(wait, time.Minute) - time.Nanosecond)
				p.expect("")
				time.Sleep(time.Nanosecond)
				if wait > time.Minute {
					p.expect(expand("{error connection-timeout}"))
					if p.st.State()&mux.Authenticated != 0 {
						t.Errorf("%s: logged in without being told", tt.name)
					}
					return
				}
				if got := p.take(); !strings.HasPrefix(got, expand(tt.then)) {
					t.Errorf("%s: %s", tt.name, got)
				}
				if tt.with.Next != nil {
					p.send(expand("<go xmlns='urn:x'/>"))
					if got := p.take(); !strings.HasPrefix(got, "<done ") {
						t.Errorf("%s: at last %s", tt.name, got)
					}
				}
				if asked != 1 {
					t.Errorf("%s: asked %d times", tt.name, asked)
				}
			})
		}
	}
}

// TestServeLogs: what peers send to authenticate stays out of the log
// (auth-register PW-15).
func TestServeLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := trusted()
		s.opt.MaxFailures = 5
		s.opt.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		site := newSite(t, s)
		p := site.connect()
		p.run(opened + wrong + "\nC: <auth{sasl} mechanism='PLAIN'>" + b64("romeo, none") + "</auth>\n" + malformed +
			"\nC: <auth{sasl} mechanism='FAILS'>" + b64("none") + "</auth>\nS: <failure{sasl}><temporary-auth-failure/></failure>\nC: {romeo}\nS: {success}")
		p.stop()
		for _, want := range []string{"not-authorized", "malformed-request", "store is down", "account=romeo@example.net"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("nothing of %s in the log", want)
			}
		}
		for _, secret := range []string{"secret", "none", b64("romeo, none"), b64("none"), "AHJvbWVv"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, log.String())
			}
		}
	})
}

func unb64(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return string(b)
}
