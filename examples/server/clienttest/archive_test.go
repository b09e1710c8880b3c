//go:build clients

package clienttest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sqlstore"
)

// TestSlixmppArchive: a client goes through an archive of 10 000 messages in both
// directions, and finds each once.
func TestSlixmppArchive(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	const messages, contact = 10_000, "contact0@example.org"
	s.stop(t)
	db, err := sqlstore.Open(t.Context(), filepath.Join(s.data, "propolis.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	account := mux.MustParseAddress(alice)
	start := time.Now().Add(-messages * time.Second)
	var writes []mux.Write
	for i := range messages {
		with := mux.MustParseAddress(fmt.Sprintf("contact%d@example.org/x", i%10))
		writes = append(writes, db.Archives().Append(account, archive.Entry{
			ID: fmt.Sprintf("seeded-%x", i*7919%messages), At: start.Add(time.Duration(i) * time.Second), With: with,
			Stanza: fmt.Appendf(nil, "<message xmlns='jabber:client' from='%s' to='%s' type='chat' id='%d'><body>text %d</body></message>", with, alice, i, i),
		}))
	}
	db.Submit(writes)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.launch(t)
	slixmpp(t, s, s.transports()[1], "archive", alice, fmt.Sprint(messages), contact).done(t, 4*limit)
}

// TestSlixmppOffline: messages wait for an account that is not there.
func TestSlixmppOffline(t *testing.T) {
	s := startServer(t)
	for _, via := range s.transports() {
		t.Run(via.name, func(t *testing.T) {
			slixmpp(t, s, via, "offline", alice, bob).done(t, limit)
		})
	}
}

// TestMessagesSurviveKill: a client sends messages without a pause and the server is
// killed in the middle, again and again. What was acknowledged is in both archives,
// each message once and in order, and nothing else is but what came next.
func TestMessagesSurviveKill(t *testing.T) {
	s := startServer(t)
	s.ownServerOnly(t)
	var kept []string
	for round := range 4 {
		prefix := fmt.Sprint("round ", round)
		x := slixmpp(t, s, s.transports()[round%2], "sends", alice, bob, prefix)
		x.expect(t, fmt.Sprintf("acked %d", 20+rand.IntN(300)), limit)
		s.kill(t)
		x.done(t, limit)
		s.launch(t)
		text, _ := x.text()
		acked := strings.Count(text, "acked ")
		var now []string
		for i := range len(archived(t, s, bob)) - len(kept) {
			now = append(now, fmt.Sprint(prefix, " ", i))
		}
		kept = append(kept, now...)
		for _, account := range []string{alice, bob} {
			if got := archived(t, s, account); !slices.Equal(got, kept) {
				t.Fatalf("round %d: the archive of %s has %d messages, want %d, or another order:\n%q", round, account, len(got), len(kept), got)
			}
		}
		if len(now) < acked {
			t.Fatalf("round %d: %d messages were acknowledged, %d are archived", round, acked, len(now))
		}
		t.Logf("round %d: %d acknowledged, %d archived", round, acked, len(now))
	}
}

// archived is what slixmpp finds in an archive.
func archived(t *testing.T, s *server, account string) (bodies []string) {
	t.Helper()
	x := slixmpp(t, s, s.transports()[0], "archive-list", account)
	line := x.expect(t, "archive ", limit)
	x.done(t, limit)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "archive ")), &bodies); err != nil {
		t.Fatal(err)
	}
	return bodies
}
