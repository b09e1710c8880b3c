package sqlstore

import (
	"encoding/json"
	"slices"
	"testing"
)

// FuzzGroups compares the short way with the long one.
func FuzzGroups(f *testing.F) {
	for _, seed := range [][2]string{{"Friends", "Work"}, {"", ""}, {`a","b`, `\`}, {"<&>", "\n\x00"}, {"[", "]"}, {"é", "\xff"}, {`"`, ","}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, groups := range [][]string{{a}, {a, b}, {b, a, b}} {
			text, err := json.Marshal(groups)
			must(t, err)
			var want []string
			must(t, json.Unmarshal(text, &want))
			got, err := parseGroups(string(text))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, error %v, want %q", text, got, err, want)
			}
		}
	})
}

func TestGroupsByOthers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{"": nil, "[]": nil, `[ "a" , "b" ]`: {"a", "b"}, `["a", "b"]`: {"a", "b"}} {
		if got, err := parseGroups(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, error %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"a", `["]`, `"a"`, `[1]`} {
		if got, err := parseGroups(text); err == nil {
			t.Errorf("%s: got %q", text, got)
		}
	}
}
