package repotest

import (
	"strings"
	"testing"
)

// layer says where in the one-way chain of packages a folder stands.
type layer int

const (
	internalLayer layer = iota
	muxLayer
	extensionLayer
	negotiateLayer
	serverLayer
	assemblyLayer // modules of their own: sqlstore, web, examples
)

// family is the part of a folder's path that tells packages of a layer apart:
// carbons and carbons/storetest are one family.
func family(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// layerOf places a folder, given relative to the root of the repository.
func layerOf(dir string) layer {
	switch family(dir) {
	case "internal":
		return internalLayer
	case "mux":
		return muxLayer
	case "negotiate":
		return negotiateLayer
	case "server":
		return serverLayer
	case "sqlstore", "web", "examples":
		return assemblyLayer
	default:
		return extensionLayer
	}
}

// allowed decides whether the package in folder from may import the one in
// folder to:
//
//	examples → sqlstore, web, server → negotiate → mux → internal
//	sqlstore, web → extensions → mux
//
// A package may reach over a step of the chain and use its own family, never
// go against an arrow. What a package needs from a neighbour that it cannot
// import is a func field or an interface of its own, wired by the assembler.
func allowed(from, to string) bool {
	a, b := layerOf(from), layerOf(to)
	if family(from) == family(to) {
		return true
	}
	switch a {
	case internalLayer:
		return false
	case muxLayer:
		return b == internalLayer
	case extensionLayer:
		return b == internalLayer || b == muxLayer
	case negotiateLayer:
		return b == internalLayer || b == muxLayer
	case serverLayer:
		return b == internalLayer || b == muxLayer || b == negotiateLayer
	default:
		return family(from) == "examples" || b != assemblyLayer
	}
}

// wrongImports lists what a file imports against the direction.
func wrongImports(s *source) []string {
	var found []string
	for _, spec := range s.file.Imports {
		to, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), modulePath+"/")
		if ok && !allowed(s.dir(), to) {
			found = append(found, s.at(spec)+": "+s.dir()+" must not import "+to)
		}
	}
	return found
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		want     bool
	}{
		{"internal/xmlscan", "internal/wire", true},
		{"internal/xmlscan", "mux", false},
		{"mux", "internal/xmlscan", true},
		{"mux/muxtest", "mux", true},
		{"mux", "carbons", false},
		{"mux", "negotiate", false},
		{"mux", "server", false},
		{"carbons", "mux", true},
		{"carbons", "internal/wire", true},
		{"carbons", "csi", false},
		{"carbons", "negotiate", false},
		{"carbons", "server", false},
		{"roster/storetest", "roster", true},
		{"roster/storetest", "presence", false},
		{"negotiate", "mux", true},
		{"negotiate", "server", false},
		{"negotiate", "carbons", false},
		{"server", "negotiate", true},
		{"server", "carbons", false},
		{"server", "examples/server", false},
		{"sqlstore", "roster", true},
		{"sqlstore", "examples/server", false},
		{"sqlstore", "web/signup", false},
		{"web/signup", "register", true},
		{"web/signup", "sqlstore", false},
		{"register", "web/signup", false},
		{"examples/server", "web/signup", true},
		{"examples/server", "sqlstore", true},
		{"examples/server", "carbons", true},
	}
	for _, tt := range tests {
		t.Run(tt.from+" to "+tt.to, func(t *testing.T) {
			t.Parallel()
			if got := allowed(tt.from, tt.to); got != tt.want {
				t.Errorf("allowed = %t, want %t", got, tt.want)
			}
		})
	}
}

func TestWrongImports(t *testing.T) {
	t.Parallel()
	s := mustParse(t, "carbons/carbons.go", `package carbons

import (
	"fmt"

	"`+modulePath+`/csi"
	"`+modulePath+`/mux"
)
`)
	got := wrongImports(s)
	want := "carbons/carbons.go:6: carbons must not import csi"
	if len(got) != 1 || got[0] != want {
		t.Errorf("wrongImports = %q, want %q alone", got, want)
	}
}

// TestRepositoryImports leaves out test files: an external test may put
// neighbours together.
func TestRepositoryImports(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !s.test() {
			report(t, wrongImports(s))
		}
	}
}
