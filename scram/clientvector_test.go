package scram_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

const (
	parametersSHA256 = ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

	listHash256 = "GEmOQY8kp7oSkkYObjsuaBrgl6Fw4Qx5S26oKBC50sg="
	listHash512 = "DGn+DA6JVUIClfaRZHvoPBpjhejLFZwhJY6YjLxkeGimV9Zijvpt0C2EjYIQRGjfS/lUToYR8OmEHUp9v9h1lQ=="

	exporterC = "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
)

var (
	sixMechanisms = []string{
		"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS",
	}
	twoTypes = []string{scram.TLSExporter, scram.TLSServerEndPoint}
	// exporterData are the octets 00 to 1f.
	exporterData = func() []byte {
		b := make([]byte, 32)
		for i := range b {
			b[i] = byte(i)
		}
		return b
	}()
	tls13 = scram.Local{TLSVersion: 0x0304, Bindings: []scram.Binding{{Type: scram.TLSExporter, Data: exporterData}}}
)

// clientVector is an exchange in the client's role.
type clientVector struct {
	name, mechanism    string
	offer              scram.Listing
	local              scram.Local
	username, password string
	nonce              string
	vector
	listVerified bool
}

// clientVectors are those of the server, and those that only clients meet.
func clientVectors() []clientVector {
	var all []clientVector
	for i, mechanism := range []string{"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-256"} {
		v := vectors[i]
		nonce := clientNonce
		if i == 0 {
			nonce = "fyko+d2lbbFgONRv9qkxdawL"
		}
		all = append(all, clientVector{
			name: v.name, mechanism: mechanism, offer: scram.Listing{Mechanisms: []string{mechanism, scram.Plain}},
			username: v.username, password: "pencil", nonce: nonce, vector: v,
		})
	}
	all = append(all, clientVector{
		name: "password is prepared", mechanism: "SCRAM-SHA-256", offer: scram.Listing{Mechanisms: []string{"SCRAM-SHA-256"}},
		username: "user", password: "I\u00adX", nonce: clientNonce,
		vector: vector{
			first:     "n,,n=user,r=" + clientNonce,
			challenge: "r=" + fullNonce + parametersSHA256,
			final:     "c=biws,r=" + fullNonce + ",p=Ccfz+MPysZ5YsRatnfoQRtOYQ0RquqCRk+EhNl23pFE=",
			success:   "v=oSLkEWhkxIA3AphzDz+SheC1WRVNS+NlSwxyipFvUvI=",
		},
	})
	for hash, v := range map[scram.Hash]vector{
		scram.SHA256: {
			challenge: "r=" + fullNonce + parametersSHA256 + ",h=" + listHash256 + ",t=0304",
			final:     exporterC + ",r=" + fullNonce + ",p=NgJvxPGw6vKrEtjlD+tqoA43/JJ/1x2XvIKhpOpCcEg=",
			success:   "v=5TvAb6UUpyFr9a4g1nLOBrJXL9nTV5IP/VaWZdUhdFQ=",
		},
		scram.SHA512: {
			challenge: "r=" + fullNonce + parametersSHA256 + ",h=" + listHash512 + ",t=0304",
			final:     exporterC + ",r=" + fullNonce + ",p=EvQ7Qv0Ee9DhOL4LoYkEzC+CQ72b5MFt+RFcbicw9p9HGlng6e+Lg9Aggx5kjhZfaUv9eDdYVtq5ekSI+Q+L0A==",
			success:   "v=N2yb0LSpfrmVj8UcBQFmws7mEfAaKQnZngJuniUQVPGG3hpqDv1/xdR8J2qqQOVB7xPiIfuCJBhA8kKjYubnmA==",
		},
	} {
		v.first = "p=tls-exporter,,n=user,r=" + clientNonce
		all = append(all, clientVector{
			name: hash.String() + " with channel binding", mechanism: hash.Mechanism() + "-PLUS",
			offer: scram.Listing{Profile: scram.SASL2, Mechanisms: sixMechanisms, BindingTypes: twoTypes},
			local: tls13, username: "user", password: "pencil", nonce: clientNonce, vector: v, listVerified: true,
		})
	}
	fake := tls13
	fake.Bindings = []scram.Binding{{Type: scram.TLSExporter, Data: []byte("THIS IS FAKE CB DATA")}}
	const nonce, full = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6", "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6"
	return append(all, clientVector{
		name: "XEP-0515", mechanism: "SCRAM-SHA-1-PLUS",
		offer: scram.Listing{Profile: scram.SASL2, Mechanisms: []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, BindingTypes: twoTypes},
		local: fake, username: "user", password: "pencil", nonce: nonce, listVerified: true,
		vector: vector{
			first:     "p=tls-exporter,,n=user,r=" + nonce,
			challenge: "r=" + full + ",s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,t=0304",
			final:     "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=" + full + ",p=KHUfN8dSy1K95crT4D5y1ItLJfs=",
			success:   "v=3w34ZIMVRkx2f2Ozb3/ecRPVdv4=",
		},
	})
}

