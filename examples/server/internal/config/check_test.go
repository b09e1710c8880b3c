package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/examples/server/internal/config"
)

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"localhost:5222": true, "LOCALHOST:0": true, "127.0.0.1:1": true, "127.255.0.9:1": true,
		"[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		":5222": false, "0.0.0.0:1": false, "[::]:1": false, "192.168.0.1:1": false, "localhost.example:1": false,
		"a.localhost:1": false, "[fe80::1%lo]:1": false, "127.1:1": false, "": false, "off": false, "localhost": false,
	} {
		if got := config.IsLoopback(address); got != want {
			t.Errorf("IsLoopback(%q) = %t, want %t", address, got, want)
		}
	}
}

func load(t *testing.T, args ...string) *config.Config {
	t.Helper()
	c, _, err := config.Load(args, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLocalClients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want bool
	}{
		{"default", nil, true},
		{"public", []string{"-c2s", ":5222", "-c2s-tls", "192.0.2.1:5223"}, false},
		{"one of both", []string{"-c2s", "off", "-c2s-tls", "localhost:0"}, true},
		{"none", []string{"-c2s", "off", "-c2s-tls", "off"}, false},
	} {
		if got := load(t, tt.args...).LocalClients(); got != tt.want {
			t.Errorf("%s: LocalClients = %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "memory"} {
		if err := load(t, "-store", store).Unavailable(); err != nil {
			t.Errorf("%s: %v", store, err)
		}
	}
	err := load(t, "-store", "postgresql://u:secret@db/x").Unavailable()
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("PostgreSQL: %v, want an error without the address", err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	private := filepath.Join(t.TempDir(), "data")
	if err := load(t, "-data", private).MakeData(); err != nil {
		t.Fatal(err)
	}
	readable := t.TempDir()
	if err := os.Chmod(readable, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string // words of each line
	}{
		{"default", nil, nil},
		{"no limits on loopback", []string{"-limits", "off"}, nil},
		{"all off", []string{"-http", "off", "-c2s", "off"}, nil},
		{"public", []string{"-c2s", ":5222", "-limits", "off"}, []string{"-contact", "-limits"}},
		{"reachable", []string{"-c2s", ":5222", "-registration", "closed", "-contact", "abuse=mailto:a@example.org", "-contact", "admin=mailto:a@example.org"}, nil},
		{"only one to reach", []string{"-c2s", ":5222", "-registration", "closed", "-contact", "admin=mailto:a@example.org"}, []string{"-contact"}},
		{"challenge", []string{"-registration-challenge", "pow"}, nil},
		{"challenge for applicants", []string{"-registration-challenge", "pow", "-registration", "approve"}, nil},
		{"challenge for nobody", []string{"-registration-challenge", "pow", "-registration", "invite"}, []string{"-registration-challenge"}},
		{"federation", []string{"-s2s", "localhost:5269"}, []string{"-s2s"}},
		{"web", []string{"-http", "localhost:8080", "-registration", "closed"}, nil},
		{"components", []string{"-component", "localhost:5347", "-component-secret", "chat.example.net=x"}, nil},
		{"components from outside", []string{"-component", ":5347", "-component-secret", "chat.example.net=x", "-registration", "closed"}, []string{"-component", "-contact"}},
		{"readable data", []string{"-data", readable}, []string{"mode 0755"}},
	} {
		got := load(t, append([]string{"-data", private}, tt.args...)...).Warnings()
		if len(got) != len(tt.want) {
			t.Errorf("%s: %q, want %d lines", tt.name, got, len(tt.want))
			continue
		}
		for i, word := range tt.want {
			if !strings.Contains(got[i], word) {
				t.Errorf("%s: %q, want it to speak of %s", tt.name, got[i], word)
			}
		}
	}
}

func TestMakeData(t *testing.T) {
	t.Parallel()
	c := load(t, "-data", filepath.Join(t.TempDir(), "a", "b"))
	for range 2 {
		if err := c.MakeData(); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(c.Data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want mode 0700", info, err)
	}
	file := filepath.Join(c.Data, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := load(t, "-data", file).MakeData(); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestWriteHelp(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := config.WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, name := range []string{
		"domain", "data", "store", "c2s", "c2s-tls", "http", "http-url", "http-trusted-proxies", "s2s", "tls-cert", "tls-key",
		"component", "component-secret", "registration", "registration-challenge", "contact", "sasl-plain", "sasl-y-lenient", "limits", "config", "log-level",
	} {
		if !strings.Contains(text, "  -"+name+" ") {
			t.Errorf("-%s is missing in\n%s", name, text)
		}
	}
	if n := strings.Count(text, "no function yet"); n != 2 { // -store, -s2s
		t.Errorf("%d settings without function yet, want 2", n)
	}
	for line := range strings.Lines(text) {
		if len(line) > 81 {
			t.Errorf("%q is longer than a terminal is wide", line)
		}
	}
}
