package scram_test

import (
	"crypto/tls"
	"testing"

	"github.com/propolis-im/propolis/scram"
)

func TestListHash(t *testing.T) {
	t.Parallel()
	two := []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}
	six := []string{
		"SCRAM-SHA-512-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1",
	}
	types := []string{scram.TLSServerEndPoint, scram.TLSExporter}
	tests := []struct {
		name       string
		hash       scram.Hash
		mechanisms []string
		bindings   []string
		want       string
	}{
		{"no types", scram.SHA1, two, nil, "g00gt4Qd0gJ3EvnclTnY0KEYfRg="},
		{"types", scram.SHA256, two, types, "H6VEQ+6wl/eYKuTjJn4D9/e9GTn1AcYGw/oiSJ3Yhy0="},
		{"six mechanisms", scram.SHA256, six, types, "GEmOQY8kp7oSkkYObjsuaBrgl6Fw4Qx5S26oKBC50sg="},
		{"SHA-512", scram.SHA512, six, types, "DGn+DA6JVUIClfaRZHvoPBpjhejLFZwhJY6YjLxkeGimV9Zijvpt0C2EjYIQRGjfS/lUToYR8OmEHUp9v9h1lQ=="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := scram.ListHash(tt.hash, tt.mechanisms, tt.bindings); got != tt.want {
				t.Errorf("ListHash = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTLSVersionText(t *testing.T) {
	t.Parallel()
	for version, want := range map[uint16]string{tls.VersionTLS12: "0303", tls.VersionTLS13: "0304"} {
		if got := scram.TLSVersionText(version); got != want {
			t.Errorf("TLSVersionText(%x) = %s, want %s", version, got, want)
		}
	}
}

// TestListHashes: what is remembered is of the same lists.
func TestListHashes(t *testing.T) {
	t.Parallel()
	var l scram.ListHashes
	mechanisms, types := []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}, []string{scram.TLSExporter}
	check := func(h scram.Hash, mechanisms, types []string) {
		t.Helper()
		if got, want := l.Of(h, mechanisms, types), scram.ListHash(h, mechanisms, types); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for range 2 {
		check(scram.SHA256, mechanisms, types)
		check(scram.SHA1, mechanisms, types)
		check(scram.SHA256, mechanisms[1:], types)
		check(scram.SHA256, mechanisms, nil)
	}
	check(scram.SHA512, mechanisms, types)
	mechanisms[0] = "PLAIN" // the caller's own
	check(scram.SHA512, mechanisms, types)
}
