package scram_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
	xdg "github.com/xdg-go/scram"
)

// TestOtherClient runs an independent client against this server.
func TestOtherClient(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	generators := map[string]xdg.HashGeneratorFcn{
		"SCRAM-SHA-1": xdg.SHA1, "SCRAM-SHA-256": xdg.SHA256, "SCRAM-SHA-512": xdg.SHA512,
	}
	passwords := []string{"pencil", "I\u00adX ,=", "p\u00a0\u2168\u00aa"}
	for i, password := range passwords {
		c, err := scram.NewCredentials(password, quick)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.Create(t.Context(), strings.Repeat("x=,", i+1)+"y@"+host, c); err != nil {
			t.Fatal(err)
		}
	}
	for mechanism, generator := range generators {
		for i, password := range passwords {
			username := strings.Repeat("x=,", i+1) + "y"
			for _, authzid := range []string{"", username + "@" + host} {
				client, err := generator.NewClient(username, password, authzid)
				if err != nil {
					t.Fatal(err)
				}
				if err := converse(t, b.start(t, mechanism), client.NewConversation()); err != nil {
					t.Errorf("%s, %+q as %q: %v", mechanism, password, authzid, err)
				}
			}
			client, err := generator.NewClient(username, password+"x", "")
			if err != nil {
				t.Fatal(err)
			}
			wantCondition(t, converse(t, b.start(t, mechanism), client.NewConversation()), scram.NotAuthorized)
		}
	}
}

// converse returns the server's error, and ends the test if the client has
// one.
func converse(t *testing.T, e *scram.Exchange, c *xdg.ClientConversation) error {
	t.Helper()
	var answer []byte
	for {
		message, err := c.Step(string(answer))
		if err != nil {
			t.Fatal(err)
		}
		if c.Done() {
			if !c.Valid() || e.Account() == "" {
				t.Errorf("client valid: %v, account %q", c.Valid(), e.Account())
			}
			return nil
		}
		if answer, _, err = e.Step(t.Context(), []byte(message)); err != nil {
			return err
		}
	}
}
