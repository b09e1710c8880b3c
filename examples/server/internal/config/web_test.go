package config_test

import "testing"

// TestWebURL: links to the pages are for those who can open them.
func TestWebURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		args     []string
		listener string
		want     string
	}{
		{"trial", nil, "127.0.0.1:5280", "http://localhost:5280"},
		{"trial, port of the system", []string{"-http", "[::1]:0"}, "[::1]:4711", "http://[::1]:4711"},
		{"port not known yet", []string{"-http", "127.0.0.1:0"}, "127.0.0.1:0", ""},
		{"server does not run", []string{"-http", ":443"}, "", ""},
		{"server does not run, address is set", []string{"-http-url", "https://example.org"}, "", "https://example.org"},
		{"off", []string{"-http", "off", "-http-url", "https://example.org"}, "", ""},
		{"behind a proxy that nobody has told of", []string{"-c2s", ":5222"}, "127.0.0.1:5280", ""},
		{"behind a proxy", []string{"-c2s", ":5222", "-http-url", "https://chat.example.org/"}, "127.0.0.1:5280", "https://chat.example.org"},
		{"public", []string{"-domain", "bücher.example", "-http", ":443"}, "[::]:443", "https://xn--bcher-kva.example"},
		{"public, other port", []string{"-domain", "example.org,example.net", "-http", ":8443"}, "[::]:8443", "https://example.org:8443"},
		{"address as domain", []string{"-domain", "[2001:db8::1]", "-http", ":8443"}, "[::]:8443", "https://[2001:db8::1]:8443"},
	} {
		if got := load(t, tt.args...).WebURL(tt.listener); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
