package scram_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

// plusVectors are exchanges with channel binding. Those of the XEPs have this one
// in common.
const (
	xepFirst     = "p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6"
	xepNonce     = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6" + xepServer
	xepServer    = "a09117a6-ac50-4f2f-93f1-93799c2bddf6"
	xepChallenge = "r=" + xepNonce + ",s=QSXCR+Q6sek8bf92,i=4096,h=" + xepHash
	xepHash      = "G6k/rBLDqgOhRRaCuuatSDFkJ08="
	xepBinding   = "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=" + xepNonce
	xepData      = "THIS IS FAKE CB DATA"

	ourBinding = "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=" + fullNonce
	hash256    = "GEmOQY8kp7oSkkYObjsuaBrgl6Fw4Qx5S26oKBC50sg="
	hash512    = "DGn+DA6JVUIClfaRZHvoPBpjhejLFZwhJY6YjLxkeGimV9Zijvpt0C2EjYIQRGjfS/lUToYR8OmEHUp9v9h1lQ=="
)

var counted = func() []byte {
	var b [32]byte
	for i := range b {
		b[i] = byte(i)
	}
	return b[:]
}()

var plusVectors = []struct {
	vector
	data []byte
	h, t string
}{
	{vector{"XEP-0474 section 4.3", keySHA1, xepServer, "user", xepFirst, xepChallenge,
		xepBinding + ",x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=", "v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c="}, []byte(xepData), xepHash, ""},
	{vector{"XEP-0515 section 4.3", keySHA1, xepServer, "user", xepFirst, xepChallenge + ",t=0304",
		xepBinding + ",p=KHUfN8dSy1K95crT4D5y1ItLJfs=", "v=3w34ZIMVRkx2f2Ozb3/ecRPVdv4="}, []byte(xepData), xepHash, "0304"},
	{vector{"SHA-256, computed", keySHA256, serverNonce, "user", "p=tls-exporter,,n=user,r=" + clientNonce,
		"r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,h=" + hash256 + ",t=0304",
		ourBinding + ",p=NgJvxPGw6vKrEtjlD+tqoA43/JJ/1x2XvIKhpOpCcEg=", "v=5TvAb6UUpyFr9a4g1nLOBrJXL9nTV5IP/VaWZdUhdFQ="}, counted, hash256, "0304"},
	{vector{"SHA-512, computed", keySHA512, serverNonce, "user", "p=tls-exporter,,n=user,r=" + clientNonce,
		"r=" + fullNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,h=" + hash512 + ",t=0304",
		ourBinding + ",p=EvQ7Qv0Ee9DhOL4LoYkEzC+CQ72b5MFt+RFcbicw9p9HGlng6e+Lg9Aggx5kjhZfaUv9eDdYVtq5ekSI+Q+L0A==",
		"v=N2yb0LSpfrmVj8UcBQFmws7mEfAaKQnZngJuniUQVPGG3hpqDv1/xdR8J2qqQOVB7xPiIfuCJBhA8kKjYubnmA=="}, counted, hash512, "0304"},
}

// TestPlusVectors: SC-1 with channel binding, CB-12, CB-14.
func TestPlusVectors(t *testing.T) {
	t.Parallel()
	for _, v := range plusVectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k := mustKey(t, v.key)
			s := scram.NewServer(k.Hash, scram.ServerConfig{Plus: true, Bindings: []scram.Binding{{Type: scram.TLSExporter, Data: v.data}},
				ListHash: v.h, TLSVersion: v.t, Nonce: fixedNonce(v.serverNonce)})
			if m, err := s.First([]byte(v.first)); err != nil || m.Username != v.username || m.Binding != scram.TLSExporter {
				t.Fatalf("First: got %+v, error %v", m, err)
			}
			if got, err := s.Challenge(k); err != nil || string(got) != v.challenge {
				t.Fatalf("Challenge: got %q, %v, want %q", got, err, v.challenge)
			}
			if got, err := s.Final([]byte(v.final)); err != nil || string(got) != v.success {
				t.Fatalf("Final: got %q, %v, want %q", got, err, v.success)
			}
		})
	}
}

