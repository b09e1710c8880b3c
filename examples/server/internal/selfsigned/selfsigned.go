// Package selfsigned provides the certificate of the reference server: one it
// makes itself and keeps, or one that was given to it.
//
// The self-made one is a certificate for the server alone, not an authority: who
// trusts it, by giving the file to a client as trust anchor, trusts nothing
// else by that.
package selfsigned

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

const (
	// validity is long because those who trust the file would have to be told
	// of a new one.
	validity = 10 * 365 * 24 * time.Hour
	// renewal is how long before its end a certificate is replaced.
	renewal = 30 * 24 * time.Hour
	// skew is how far the clocks of clients may be behind.
	skew = 24 * time.Hour
)

// organization marks the certificates made here, which alone may be replaced.
const organization = "Propolis self-signed"

// Names returns what a certificate for the domains must be valid for. Clients
// of a server on the loopback interface may also use the names of that.
func Names(domains []string, loopback bool) []string {
	names := slices.Clone(domains)
	if loopback {
		for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
			if !slices.Contains(names, name) && !slices.Contains(names, "["+name+"]") {
				names = append(names, name)
			}
		}
	}
	return names
}

// Ensure makes sure that cert.pem and key.pem in dir are a self-signed
// certificate for exactly these names, domains as they are in JIDs or IP
// addresses, and its key, and returns their paths. They are made if they are
// missing, and made anew if the names differ, the end is near, or a crash has
// left one without the other. Files that were not made here are not touched;
// they are an error. dir must exist.
func Ensure(dir string, names []string) (certFile, keyFile string, err error) {
	return ensure(dir, names, time.Now())
}

func ensure(dir string, names []string, now time.Time) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	want, err := template(names, now)
	if err != nil {
		return "", "", err
	}
	good, err := usable(certFile, keyFile, want, now)
	if err != nil {
		return "", "", err
	}
	if !good {
		if err := create(certFile, keyFile, want); err != nil {
			return "", "", fmt.Errorf("making a certificate: %w", err)
		}
	}
	return certFile, keyFile, nil
}

// template returns the certificate to make for these names.
func template(names []string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{organization}},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// A basicConstraints that says: not an authority.
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(strings.Trim(name, "[]")); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
			continue
		}
		ascii, err := idna.ToASCII(name)
		if err != nil {
			return nil, fmt.Errorf("certificate for %q: %w", name, err)
		}
		c.DNSNames = append(c.DNSNames, ascii)
	}
	return c, nil
}

// usable reports whether the files can stay. It returns an error if they must
// not be overwritten either.
func usable(certFile, keyFile string, want *x509.Certificate, now time.Time) (bool, error) {
	certPEM, err := os.ReadFile(certFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(keyFile); !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("%s is there without %s: move it away, or name both with -tls-cert and -tls-key", keyFile, filepath.Base(certFile))
		}
		return false, nil
	case err != nil:
		return false, err
	}
	have, err := parse(certPEM)
	if err != nil || !slices.Equal(have.Subject.Organization, want.Subject.Organization) {
		return false, fmt.Errorf("%s was not made by this server: move it away, or name it and its key with -tls-cert and -tls-key", certFile)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return false, nil // a crash came between the two
	}
	return sameNames(have, want) && !now.Before(have.NotBefore) && now.Add(renewal).Before(have.NotAfter), nil
}

func parse(certPEM []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}

func sameNames(a, b *x509.Certificate) bool {
	list := func(c *x509.Certificate) []string {
		names := slices.Clone(c.DNSNames)
		for _, ip := range c.IPAddresses {
			names = append(names, ip.String())
		}
		slices.Sort(names)
		return names
	}
	return slices.Equal(list(a), list(b))
}

// create makes a key and the certificate. The certificate is written first: it
// tells that the key beside it is one that may be replaced.
func create(certFile, keyFile string, c *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), crypto.Signer(key))
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(certFile, "CERTIFICATE", cert, 0o644); err != nil {
		return err
	}
	return write(keyFile, "PRIVATE KEY", private, 0o600)
}

// write replaces a file in one step, so that a crash leaves the old one or the
// new one.
func write(path, kind string, der []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // has mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	var text bytes.Buffer
	err = pem.Encode(&text, &pem.Block{Type: kind, Bytes: der})
	if err == nil {
		_, err = f.Write(text.Bytes())
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
