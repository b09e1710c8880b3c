//go:build clients

package clienttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Another server's domain, and ours, in tests of what goes between them.
const (
	theirDomain = "prosody.example"
	ourDomain   = "ours.example"
)

// authority signs certificates that both servers believe.
type authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), pool: x509.NewCertPool()}
	a.key, a.cert = a.sign(t, "authority", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		Subject: pkix.Name{CommonName: "authority"}})
	a.pool.AddCert(a.cert)
	return a
}

// domain makes a certificate for a domain, in NAME.crt and NAME.key of the folder.
func (a *authority) domain(t *testing.T, name string) tls.Certificate {
	t.Helper()
	a.sign(t, name, &x509.Certificate{DNSNames: []string{name}, Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	c, err := tls.LoadX509KeyPair(a.file(name+".crt"), a.file(name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) sign(t *testing.T, name string, c *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(a.file(name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

// prosody starts Debian's Prosody, which finds every other server at ours, an address of
// the loopback interface, and returns the address of its own listener.
func prosody(t *testing.T, a *authority, ours string) (addr string, x *console) {
	t.Helper()
	path := program(t, "prosody", "prosody")
	a.domain(t, theirDomain)
	dir := t.TempDir()
	_, port, err := net.SplitHostPort(ours)
	if err != nil {
		t.Fatal(err)
	}
	addr = freeAddress(t)
	_, theirs, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	// The only thing that no option of Prosody says: nobody asks the DNS.
	plugin := fmt.Sprintf("module:set_global()\nlocal basic = require \"net.resolvers.basic\"\n"+
		"require \"net.resolvers.service\".new = function (_, name, _, extra)\n"+
		"\treturn basic.new(\"127.0.0.1\", name == \"xmpp-server\" and %s or 1, \"tcp\", extra)\nend\n", port)
	config := fmt.Sprintf(`run_as_root = true
pidfile = %q
data_path = %q
plugin_paths = { %q }
log = { { levels = { min = "debug" }, to = "console" } }
interfaces = { "127.0.0.1" }
c2s_ports = { }
c2s_direct_tls_ports = { }
s2s_ports = { %s }
s2s_direct_tls_ports = { }
http_ports = { }
https_ports = { }
storage = "internal"
authentication = "internal_hashed"
s2s_secure_auth = true
network_settings = { read_timeout = 2 }
modules_enabled = { "loopback", "tls", "saslauth", "disco", "ping", "smacks", "s2s", "s2s_auth_certs" }
ssl = { cafile = %q, key = %q, certificate = %q }
VirtualHost %q
	ssl = { cafile = %q, key = %q, certificate = %q }
`, filepath.Join(dir, "pid"), dir, dir, theirs, a.file("authority.crt"), a.file(theirDomain+".key"), a.file(theirDomain+".crt"),
		theirDomain, a.file("authority.crt"), a.file(theirDomain+".key"), a.file(theirDomain+".crt"))
	for name, text := range map[string]string{"mod_loopback.lua": plugin, "prosody.cfg.lua": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x = start(t, "prosody", exec.Command(path, "-F", "--config", filepath.Join(dir, "prosody.cfg.lua")))
	waitForListener(t, addr, x)
	return addr, x
}

// freeAddress is an address of the loopback interface at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitForListener waits until somebody listens at the address.
func waitForListener(t *testing.T, addr string, x *console) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-x.ended:
			t.Fatalf("%s has ended\n%s", x.name, x.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen\n%s", x.name, x.tail())
}

// has waits until the program has printed text.
func (c *console) has(t *testing.T, text string) {
	t.Helper()
	late := time.After(limit)
	for {
		all, changed := c.text()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-changed:
		case <-c.ended:
			t.Fatalf("%s ended without %q\n%s", c.name, text, c.tail())
		case <-late:
			t.Fatalf("%s did not print %q\n%s", c.name, text, c.tail())
		}
	}
}