func (v clientVector) client(t testing.TB, change ...func(*scram.ClientOptions)) *scram.Client {
	t.Helper()
	o := scram.ClientOptions{
		Username: v.username, Password: scram.FixedPassword(v.password), Nonce: fixedNonce(v.nonce),
		Policy: scram.ClientPolicy{Hashes: []scram.Hash{hashOf(v.mechanism)}},
	}
	for _, f := range change {
		f(&o)
	}
	choice, err := scram.Choose(v.offer, v.local, o.Policy, o.Pins)
	if err != nil || choice.Mechanism != v.mechanism {
		t.Fatalf("Choose: got %q, %v, want %q", choice.Mechanism, err, v.mechanism)
	}
	c, err := scram.NewClient(choice, &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hashOf(mechanism string) scram.Hash {
	h, _ := scram.ParseMechanism(strings.TrimSuffix(mechanism, "-PLUS"))
	return h
}

func TestClientVectors(t *testing.T) {
	t.Parallel()
	for _, v := range clientVectors() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			c := v.client(t)
			if got, err := c.First(); err != nil || string(got) != v.first {
				t.Fatalf("First: got %q, %v, want %q", got, err, v.first)
			}
			if got, err := c.Next(t.Context(), []byte(v.challenge)); err != nil || string(got) != v.final {
				t.Fatalf("Next: got %q, %v, want %q", got, err, v.final)
			}
			if l := c.Login(); l.Mechanism != "" {
				t.Error("a login before the server was verified")
			}
			if err := c.Verify([]byte(v.success)); err != nil {
				t.Fatal(err)
			}
			l := c.Login()
			if l.Mechanism != v.mechanism || l.ListVerified != v.listVerified || l.Iterations != 4096 || !l.Pins.NoPlain ||
				l.Pins.Iterations[hashOf(v.mechanism).Mechanism()] != 4096 {
				t.Errorf("got %+v", l)
			}
			v.again(t, l.Keys)
		})
	}
}

