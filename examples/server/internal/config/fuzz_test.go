package config

import (
	"strings"
	"testing"
)

// FuzzParseFile: any file gives settings of known names, or an error of one
// line that names the file.
func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{"", "# x\n", "data = /a b # c\nlimits=off\r\n", "domain", "=", "config = a", "data=\ndata=", "contact=abuse=a:b\ncontact = admin=c:d sales=e:f", "\ufeffdata = x", "a\x00b = c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		entries, err := parseFile("FILE", content)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "FILE:") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		seen := make(map[string]bool)
		for _, e := range entries {
			if _, ok := find(e.setting.name); !ok || seen[e.setting.name] && !e.setting.repeatable() || e.setting.name == "config" {
				t.Errorf("setting %q", e.setting.name)
			}
			seen[e.setting.name] = true
			if strings.TrimSpace(e.value) != e.value || strings.Contains(e.value, "\n") {
				t.Errorf("value %q", e.value)
			}
			_ = e.setting.set(new(Config), e.value) // must not panic
		}
	})
}
