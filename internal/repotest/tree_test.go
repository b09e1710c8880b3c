package repotest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// modulePath is the import path of the root module; the nested modules are
// folders of it and have import paths to match.
const modulePath = "github.com/propolis-im/propolis"

// source is one parsed Go file of the repository.
type source struct {
	path  string // slash separated, relative to the root of the repository
	text  []byte
	set   *token.FileSet
	file  *ast.File
	lines int
}

func (s *source) dir() string   { return path.Dir(s.path) }
func (s *source) test() bool    { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) command() bool { return s.file.Name.Name == "main" }

// at names the place of a node the way a compiler does.
func (s *source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}

// imports returns the import paths of the file by the name they have in it.
func (s *source) imports() map[string]string {
	names := make(map[string]string, len(s.file.Imports))
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser accepts string literals only
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	return names
}

// parseSource parses one file; name is its path relative to the root.
func parseSource(name string, text []byte) (*source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	lines := strings.Count(string(text), "\n")
	return &source{path: name, text: text, set: set, file: file, lines: lines}, nil
}

// mustParse is parseSource for the literals of a test table.
func mustParse(t *testing.T, name, text string) *source {
	t.Helper()
	s, err := parseSource(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// root is the repository seen from this folder, where go test runs its tests.
var root = filepath.Join("..", "..")

// readTree parses every Go file of every module once for all tests.
var readTree = sync.OnceValues(func() ([]*source, error) {
	var tree []*source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && skipped(d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		s, err := parseSource(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		tree = append(tree, s)
		return nil
	})
	return tree, err
})

// skipped are the folders the go command does not look into either, and those
// that programs write to.
func skipped(dir string) bool {
	return strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_") ||
		dir == "testdata" || dir == "vendor" || dir == "node_modules" || dir == "propolis-data"
}

func sources(t *testing.T) []*source {
	t.Helper()
	tree, err := readTree()
	if err != nil {
		t.Fatalf("reading the repository: %v", err)
	}
	if len(tree) < 10 {
		t.Fatalf("found %d Go files only: is %s the root of the repository?", len(tree), root)
	}
	return tree
}

// report fails the test once for every finding.
func report(t *testing.T, findings []string) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}
