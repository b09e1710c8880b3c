package scram_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestClientFirst(t *testing.T) {
	t.Parallel()
	const r = ",r=" + clientNonce
	for _, c := range []struct {
		name, in string
		username string // empty: malformed-request
		authzid  string
	}{
		{"plain", "n,,n=user" + r, "user", ""},
		{"y where no -PLUS is listed (SC-25)", "y,,n=user" + r, "user", ""},
		{"authzid", "n,a=user@example.org,n=user" + r, "user", "user@example.org"},
		{"escapes", "n,a==3D=2C,n=a=2Cb=3Dc=2C" + r, "a,b=c,", "=,"},
		{"beyond ASCII", "n,,n=j\u00fcliet" + r, "j\u00fcliet", ""},
		{"unknown attributes (SC-4)", "n,,n=user" + r + ",x=1,Y=,=2,x=3", "", ""},
		{"unknown attributes stay", "n,,n=user" + r + ",x=1=2,Y==,x=3", "user", ""},
		{"nonce of 8 octets", "n,,n=user,r=12345678", "user", ""},
		{"nonce of 512 octets", "n,,n=user,r=" + strings.Repeat("x", 512), "user", ""},

		{"empty", "", "", ""},
		{"no gs2-header", "n=user" + r, "", ""},
		{"gs2-header alone", "n,,", "", ""},
		{"one comma", "n,n=user" + r, "", ""},
		{"unknown flag", "x,,n=user" + r, "", ""},
		{"flag in upper case", "N,,n=user" + r, "", ""},
		{"F flag of GS2", "F,n,,n=user" + r, "", ""},
		{"p without =", "p,,n=user" + r, "", ""},
		{"p without a name", "p=,,n=user" + r, "", ""},
		{"p with a wrong name", "p=tls exporter,,n=user" + r, "", ""},
		{"p with a mechanism that has no binding (SC-24)", "p=tls-exporter,,n=user" + r, "", ""},
		{"authzid without a=", "n,user,n=user" + r, "", ""},
		{"empty authzid", "n,a=,n=user" + r, "", ""},
		{"wrong escape in authzid", "n,a==41,n=user" + r, "", ""},
		{"m= first (SC-3)", "n,,m=1,n=user" + r, "", ""},
		{"m= last", "n,,n=user" + r + ",m=1", "", ""},
		{"empty m=", "n,,m=,n=user" + r, "", ""},
		{"no name", "n,,r=" + clientNonce, "", ""},
		{"no nonce", "n,,n=user", "", ""},
		{"order reversed", "n,,r=" + clientNonce + ",n=user", "", ""},
		{"two nonces", "n,,n=user" + r + r, "", ""},
		{"two names", "n,,n=user" + r + ",n=user", "", ""},
		{"foreign attribute", "n,,n=user" + r + ",c=biws", "", ""},
		{"e as an extension", "n,,n=user" + r + ",e=1", "", ""},
		{"empty name", "n,,n=" + r, "", ""},
		{"n==2 (SC-6)", "n,,n==2" + r, "", ""},
		{"lower case escape", "n,,n=a=2cb" + r, "", ""},
		{"escape of something else", "n,,n=a=20b" + r, "", ""},
		{"= at the end of the name", "n,,n=user=" + r, "", ""},
		{"NUL in the name", "n,,n=us\x00er" + r, "", ""},
		{"NUL in an extension", "n,,n=user" + r + ",x=\x00", "", ""},
		{"not UTF-8", "n,,n=us\xffer" + r, "", ""},
		{"nonce of 7 octets (SC-8)", "n,,n=user,r=1234567", "", ""},
		{"nonce of 513 octets", "n,,n=user,r=" + strings.Repeat("x", 513), "", ""},
		{"space in the nonce", "n,,n=user,r=1234 5678", "", ""},
		{"control character in the nonce", "n,,n=user,r=1234\x015678", "", ""},
		{"nonce beyond ASCII", "n,,n=user,r=1234567\u00fc", "", ""},
		{"trailing comma (SC-5)", "n,,n=user" + r + ",", "", ""},
		{"empty attribute", "n,,n=user" + r + ",,x=1", "", ""},
		{"attribute of one octet", "n,,n=user" + r + ",x", "", ""},
		{"attribute without value", "n,,n=user" + r + ",x=", "", ""},
		{"attribute that is no letter", "n,,n=user" + r + ",1=2", "", ""},
		{"8 KiB", "n,,n=" + strings.Repeat("u", 8<<10) + r, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scram.NewServer(scram.SHA256, scram.ServerConfig{})
			m, err := s.First([]byte(c.in))
			if c.username == "" {
				wantCondition(t, err, scram.MalformedRequest)
				_, err = s.Challenge(mustKey(t, keySHA256))
				wantCondition(t, err, scram.MalformedRequest)
				return
			}
			wantCondition(t, err, "")
			if m.Username != c.username || m.Authzid != c.authzid {
				t.Errorf("got %q for %q, want %q for %q", m.Username, m.Authzid, c.username, c.authzid)
			}
		})
	}
}