// again logs in with the keys of the first login alone.
func (v clientVector) again(t *testing.T, keys scram.ClientKeys) {
	t.Helper()
	c := v.client(t, func(o *scram.ClientOptions) { o.Password, o.Keys = nil, []scram.ClientKeys{{}, keys} })
	if _, err := c.First(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Next(t.Context(), []byte(v.challenge)); err != nil || string(got) != v.final {
		t.Fatalf("with kept keys: got %q, %v, want %q", got, err, v.final)
	}
	if err := c.Verify([]byte(v.success + ",x=extension")); err == nil {
		return // RFC 5802 §7: extensions are tolerated
	}
	t.Error("an extension behind the signature was refused")
}

// TestClientSignsExtension is the example of XEP-0474, in which the client sends an
// attribute that this one never does.
func TestClientSignsExtension(t *testing.T) {
	t.Parallel()
	const (
		full  = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6"
		bare  = "n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6"
		first = "r=" + full + ",s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08="
		final = "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=" + full + ",x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3"
	)
	salt, err := base64.StdEncoding.DecodeString("QSXCR+Q6sek8bf92")
	if err != nil {
		t.Fatal(err)
	}
	k, err := scram.NewClientKeys(t.Context(), scram.SHA1, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	got := base64.StdEncoding.EncodeToString(scram.ClientProof(k, []byte(bare+","+first+","+final)))
	if want := "M/SIDjT+dfcxUh89jZEypRvFxB4="; got != want {
		t.Errorf("got proof %s, want %s", got, want)
	}
}

// TestClientHeader: authorization identities are escaped, and names prepared as a
// localpart.
func TestClientHeader(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, username, authzid string
		local                   scram.Local
		binding                 scram.BindingPolicy
		want                    string
	}{
		{"authorization identity", "user", "a,b=c@example.org", scram.Local{}, 0, "n,a=a=2Cb=3Dc@example.org,n=user,r="},
		{"the document's example", "user", "user@example.org", scram.Local{}, 0, "n,a=user@example.org,n=user,r="},
		{"case and width", "\uff35SER", "", scram.Local{}, 0, "n,,n=user,r="},
		{"SASLprep first", "us\u00ader", "", scram.Local{}, 0, "n,,n=user,r="},
		{"younger than SASLprep", "\u1c90\u10d0", "", scram.Local{}, 0, "n,,n=\u10d0\u10d0,r="},
		{"could bind", "user", "", tls13, 0, "y,,n=user,r="},
		{"will not bind", "user", "", tls13, scram.BindingOff, "n,,n=user,r="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			choice, err := scram.Choose(scram.Listing{Mechanisms: []string{"SCRAM-SHA-1"}}, tt.local, scram.ClientPolicy{Binding: tt.binding}, scram.Pins{})
			if err != nil {
				t.Fatal(err)
			}
			c, err := scram.NewClient(choice, &scram.ClientOptions{
				Username: tt.username, Authzid: tt.authzid, Nonce: fixedNonce(clientNonce), Password: scram.FixedPassword("pencil"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.First(); err != nil || string(got) != tt.want+clientNonce {
				t.Errorf("got %q, %v, want %q", got, err, tt.want+clientNonce)
			}
			// The last message repeats the header, with no data of a binding.
			header, _, _ := strings.Cut(tt.want, ",n=")
			got, err := c.Next(t.Context(), []byte("r="+fullNonce+",s=QSXCR+Q6sek8bf92,i=4096"))
			if err != nil || !strings.HasPrefix(string(got), "c="+b64(header+",")+",r=") {
				t.Errorf("last message: got %q, %v", got, err)
			}
		})
	}
	for _, name := range []string{"", "a b", "a@b", "\x00", strings.Repeat("a", 1024)} {
		choice, err := scram.Choose(scram.Listing{Mechanisms: []string{"SCRAM-SHA-1"}}, scram.Local{}, scram.ClientPolicy{}, scram.Pins{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := scram.NewClient(choice, &scram.ClientOptions{Username: name}); !errors.Is(err, scram.ErrName) {
			t.Errorf("%.20q: got %v", name, err)
		}
	}
}

// TestClientNonce: SC-7, whatever is listed; mellium.im/sasl before 0.3.1 had none where
// there was a -PLUS mechanism (CVE-2022-48195).
func TestClientNonce(t *testing.T) {
	t.Parallel()
	listed := scram.Listing{Mechanisms: sixMechanisms, BindingTypes: twoTypes}
	var seen []string
	for _, tt := range []struct {
		offer scram.Listing
		local scram.Local
		flag  byte
	}{
		{scram.Listing{Mechanisms: threePlain}, noTLS, 'n'}, {scram.Listing{Mechanisms: threePlain}, tls13, 'y'},
		{listed, tls13, 'p'}, {listed, noTLS, 'n'}, {listed, unbound, 'n'},
	} {
		choice, err := scram.Choose(tt.offer, tt.local, scram.ClientPolicy{}, scram.Pins{})
		if err != nil || choice.Flag != tt.flag {
			t.Fatalf("flag %c, %v, want %c", choice.Flag, err, tt.flag)
		}
		client := func(nonce func() string) *scram.Client {
			c, err := scram.NewClient(choice, &scram.ClientOptions{Username: "user", Nonce: nonce})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		for range 100 {
			first, err := client(nil).First()
			if err != nil {
				t.Fatal(err)
			}
			_, nonce, _ := strings.Cut(string(first), ",r=")
			if b, err := base64.StdEncoding.DecodeString(nonce); err != nil || len(b) < 18 || slices.Contains(seen, nonce) {
				t.Fatalf("nonce %q, %v", nonce, err)
			}
			seen = append(seen, nonce)
		}
		for _, bad := range []string{"", "short", "comma,comma,comma", "space space"} {
			if out, err := client(fixedNonce(bad)).First(); err == nil {
				t.Errorf("nonce %q: sent %q", bad, out)
			}
		}
	}
}
