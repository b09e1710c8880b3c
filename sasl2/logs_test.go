package sasl2_test

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/propolis-im/propolis/sasl2"
)

// TestLogs: nothing of what is sent to log in, nor a token, nor the id of an
// installation is in the log, whatever goes wrong (auth-register PW-15, S2-12).
func TestLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		store := new(failing)
		site := fasts(t, func(s *setup) {
			s.store, s.opt.Logger, s.neg.Logger, s.neg.MaxFailures = store, logger, logger, 5
			s.mux.Logger = logger
		})
		const upgrade = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>"
		token, _ := site.issue()
		for _, a := range []attempt{{token: token}, {token: token + "x"}, {token: token, mechanism: none}, {token: token, attrs: " count='x'"}} {
			site.use(a)
		}
		login := func() {
			p := site.connect()
			defer p.stop()
			for _, text := range []string{
				"{romeo}", "{wrong}", "<authenticate{2} mechanism='PLAIN'><initial-response>AHJvbWVvAHNlY3JldA</initial-response>{agent}{end}",
				"{scram}{agent}{end}", "<response{2}>{64 secret word}</response>", "{plain}" + wants + upgrade + "<bind{bind2}/>{end}",
				"<next{2} task='UPGR-SCRAM-SHA-256'/>", "<task-data{2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{64 hash}</hash></task-data>",
			} {
				p.send(text)
				p.take()
			}
		}
		login()
		store.writes = true
		login()
		site.use(attempt{token: token, attrs: " count='7'"})
		store.writes, store.reads = false, true
		login()
		site.auth.down = errors.New("disk on fire")
		login()
		for _, want := range []string{"not-authorized", "incorrect-encoding", "disk on fire", "romeo@example.net"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("nothing of %s in the log", want)
			}
		}
		m, _ := sasl2.ParseHT(expr)
		proof := base64.StdEncoding.EncodeToString(m.Initial("romeo", token, []byte("data")))
		for _, secret := range []string{token, proof, "secret", "AHJvbWVv", "d4565fa7", "hash", expand("{64 hash}"), expand("{64 secret word}")} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, log.String())
			}
		}
	})
}

// TestLogsLogin: a login in this profile is as visible in the log as one in the older,
// with a password and with a token.
func TestLogsLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		site := fasts(t, func(s *setup) {
			s.opt.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		token, _ := site.issue()
		site.expectUse(attempt{token: token}, "")
		site.expectUse(attempt{token: token + "x"}, "not-authorized")
		for _, mechanism := range []string{"PLAIN", expr} {
			if line := "level=DEBUG msg=authenticated account=romeo@example.net mechanism=" + mechanism + "\n"; strings.Count(log.String(), line) != 1 {
				t.Errorf("not once in the log: %s%s", line, log.String())
			}
		}
	})
}