// TestBindingFlag: SC-25, and what a later mechanism with channel binding
// reads.
func TestBindingFlag(t *testing.T) {
	t.Parallel()
	listed := scram.ServerConfig{PlusAdvertised: true}
	_, err := scram.NewServer(scram.SHA1, listed).First([]byte("y,,n=user,r=" + clientNonce))
	wantCondition(t, err, scram.MalformedRequest)
	_, err = scram.NewServer(scram.SHA1, listed).First([]byte("n,,n=user,r=" + clientNonce))
	wantCondition(t, err, "")
	m, err := scram.ParseClientFirst([]byte("p=tls-exporter,,n=user,r=" + clientNonce))
	wantCondition(t, err, "")
	if m.Flag != 'p' || m.Binding != "tls-exporter" {
		t.Errorf("got %q, %q", m.Flag, m.Binding)
	}
	for _, name := range []string{"", "tls exporter", "tls_exporter", "tls-exporter="} {
		_, err = scram.ParseClientFirst([]byte("p=" + name + ",,n=user,r=" + clientNonce))
		wantCondition(t, err, scram.MalformedRequest)
	}
}

// challenged returns a server and a client with the challenge between them.
func challenged(t testing.TB, key, password string) (*scram.Server, *testClient, []byte) {
	t.Helper()
	k := mustKey(t, key)
	s := scram.NewServer(k.Hash, scram.ServerConfig{})
	c := &testClient{mechanism: k.Hash.Mechanism(), password: password}
	if _, err := s.First(c.first()); err != nil {
		t.Fatal(err)
	}
	challenge, err := s.Challenge(k)
	if err != nil {
		t.Fatal(err)
	}
	return s, c, challenge
}

