package repotest

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// programs are those that somebody might have written who wants a part of this
// library: by folder, the extensions they have and how many lines of Go they may be.
var programs = []struct {
	dir        string
	extensions []string
	lines      int
}{
	{"examples/embed", []string{"carbons", "smacks"}, 150},
	{"examples/sleeper", []string{"csi"}, 150},
	{"examples/mirror", []string{"carbons"}, 150},
	{"examples/resumebot", []string{"smacks"}, 150},
}

// listed is what go list says about a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// goCommand runs the go command as in a checkout of one module.
func goCommand(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = exit.Stderr
		}
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// dependencies are all packages that one is built from, itself included.
func dependencies(t *testing.T, dir string) []listed {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(goCommand(t, dir, "list", "-deps", "-json=ImportPath,Standard,Imports", "."))))
	var all []listed
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// heavy are packages of the standard library that have no place in a program that
// speaks XMPP alone. mellium.im/xmpp brings net/http: its package dial, with which
// clients find their server, can look for a WebSocket in /.well-known/host-meta
// (XEP-0156).
var heavy = []string{"database/", "html/", "net/http", "net/rpc", "net/smtp", "plugin", "testing", "go/"}

// misplaced lists what a program with these extensions should not be built from.
func misplaced(all []listed, program string, extensions []string) []string {
	var found []string
	for _, p := range all {
		ours, own := strings.CutPrefix(p.ImportPath, modulePath+"/")
		switch {
		case own:
			f := family(ours)
			if ours != program && f != "mux" && f != "negotiate" && f != "internal" && !slices.Contains(extensions, ours) {
				found = append(found, p.ImportPath)
			}
		case !p.Standard && !hasPrefixOf(p.ImportPath, requirable):
			found = append(found, p.ImportPath)
		}
		if p.Standard || strings.HasPrefix(p.ImportPath, "mellium.im/") {
			continue
		}
		for _, i := range p.Imports {
			if hasPrefixOf(i, heavy) {
				found = append(found, i+" in "+p.ImportPath)
			}
		}
	}
	return found
}

func TestMisplaced(t *testing.T) {
	t.Parallel()
	const program = "examples/tiny"
	all := []listed{
		{ImportPath: "net/http", Standard: true, Imports: []string{"net/http/internal"}},
		{ImportPath: "mellium.im/xmpp/internal/discover", Imports: []string{"net/http"}},
		{ImportPath: "golang.org/x/text/runes"},
		{ImportPath: modulePath + "/internal/xmlscan"},
		{ImportPath: modulePath + "/mux", Imports: []string{"html/template"}},
		{ImportPath: modulePath + "/csi"},
		{ImportPath: modulePath + "/smacks"},
		{ImportPath: modulePath + "/sqlstore", Imports: []string{"database/sql"}},
		{ImportPath: "modernc.org/sqlite"},
		{ImportPath: modulePath + "/" + program, Imports: []string{"net"}},
	}
	got := misplaced(all, program, []string{"smacks"})
	want := []string{"html/template in " + modulePath + "/mux", modulePath + "/csi", modulePath + "/sqlstore",
		"database/sql in " + modulePath + "/sqlstore", "modernc.org/sqlite"}
	if !slices.Equal(got, want) {
		t.Errorf("misplaced = %q, want %q", got, want)
	}
}

// TestRepositoryPrograms: a program gets what it asks for and nothing else: no
// database, nothing of the web but what mellium.im/xmpp brings, and of this library
// the extensions it names and what they all stand on.
func TestRepositoryPrograms(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		t.Run(p.dir, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(root, filepath.FromSlash(p.dir))
			goCommand(t, dir, "build", "-o", os.DevNull, ".")
			all := dependencies(t, dir)
			report(t, misplaced(all, p.dir, p.extensions))
			for _, x := range p.extensions {
				if !slices.ContainsFunc(all, func(l listed) bool { return l.ImportPath == modulePath+"/"+x }) {
					t.Errorf("it does without %s", x)
				}
			}
			lines := 0
			for _, s := range sources(t) {
				if s.dir() == p.dir && !s.test() {
					lines += s.lines
				}
			}
			if lines == 0 || lines >= p.lines {
				t.Errorf("it has %d lines, want less than %d", lines, p.lines)
			}
		})
	}
}
