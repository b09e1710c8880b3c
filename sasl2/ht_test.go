package sasl2_test

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/propolis-im/propolis/sasl2"
)

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHTVectors: auth-register §1.5. The token is used as text, although it looks
// like base64.
func TestHTVectors(t *testing.T) {
	t.Parallel()
	const token = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm"
	exported := make([]byte, 32)
	for i := range exported {
		exported[i] = byte(i)
	}
	for _, tt := range []struct {
		name, binding     string
		data              []byte
		initial, response string
	}{
		{"HT-SHA-256-NONE", "", nil, "dXNlcgCQl3h0YaGE4PqE7ADBOBGQtsTRao7ERTx7KsXn/Pk17Q==", "TlE0CWMUdIY7mGyfPoweJ8op0derntQJfnr9YAe/nGI="},
		{"HT-SHA-256-EXPR", "tls-exporter", exported, "dXNlcgAMV0VXav7qcRlgVJGGoxplyfMoIF7ji2aCWz1Mhys5XA==", "EmBXmzTVWuuk5DBipBLbYJoKcVOr0hiw8UhEXE6DUp8="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, ok := sasl2.ParseHT(tt.name)
			if !ok || m.Name() != tt.name || m.Binding() != tt.binding {
				t.Fatalf("mechanism %q with binding %q, %t", m.Name(), m.Binding(), ok)
			}
			initial, response := unbase64(t, tt.initial), unbase64(t, tt.response)
			if got := m.Initial("user", token, tt.data); !bytes.Equal(got, initial) {
				t.Errorf("initial response %x", got)
			}
			if got := m.Response(token, tt.data); !bytes.Equal(got, response) {
				t.Errorf("response %x", got)
			}
			authcid, proof, ok := m.ParseInitial(initial)
			if authcid != "user" || !ok || !m.VerifyInitial(token, tt.data, proof) || !m.VerifyResponse(token, tt.data, response) {
				t.Errorf("%s, %t: not verified", authcid, ok)
			}
			// Reflection (scenario 12), other tokens and other data.
			if m.VerifyResponse(token, tt.data, proof) || m.VerifyInitial(token, tt.data, response) ||
				m.VerifyInitial(token+"x", tt.data, proof) || m.VerifyInitial(token, append([]byte{1}, tt.data...), proof) ||
				m.VerifyInitial(token, tt.data, nil) || m.VerifyResponse(token, tt.data, response[:31]) {
				t.Error("verified what is wrong")
			}
		})
	}
}

func TestParseHT(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"HT-SHA-256-ENDP": true, "HT-SHA-256-UNIQ": true, "HT-SHA-512-EXPR": true, "HT-SHA-512-NONE": true,
		"HT-SHA-1-NONE": false, "HT-SHA-256": false, "HT-SHA-256-none": false, "HT-SHA-256-": false, "HT--NONE": false,
		"HT-": false, "": false, "SCRAM-SHA-256": false, "HT2-SHA-256-NONE": false, "ht-SHA-256-NONE": false, "HT-SHA-256-NONE-NONE": false,
	} {
		if _, ok := sasl2.ParseHT(name); ok != want {
			t.Errorf("%q: %t, want %t", name, ok, want)
		}
	}
}

func TestParseInitial(t *testing.T) {
	t.Parallel()
	m, _ := sasl2.ParseHT("HT-SHA-256-NONE")
	for in, want := range map[string]bool{
		"a\x00" + string(make([]byte, 32)): true, "a\x00" + string(make([]byte, 31)): false, "a\x00" + string(make([]byte, 33)): false,
		"\x00" + string(make([]byte, 32)): false, "a": false, "": false, "a\x00": false,
	} {
		if _, _, ok := m.ParseInitial([]byte(in)); ok != want {
			t.Errorf("%q: %t, want %t", in, ok, want)
		}
	}
}
