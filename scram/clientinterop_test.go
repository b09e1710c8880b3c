package scram_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
	xdg "github.com/xdg-go/scram"
)

// TestClientAndServer: this client logs in at this server with every mechanism, and
// again without the password.
func TestClientAndServer(t *testing.T) {
	t.Parallel()
	b := newBed(t, scram.Options{})
	offer := scram.Listing{Mechanisms: b.Mechanisms()}
	for _, h := range scram.Hashes() {
		for _, password := range []string{"pencil", "Pencil"} {
			o := scram.ClientOptions{
				Username: "J,=\u00dcrgen", Password: scram.FixedPassword(password), Policy: scram.ClientPolicy{Hashes: []scram.Hash{h}},
			}
			c, err := login(t, b, offer, scram.Local{}, o)
			if password != "pencil" {
				wantCondition(t, err, scram.NotAuthorized)
				continue
			}
			if err != nil {
				t.Fatalf("%v: %v", h, err)
			}
			o.Password, o.Keys = nil, []scram.ClientKeys{c.Login().Keys}
			if _, err := login(t, b, offer, scram.Local{}, o); err != nil {
				t.Errorf("%v, again: %v", h, err)
			}
			o.Authzid = "other@" + host
			_, err = login(t, b, offer, scram.Local{}, o)
			wantCondition(t, err, scram.InvalidAuthzid)
		}
	}
	_, err := login(t, b, offer, scram.Local{}, scram.ClientOptions{Username: "nobody", Password: scram.FixedPassword("pencil")})
	wantCondition(t, err, scram.NotAuthorized)
}

// login runs client and server against each other. The error is the server's.
func login(t *testing.T, b bed, offer scram.Listing, local scram.Local, o scram.ClientOptions) (*scram.Client, error) {
	t.Helper()
	choice, err := scram.Choose(offer, local, o.Policy, o.Pins)
	if err != nil {
		t.Fatal(err)
	}
	c, err := scram.NewClient(choice, &o)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.First()
	if err != nil {
		t.Fatal(err)
	}
	e := b.start(t, choice.Mechanism)
	challenge, _, err := e.Step(t.Context(), first)
	if err != nil {
		return nil, err
	}
	final, err := c.Next(t.Context(), challenge)
	if err != nil {
		t.Fatal(err)
	}
	success, done, err := e.Step(t.Context(), final)
	if err != nil {
		return nil, err
	}
	if err := c.Verify(success); err != nil || !done {
		t.Fatalf("done %v, %v", done, err)
	}
	return c, nil
}

// TestClientAtOtherServer runs this client against an independent server, with
// channel binding and without.
func TestClientAtOtherServer(t *testing.T) {
	t.Parallel()
	generators := map[scram.Hash]xdg.HashGeneratorFcn{scram.SHA1: xdg.SHA1, scram.SHA256: xdg.SHA256, scram.SHA512: xdg.SHA512}
	bindings := map[string]struct {
		local scram.Local
		flag  byte
		start func(*xdg.Server) *xdg.ServerConversation
	}{
		"none":  {scram.Local{}, 'n', (*xdg.Server).NewConversation},
		"could": {both13, 'y', (*xdg.Server).NewConversation},
		"bound": {both13, 'p', func(s *xdg.Server) *xdg.ServerConversation {
			return s.NewConversationWithChannelBindingRequired(xdg.ChannelBinding{Type: xdg.ChannelBindingTLSExporter, Data: exporterData})
		}},
	}
	for h, generator := range generators {
		for name, b := range bindings {
			for i, password := range []string{"pencil", "I\u00adX ,=", "p\u00a0\u2168\u00aa"} {
				for _, authzid := range []string{"", "a,b=c@example.org"} {
					username := strings.Repeat("x=,", i) + "y"
					owner, err := generator.NewClient(username, password, "")
					if err != nil {
						t.Fatal(err)
					}
					factors := xdg.KeyFactors{Salt: "saltsalt", Iters: 4096}
					server, err := generator.NewServer(func(name string) (xdg.StoredCredentials, error) {
						if name != username {
							return xdg.StoredCredentials{}, errors.New("unknown")
						}
						return owner.GetStoredCredentialsWithError(factors)
					})
					if err != nil {
						t.Fatal(err)
					}
					offer := scram.Listing{Mechanisms: []string{h.Mechanism()}}
					if b.flag == 'p' {
						offer = scram.Listing{Mechanisms: []string{h.Mechanism() + "-PLUS"}, BindingTypes: exporter}
					}
					o := scram.ClientOptions{Username: username, Authzid: authzid, Password: scram.FixedPassword(password)}
					if err := atOther(t, b.start(server), offer, b.local, o); err != nil {
						t.Errorf("%v, %s, %+q as %q: %v", h, name, password, authzid, err)
					}
					o.Password = scram.FixedPassword("other")
					if err := atOther(t, b.start(server), offer, b.local, o); err == nil {
						t.Errorf("%v, %s: logged in with a wrong password", h, name)
					}
				}
			}
		}
	}
}

// atOther returns the error of the other server or that of the client about it.
func atOther(t *testing.T, s *xdg.ServerConversation, offer scram.Listing, local scram.Local, o scram.ClientOptions) error {
	t.Helper()
	choice, err := scram.Choose(offer, local, o.Policy, o.Pins)
	if err != nil {
		t.Fatal(err)
	}
	c, err := scram.NewClient(choice, &o)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.First()
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := s.Step(string(first))
	if err != nil {
		t.Fatal(err)
	}
	final, err := c.Next(t.Context(), []byte(challenge))
	if err != nil {
		t.Fatal(err)
	}
	success, err := s.Step(string(final))
	if verified := c.Verify([]byte(success)); (verified == nil) != (err == nil) {
		t.Errorf("the server says %v, the client %v", err, verified)
	}
	if err == nil && (!s.Valid() || s.AuthzID() != o.Authzid) {
		t.Errorf("valid %v, as %q", s.Valid(), s.AuthzID())
	}
	return err
}

func TestPlainMessage(t *testing.T) {
	t.Parallel()
	got, err := scram.PlainMessage("", "user", "pencil")
	if want := "\x00user\x00pencil"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	long := strings.Repeat("x", 1025)
	for _, bad := range [][3]string{
		{"", "", "p"}, {"", "u", ""}, {"\x00", "u", "p"}, {"", "u\x00", "p"}, {"", "u", "p\x00"}, {long, "u", "p"}, {"", long, "p"}, {"", "u", long},
	} {
		if _, err := scram.PlainMessage(bad[0], bad[1], bad[2]); !errors.Is(err, scram.ErrName) && !errors.Is(err, scram.ErrPassword) {
			t.Errorf("%.10q: got %v", bad, err)
		}
	}
}
