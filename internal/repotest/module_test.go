package repotest

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Embedders inherit what the root module requires, so that list is closed.
// The second list is for tests alone: no package that others import may use
// one of them.
var (
	requirable = []string{"mellium.im/", "golang.org/x/"}
	testOnly   = []string{
		"github.com/stretchr/testify",
		"github.com/xdg-go/", // SCRAM by other hands, to test ours against
		// required by testify
		"github.com/davecgh/go-spew", "github.com/pmezard/go-difflib", "github.com/stretchr/objx",
		"gopkg.in/yaml.v3", "go.yaml.in/yaml/v3",
	}
)

func hasPrefixOf(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func TestRepositoryRequirements(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != modulePath {
		t.Fatalf("module %s, want %s", mod.Module.Path, modulePath)
	}
	if len(mod.Require) == 0 {
		t.Error("no requirements found, though the module stands on mellium.im/xmpp")
	}
	for _, r := range mod.Require {
		if !hasPrefixOf(r.Path, requirable) && !hasPrefixOf(r.Path, testOnly) {
			t.Errorf("go.mod requires %s, which every user of the library would inherit", r.Path)
		}
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: users of the library do not get that", r.Old.Path)
	}
}

// testLibraries lists the imports of a file that only tests may have.
func testLibraries(s *source) []string {
	var found []string
	for _, spec := range s.file.Imports {
		if p := strings.Trim(spec.Path.Value, `"`); hasPrefixOf(p, testOnly) {
			found = append(found, s.at(spec)+": "+p+" is for tests only")
		}
	}
	return found
}

func TestTestLibraries(t *testing.T) {
	t.Parallel()
	const text = "package a\nimport \"github.com/stretchr/testify/assert\"\nimport \"golang.org/x/net/idna\""
	got := testLibraries(mustParse(t, "a/a.go", text))
	want := []string{"a/a.go:2: github.com/stretchr/testify/assert is for tests only"}
	if !slices.Equal(got, want) {
		t.Errorf("testLibraries = %q, want %q", got, want)
	}
}

func TestRepositoryTestLibraries(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !s.test() && layerOf(s.dir()) != assemblyLayer {
			report(t, testLibraries(s))
		}
	}
}
