package sasl2_test

import (
	"crypto/tls"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/sasl"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/negotiate"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

var (
	challengeAt = regexp.MustCompile(`<challenge xmlns='urn:xmpp:sasl:2'>([^<]*)</challenge>`)
	dataAt      = regexp.MustCompile(`<additional-data>([^<]*)</additional-data>`)
)

// TestScram: with package scram behind it, and another implementation as the
// client, which verifies the server's signature. Then the password changes, and
// the token is void (scenario 24).
func TestScram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		accounts := new(scram.Memory)
		service := scram.NewService(accounts, &scram.ServiceOptions{Policy: scram.Policy{Iterations: 4096}})
		if err := service.Create(t.Context(), "romeo@example.net", "correct horse"); err != nil {
			t.Fatal(err)
		}
		auth := mechanisms{scram.New(accounts, nil)}
		store := new(sasl2.Memory)
		x := sasl2.New(auth, store, &sasl2.Options{Secret: [32]byte{1}})
		s := &site{t: t, x: x, store: store, conn: negotiate.ConnOptions{Trusted: true}}
		s.host = muxtest.New(t, &mux.Options{NoRecover: true}, negotiate.Extension(), x)
		s.host.AddAccount("romeo@example.net")
		s.n = negotiate.New(s.host.Mux(), nil)
		p := s.connect()
		defer p.stop()
		p.run("C: {romeo}\n")
		c := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() (username, password, identity []byte) {
			return []byte("romeo"), []byte("correct horse"), nil
		}), sasl.RemoteMechanisms("SCRAM-SHA-256"), sasl.TLSState(tls.ConnectionState{}))
		_, out, err := c.Step(nil)
		if err != nil {
			t.Fatal(err)
		}
		p.send("<authenticate{2} mechanism='SCRAM-SHA-256'><initial-response>" + base64.StdEncoding.EncodeToString(out) + "</initial-response>" + strings.Replace(wants, expr, none, 1) + "{end}")
		in := challengeAt.FindStringSubmatch(p.take())
		if in == nil {
			t.Fatal("no challenge")
		}
		if _, out, err = c.Step(unbase64(t, in[1])); err != nil {
			t.Fatal(err)
		}
		p.send("<response{2}>" + base64.StdEncoding.EncodeToString(out) + "</response>")
		in = dataAt.FindStringSubmatch(p.take())
		if in == nil || p.token == "" {
			t.Fatalf("no success, or no token: %s", p.output())
		}
		if more, _, err := c.Step(unbase64(t, in[1])); err != nil || more {
			t.Errorf("server is not verified: %v", err)
		}
		use := attempt{token: p.token, mechanism: none}
		s.expectUse(use, "")
		// Keys are renewed when the policy asks for more, and the password is seen:
		// it is the same.
		stronger := scram.New(accounts, &scram.Options{Policy: scram.Policy{Iterations: 20000}})
		e, err := stronger.Start("PLAIN", "example.net")
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := e.Step(t.Context(), []byte("\x00romeo\x00correct horse")); err != nil || !done {
			t.Fatal(done, err)
		}
		if now, err := accounts.Credentials(t.Context(), "romeo@example.net"); err != nil || now.Keys[0].Iterations != 20000 {
			t.Errorf("keys are not renewed: %v, %v", now.Keys, err)
		}
		s.expectUse(use, "")
		if err := service.SetPassword(t.Context(), "romeo@example.net", "battery staple"); err != nil {
			t.Fatal(err)
		}
		s.expectUse(use, "credentials-expired")
	})
}
