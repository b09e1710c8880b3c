package disco_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/disco"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestContactsWarning: DI-6a, who has no addresses for abuse and admin is warned
// once.
func TestContactsWarning(t *testing.T) {
	t.Parallel()
	abuse, admin := []string{"mailto:abuse@example.net"}, []string{"xmpp:admin@example.net"}
	for _, tt := range []struct {
		name     string
		contacts *disco.Contacts
		want     int
	}{
		{"none", nil, 1},
		{"empty", &disco.Contacts{}, 1},
		{"no admin", &disco.Contacts{Abuse: abuse}, 1},
		{"no abuse", &disco.Contacts{Admin: admin}, 1},
		{"both", &disco.Contacts{Abuse: abuse, Admin: admin}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			muxtest.New(t, nil, disco.New(&disco.Options{Contacts: tt.contacts, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
			if got := strings.Count(log.String(), "level=WARN"); got != tt.want {
				t.Errorf("%d warnings, want %d:\n%s", got, tt.want, &log)
			}
		})
	}
}
