package config_test

import (
	"strings"
	"testing"

	"github.com/propolis-im/propolis/examples/server/internal/config"
)

func TestComponentSecret(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, content, want string }{
		{"a line", "a secret\n", "a secret"},
		{"without an end", "a=b", "a=b"},
		{"white space", " \t\r\n", ""},
		{"too long", strings.Repeat("x", 5<<10), ""},
	} {
		got, err := config.Component{Domain: "chat.example", SecretFile: writeFile(t, tt.content)}.Secret()
		if string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, error %v, want %q", tt.name, got, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: the error tells the secret: %v", tt.name, err)
		}
	}
	if _, err := (config.Component{Domain: "chat.example", SecretFile: "/nonexistent/x"}).Secret(); err == nil {
		t.Error("no file, and no error")
	}
}
