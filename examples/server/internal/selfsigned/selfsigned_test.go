package selfsigned

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var names = Names([]string{"example.org", "bücher.example"}, true)

// files returns the contents of both files.
func files(t *testing.T, dir string) (cert, key []byte) {
	t.Helper()
	cert, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if key, err = os.ReadFile(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func mustEnsure(t *testing.T, dir string, names []string, now time.Time) {
	t.Helper()
	if _, _, err := ensure(dir, names, now); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		domains  []string
		loopback bool
		want     []string
	}{
		{"public", []string{"example.org"}, false, []string{"example.org"}},
		{"loopback", []string{"example.org"}, true, []string{"example.org", "localhost", "127.0.0.1", "::1"}},
		{"localhost", []string{"localhost", "[::1]"}, true, []string{"localhost", "[::1]", "127.0.0.1"}},
	} {
		if got := Names(tt.domains, tt.loopback); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestHandshake: the file is a trust anchor for every name and for no other.
func TestHandshake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, err := Ensure(dir, names)
	if err != nil {
		t.Fatal(err)
	}
	served, err := Open(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := files(t, dir)
	anchors := x509.NewCertPool()
	if !anchors.AppendCertsFromPEM(cert) {
		t.Fatal("no certificate in cert.pem")
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: served.GetCertificate})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // the client tells
			_ = conn.Close()
		}
	}()
	for name, want := range map[string]bool{
		"example.org": true, "xn--bcher-kva.example": true, "localhost": true, "127.0.0.1": true, "::1": true,
		"other.example": false, "a.example.org": false, "127.0.0.2": false,
	} {
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: anchors, ServerName: name})
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v, want success %t", name, err, want)
		}
	}
	_ = listener.Close()
	<-done
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustEnsure(t, dir, names, time.Now())
	for name, mode := range map[string]os.FileMode{"cert.pem": 0o644, "key.pem": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, info, err, mode)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v; want two files", entries, err)
	}
	certPEM, _ := files(t, dir)
	c, err := parse(certPEM)
	if err != nil {
		t.Fatal(err)
	}
	if c.IsCA || c.KeyUsage&x509.KeyUsageCertSign != 0 {
		t.Error("the certificate is an authority: who trusts it would trust others too")
	}
}

func TestKeptOrReplaced(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		names []string
		now   time.Time
		harm  func(dir string) error
		kept  bool
	}{
		{"again", names, start, nil, true},
		{"other order", []string{"::1", "localhost", "bücher.example", "127.0.0.1", "example.org"}, start, nil, true},
		{"nine years later", names, start.AddDate(9, 0, 0), nil, true},
		{"more names", append(slices.Clone(names), "example.net"), start, nil, false},
		{"fewer names", names[:3], start, nil, false},
		{"near the end", names, start.Add(validity - renewal + time.Hour), nil, false},
		{"after the end", names, start.AddDate(20, 0, 0), nil, false},
		{"before the begin", names, start.AddDate(0, 0, -2), nil, false},
		{"key lost", names, start, func(dir string) error { return os.Remove(filepath.Join(dir, "key.pem")) }, false},
		{"key of another", names, start, func(dir string) error {
			other, err := os.MkdirTemp(dir, "other")
			if err != nil {
				return err
			}
			if _, _, err := ensure(other, names, start); err != nil {
				return err
			}
			return os.Rename(filepath.Join(other, "key.pem"), filepath.Join(dir, "key.pem"))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mustEnsure(t, dir, names, start)
			before, _ := files(t, dir)
			if tt.harm != nil {
				if err := tt.harm(dir); err != nil {
					t.Fatal(err)
				}
			}
			mustEnsure(t, dir, tt.names, tt.now)
			after, key := files(t, dir)
			if kept := bytes.Equal(before, after); kept != tt.kept {
				t.Errorf("kept %t, want %t", kept, tt.kept)
			}
			if _, err := tls.X509KeyPair(after, key); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestForeignFiles: what the operator has put there is not overwritten.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		file string
		text string
	}{
		{"no certificate", "cert.pem", "what is this?"},
		{"key alone", "key.pem", "somebody's key"},
		{"foreign certificate", "cert.pem", foreign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, tt.file)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Ensure(dir, names); err == nil {
				t.Error("no error")
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != tt.text {
				t.Errorf("%s is now %q, %v", tt.file, got, err)
			}
		})
	}
	if _, _, err := Ensure(filepath.Join(t.TempDir(), "missing"), names); err == nil {
		t.Error("a directory that does not exist: no error")
	}
}

// foreign is a certificate that was made by other software.
const foreign = `-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUbmnKNaqtw442s3rgDz/HJTGM+NYwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZm9yZWlnbjAeFw0yNjExMjQxODI2MThaFw0zNjExMjExODI2
MThaMBIxEDAOBgNVBAMMB2ZvcmVpZ24wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQcbVOn+T1wNvIj5GIZuxyN/eERkSXvL41SKrXi+ICCLkr9tiK1jIheyRMRZLUR
ji0ry4t0vExa0LHmkY9lTw3Oo1MwUTAdBgNVHQ4EFgQUdp1nbgdmKel8t22hm04H
tcXGJJUwHwYDVR0jBBgwFoAUdp1nbgdmKel8t22hm04HtcXGJJUwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA4ra4lll6eG67obDoqowKeSOhqq3M
FwlfibbO1Zd4VPsCIGoqHNSpFEttdR46rDXWpjcOa6kIVWNJvq2qukmIwBkg
-----END CERTIFICATE-----
`