// TestClientFinal covers SC-3, SC-4, SC-5 and SC-10.
func TestClientFinal(t *testing.T) {
	t.Parallel()
	const (
		bad  = scram.MalformedRequest
		auth = scram.NotAuthorized
	)
	// In these, C, R and P stand for the right c=, r= and p=.
	for _, c := range []struct{ name, in, want string }{
		{"right", "C,R,P", ""},
		{"empty", "", bad},
		{"no proof", "C,R", bad},
		{"no nonce", "C,P", bad},
		{"no binding", "R,P", bad},
		{"order", "R,C,P", bad},
		{"proof in the middle", "C,P,R", bad},
		{"attribute after the proof", "C,R,P,x=1", bad},
		{"two proofs", "C,R,P,P", bad},
		{"two nonces", "C,R,R,P", bad},
		{"m=", "C,R,m=1,P", bad},
		{"m= first", "m=1,C,R,P", bad},
		{"trailing comma", "C,R,P,", bad},
		{"empty attribute", "C,R,,P", bad},
		{"not UTF-8", "C,R,x=\xff,P", bad},
		{"NUL", "C,R,x=\x00,P", bad},
		{"8 KiB", "C,R,x=" + strings.Repeat("x", 8<<10) + ",P", bad},
		{"binding empty", "c=,R,P", bad},
		{"binding not base64", "c=bi*s,R,P", bad},
		{"binding in base64 of the URL kind", "c=__8_,R,P", bad},
		{"binding with a line break", "c=bi\nws,R,P", bad},
		{"binding of another header", "c=eSws,R,P", auth},
		{"binding longer", "c=" + b64("n,,x") + ",R,P", auth},
		{"binding shorter", "c=" + b64("n,") + ",R,P", auth},
		{"nonce of the client alone", "C,r=" + clientNonce + ",P", auth},
		{"nonce of another", "C,r=" + fullNonce + ",P", auth},
		{"unsigned extension", "C,R,x=1,P", auth},
		{"proof not base64", "C,R,p=pencil", bad},
		{"proof with spare bits", "C,R,p=" + strings.Repeat("A", 42) + "B=", bad},
		{"proof without padding", "C,R,p=" + strings.Repeat("A", 43), bad},
		{"proof wrong", "C,R,p=" + strings.Repeat("A", 43) + "=", auth},
		{"proof empty", "C,R,p=", bad},
		{"proof of 31 octets", "C,R,p=" + b64(strings.Repeat("x", 31)), auth},
		{"proof of 33 octets", "C,R,p=" + b64(strings.Repeat("x", 33)), auth},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, client, challenge := challenged(t, keySHA256, "pencil")
			right, success := client.final(t, challenge)
			parts := strings.Split(string(right), ",")
			fields := strings.Split(c.in, ",")
			for i, f := range fields {
				if at := strings.Index("CRP", f); f != "" && at >= 0 {
					fields[i] = parts[at]
				}
			}
			in := strings.Join(fields, ",")
			got, err := s.Final([]byte(in))
			wantCondition(t, err, c.want)
			if c.want == "" && string(got) != success {
				t.Errorf("got %q, want %q", got, success)
			}
			if _, err := s.Final(right); condition(t, err) != bad {
				t.Error("the exchange went on after its end")
			}
		})
	}
}

