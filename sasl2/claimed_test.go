package sasl2_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// TestClaimed: whoever slows down guessing is told whose login it was to be, by password
// or token, whether there is such an account or not (auth-register AB-2).
func TestClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		site := fasts(t, func(s *setup) {
			s.neg.MaxFailures = 5
			s.neg.OnFailure = func(_ context.Context, _ *mux.Stream, f negotiate.AuthFailure) time.Duration {
				seen = append(seen, f.Account.Local()+" "+f.Condition)
				return 0
			}
		})
		try := func(header string, texts ...string) {
			t.Helper()
			p := site.connect()
			defer p.stop()
			p.send(header)
			for _, text := range texts {
				p.send(text)
				p.take()
			}
		}
		try("{open}", "{wrong}", "<authenticate{2} mechanism='PLAIN'><initial-response>{64 \x00nobody\x00x}</initial-response>{end}",
			"<authenticate{2} mechanism='PLAIN'><initial-response>{64 x}</initial-response>{end}")
		try("{romeo}", attempt{token: "guessed"}.text())
		try(strings.ReplaceAll(expand("{romeo}"), "romeo", "nobody"), attempt{user: "nobody", token: "guessed"}.text())
		want := "romeo not-authorized, nobody not-authorized,  malformed-request, romeo not-authorized, nobody not-authorized"
		if got := strings.Join(seen, ", "); got != want {
			t.Errorf("told of %s\nwant %s", got, want)
		}
	})
}

// TestSuccessHeld: who guesses does not learn sooner that it was right by asking for
// tasks beside it, and waits once.
func TestSuccessHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, setup{neg: negotiate.Options{OnSuccess: func(_ context.Context, _ *mux.Stream, a mux.Address) time.Duration {
			if a != romeo {
				t.Errorf("success of %s", a)
			}
			return 10 * time.Second
		}}})
		p := site.connect()
		defer p.stop()
		p.run("C: {romeo}\nC: {scram}<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>{end}\nS: {who}\n")
		p.send("{secret}")
		time.Sleep(10*time.Second - time.Nanosecond)
		if got := p.take(); got != "" {
			t.Fatalf("told at once: %s", got)
		}
		time.Sleep(time.Nanosecond)
		if got := p.take(); !strings.HasPrefix(got, "<continue ") {
			t.Fatalf("got %s", got)
		}
		p.send("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>")
		p.take()
		p.send("<task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hash}</hash></task-data>")
		if got := p.take(); !strings.HasPrefix(got, expand("{ok}")) {
			t.Errorf("at last %s", got)
		}
	})
}
