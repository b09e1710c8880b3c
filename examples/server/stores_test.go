package main

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/scram"
)

// TestCheckAddresses: the operator is told of names that have another form now, at each
// start, and the server runs all the same (core-im AD-4).
func TestCheckAddresses(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	cfg, _, err := config.Load([]string{"-data", data}, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := openStores(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Alice@example.org", "a b@example.org", "bob@example.org"} {
		if _, err := st.accounts.Create(t.Context(), name, scram.Credentials{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := launch(t, data, "-domain", "example.org")
		s.stop()
		got := s.log.String()
		for _, want := range []string{"stored=Alice@example.org now=alice@example.org", `stored="a b@example.org" now=(refused)`} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
		if strings.Count(got, "another form now") != 2 {
			t.Errorf("log %s", got)
		}
	}
}