// TestSignedMismatch: a client that knows the password and signs what it
// sends still has to send the right header and nonce (SC-10).
func TestSignedMismatch(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *testClient, nonce string){
		"header with another flag":   func(c *testClient, _ string) { c.binding = "y,," },
		"header with an authzid":     func(c *testClient, _ string) { c.binding = "n,a=user@example.net," },
		"header with binding data":   func(c *testClient, _ string) { c.binding = "n,,data" },
		"nonce of the client alone":  func(c *testClient, _ string) { c.nonce = clientNonce },
		"nonce cut short":            func(c *testClient, nonce string) { c.nonce = nonce[:len(nonce)-1] },
		"nonce with something added": func(c *testClient, nonce string) { c.nonce = nonce + "x" },
	} {
		s, c, challenge := challenged(t, keySHA256, "pencil")
		nonce, _, _ := strings.Cut(string(challenge[2:]), ",")
		change(c, nonce)
		message, _ := c.final(t, challenge)
		if _, err := s.Final(message); condition(t, err) != scram.NotAuthorized {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestSignedAsReceived: SC-2, unknown attributes and escapes are signed.
func TestSignedAsReceived(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keySHA512)
	c := &testClient{
		mechanism: "SCRAM-SHA-512", password: "pencil", header: "y,a=user@example.org,",
		bare: "n=a=2C=3D\u00fc,r=" + clientNonce + ",x=\u00fc,t=0304", extra: ",h==,x=1",
	}
	s := scram.NewServer(k.Hash, scram.ServerConfig{})
	if _, err := s.First(c.first()); err != nil {
		t.Fatal(err)
	}
	challenge, err := s.Challenge(k)
	if err != nil {
		t.Fatal(err)
	}
	message, want := c.final(t, challenge)
	if got, err := s.Final(message); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, key := range []string{keySHA1, keySHA256, keySHA512} {
		s, c, challenge := challenged(t, key, "pencil2")
		message, _ := c.final(t, challenge)
		_, err := s.Final(message)
		wantCondition(t, err, scram.NotAuthorized)
	}
}

// TestReplay: a recorded exchange is worth nothing against a new nonce.
func TestReplay(t *testing.T) {
	t.Parallel()
	s, c, challenge := challenged(t, keySHA256, "pencil")
	message, _ := c.final(t, challenge)
	if _, err := s.Final(message); err != nil {
		t.Fatal(err)
	}
	again, _, second := challenged(t, keySHA256, "pencil")
	if string(second) == string(challenge) {
		t.Fatal("the server repeated its nonce")
	}
	_, err := again.Final(message)
	wantCondition(t, err, scram.NotAuthorized)

	third, c, challenge := challenged(t, keySHA256, "pencil")
	_, success := c.final(t, challenge)
	parts := strings.Split(string(challenge), ",")
	_, err = third.Final([]byte("c=biws," + parts[0] + ",p=" + success[2:]))
	wantCondition(t, err, scram.NotAuthorized) // the server's own signature is no proof
}

func TestServerNonce(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, header := range []string{"n,,", "y,,", "p=tls-exporter,,", "p=tls-exporter,,"} {
		s := scram.NewServer(scram.SHA256, scram.ServerConfig{
			Plus: header[0] == 'p', Bindings: []scram.Binding{{Type: scram.TLSExporter, Data: counted}},
		})
		if _, err := s.First([]byte(header + "n=user,r=" + clientNonce)); err != nil {
			t.Fatal(err)
		}
		challenge, err := s.Challenge(mustKey(t, keySHA256))
		if err != nil {
			t.Fatal(err)
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="+clientNonce), ",")
		if raw, err := base64.StdEncoding.DecodeString(nonce); err != nil || len(raw) < 18 || seen[nonce] {
			t.Errorf("%s: got server nonce of %d octets, %v, want at least 18, never the same (SC-7)", header, len(raw), err)
		}
		seen[nonce] = true
	}
	for _, n := range []string{"", "a,b", "a b"} {
		s := scram.NewServer(scram.SHA256, scram.ServerConfig{Nonce: fixedNonce(n)})
		if _, err := s.First([]byte("n,,n=user,r=" + clientNonce)); err != nil {
			t.Fatal(err)
		}
		_, err := s.Challenge(mustKey(t, keySHA256))
		wantCondition(t, err, scram.TemporaryAuthFailure)
	}
}

func TestServerOrder(t *testing.T) {
	t.Parallel()
	first := []byte("n,,n=user,r=" + clientNonce)
	k := mustKey(t, keySHA256)
	for name, calls := range map[string]func(s *scram.Server) error{
		"challenge first": func(s *scram.Server) error { _, err := s.Challenge(k); return err },
		"final first":     func(s *scram.Server) error { _, err := s.Final(first); return err },
		"first twice": func(s *scram.Server) error {
			if _, err := s.First(first); err != nil {
				return nil
			}
			_, err := s.First(first)
			return err
		},
		"final before the challenge": func(s *scram.Server) error {
			if _, err := s.First(first); err != nil {
				return nil
			}
			_, err := s.Final(first)
			return err
		},
	} {
		s := scram.NewServer(scram.SHA256, scram.ServerConfig{})
		if got := condition(t, calls(s)); got != scram.MalformedRequest {
			t.Errorf("%s: got %q", name, got)
		}
		if _, err := s.First(first); err == nil {
			t.Errorf("%s: the exchange went on", name)
		}
	}
	for name, k := range map[string]scram.Key{"no key": {}, "another hash": mustKey(t, keySHA1)} {
		s := scram.NewServer(scram.SHA256, scram.ServerConfig{})
		if _, err := s.First(first); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Challenge(k); condition(t, err) != scram.TemporaryAuthFailure {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