// TestPlusFlags: SC-24, SC-25, SC-26.
func TestPlusFlags(t *testing.T) {
	t.Parallel()
	bindings := []scram.Binding{{Type: scram.TLSExporter, Data: counted}, {Type: scram.TLSServerEndPoint, Data: []byte("leaf")}, {Type: scram.TLSUnique}}
	plus := scram.ServerConfig{Plus: true, Bindings: bindings, PlusAdvertised: true}
	bare := scram.ServerConfig{Bindings: bindings, PlusAdvertised: true}
	lenient, unlisted := bare, bare
	lenient.LenientY, unlisted.PlusAdvertised = true, false
	lenientPlus := plus
	lenientPlus.LenientY = true
	for _, c := range []struct {
		name   string
		config scram.ServerConfig
		header string
		ok     bool
	}{
		{"bound", plus, "p=tls-exporter,,", true},
		{"bound to the certificate", plus, "p=tls-server-end-point,,", true},
		{"type whose data is not there", plus, "p=tls-unique,,", false},
		{"type that was not advertised", plus, "p=tls-server,,", false},
		{"type in upper case", plus, "p=TLS-EXPORTER,,", false},
		{"-PLUS with n", plus, "n,,", false},
		{"-PLUS with y", plus, "y,,", false},
		{"-PLUS with y, lenient", lenientPlus, "y,,", false},
		{"without bindings", scram.ServerConfig{Plus: true}, "p=tls-exporter,,", false},
		{"p= without -PLUS", bare, "p=tls-exporter,,", false},
		{"p= without -PLUS, lenient", lenient, "p=tls-exporter,,", false},
		{"n though -PLUS was listed", bare, "n,,", true},
		{"y though -PLUS was listed", bare, "y,,", false},
		{"y though -PLUS was listed, lenient", lenient, "y,,", true},
		{"y where no -PLUS was listed", unlisted, "y,,", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scram.NewServer(scram.SHA256, c.config)
			_, err := s.First([]byte(c.header + "n=user,r=" + clientNonce))
			if c.ok {
				wantCondition(t, err, "")
				return
			}
			wantCondition(t, err, scram.MalformedRequest)
			_, err = s.Challenge(mustKey(t, keySHA256))
			wantCondition(t, err, scram.MalformedRequest)
		})
	}
}

// TestPlusData: SC-10, whoever knows the password still has to send the data of
// this connection.
func TestPlusData(t *testing.T) {
	t.Parallel()
	const header = "p=tls-exporter,,"
	config := scram.ServerConfig{Plus: true, Bindings: []scram.Binding{{Type: scram.TLSExporter, Data: counted}, {Type: scram.TLSServerEndPoint, Data: []byte("leaf")}}}
	for name, binding := range map[string]string{
		"none":                 header,
		"of another":           header + strings.Repeat("x", 32),
		"cut short":            header + string(counted[:31]),
		"longer":               header + string(counted) + "x",
		"of another type":      header + "leaf",
		"with the other type":  "p=tls-server-end-point,,leaf",
		"with n":               "n,," + string(counted),
		"with an authzid more": "p=tls-exporter,a=user@example.net," + string(counted),
		"alone":                string(counted),
	} {
		s := scram.NewServer(scram.SHA256, config)
		c := &testClient{mechanism: "SCRAM-SHA-256", password: "pencil", header: header, binding: binding}
		if _, err := s.First(c.first()); err != nil {
			t.Fatal(err)
		}
		challenge, err := s.Challenge(mustKey(t, keySHA256))
		if err != nil {
			t.Fatal(err)
		}
		message, _ := c.final(t, challenge)
		if _, err := s.Final(message); condition(t, err) != scram.NotAuthorized {
			t.Errorf("data %s: got %v", name, err)
		}
	}
	if !slices.Equal(counted, config.Bindings[0].Data) {
		t.Error("the data was changed")
	}
}
