package selfsigned

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// current returns the DER of what clients would get.
func current(t *testing.T, c *Certificate) []byte {
	t.Helper()
	got, err := c.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil || got == nil {
		t.Fatalf("%v, %v", got, err)
	}
	return got.Certificate[0]
}

func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, err := Ensure(dir, names)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	first := current(t, c)

	if err := os.WriteFile(keyFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil {
		t.Error("a broken key was accepted")
	}
	if !bytes.Equal(first, current(t, c)) {
		t.Error("the certificate changed although the files cannot be used")
	}

	mustEnsure(t, dir, names[:1], time.Now())
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, current(t, c)) {
		t.Error("the certificate is the old one")
	}
}

func TestOpenMissing(t *testing.T) {
	t.Parallel()
	if c, err := Open(filepath.Join(t.TempDir(), "c.pem"), "k.pem"); err == nil || c != nil {
		t.Errorf("%v, %v; want an error", c, err)
	}
}
