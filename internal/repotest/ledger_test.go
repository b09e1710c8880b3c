package repotest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// entry is one row of a conformance ledger.
type entry struct {
	line                         int
	id, role, level, requirement string
	status, shownBy              string
}

// columns is the heading that marks a table as part of the ledger.
var columns = []string{"id", "role", "level", "requirement", "status", "shown by"}

var (
	separatorCell = regexp.MustCompile(`^:?-{3,}:?$`)
	entryID       = regexp.MustCompile(`^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*-[0-9]+[a-z]?$`)
	reason        = regexp.MustCompile(`\pL{2,}.*\pL{2,}`)
)

// cells splits a table row; `\|` is a bar that does not separate.
func cells(line string) []string {
	line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|")
	const escaped = "\x00"
	parts := strings.Split(strings.ReplaceAll(line, `\|`, escaped), "|")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(strings.ReplaceAll(p, escaped, "|"))
	}
	return parts
}

// parseLedger reads the tables of one ledger file. Every table of the file
// must have the ledger's columns; text between tables is free, and fenced
// code is skipped.
func parseLedger(text string) ([]entry, error) {
	var entries []entry
	row, fenced := 0, false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if fenced || !strings.HasPrefix(strings.TrimSpace(line), "|") {
			row = 0
			continue
		}
		row++
		c := cells(line)
		switch {
		case row == 1 && !slices.Equal(c, columns):
			return nil, fmt.Errorf("line %d: columns %q, want %q", i+1, c, columns)
		case row == 1:
		case len(c) != len(columns):
			return nil, fmt.Errorf("line %d: %d cells, want %d", i+1, len(c), len(columns))
		case row == 2:
			if slices.ContainsFunc(c, func(s string) bool { return !separatorCell.MatchString(s) }) {
				return nil, fmt.Errorf("line %d: want the line of dashes below the heading", i+1)
			}
		default:
			entries = append(entries, entry{i + 1, c[0], c[1], c[2], c[3], c[4], c[5]})
		}
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("no rows")
	}
	return entries, nil
}

// tests holds the test functions of a tree, by folder.
type tests map[string][]string

// findTests collects test, fuzz and example functions, those behind a build
// tag included.
func findTests(tree []*source) tests {
	found := make(tests)
	for _, s := range tree {
		if !s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			if name := testName(d); name != "" {
				found[s.dir()] = append(found[s.dir()], name)
			}
		}
	}
	return found
}

// has says whether ref, PACKAGE.TestName with an optional /subtest, names a
// test function. PACKAGE is the folder of the test relative to the root, or as
// many of its last elements as make it the only one.
func (ts tests) has(ref string) bool {
	slash := strings.LastIndex(ref[:strings.IndexByte(ref+".", '.')], "/") + 1
	pkg, name, ok := strings.Cut(ref[slash:], ".")
	if !ok {
		return false
	}
	pkg = ref[:slash] + pkg
	name, _, _ = strings.Cut(name, "/")
	if names, ok := ts[pkg]; ok {
		return slices.Contains(names, name)
	}
	hits := 0
	for dir, names := range ts {
		if strings.HasSuffix(dir, "/"+pkg) && slices.Contains(names, name) {
			hits++
		}
	}
	return hits == 1
}

// references splits the last cell of a `yes` row.
func references(cell string) []string {
	var refs []string
	for ref := range strings.SplitSeq(cell, ",") {
		if ref = strings.Trim(strings.TrimSpace(ref), "`"); ref != "" {
			refs = append(refs, ref)
		}
	}
	return refs
}

// checkLedger lists what is wrong with the rows of one file.
func checkLedger(entries []entry, ts tests) []string {
	var found []string
	seen := make(map[string]int)
	for _, e := range entries {
		wrong := func(format string, args ...any) {
			found = append(found, fmt.Sprintf("line %d: %s: ", e.line, e.id)+fmt.Sprintf(format, args...))
		}
		if !entryID.MatchString(e.id) {
			wrong("malformed id")
		}
		if first := seen[e.id]; first != 0 {
			wrong("id of line %d used again", first)
		}
		seen[e.id] = e.line
		if !slices.Contains([]string{"C", "S", "B"}, e.role) {
			wrong("role %q, want C (client), S (server) or B (both)", e.role)
		}
		if level, _, _ := strings.Cut(e.level, " "); !slices.Contains([]string{"MUST", "SHOULD", "MAY", "practice", "choice"}, level) {
			wrong("level %q, want MUST, SHOULD, MAY, practice or choice", e.level)
		}
		if e.requirement == "" {
			wrong("no requirement")
		}
		switch e.status {
		case "yes":
			refs := references(e.shownBy)
			if len(refs) == 0 {
				wrong("yes without a test")
			}
			for _, ref := range refs {
				if !ts.has(ref) {
					wrong("test %s does not exist, or its package is ambiguous", ref)
				}
			}
		case "no", "n/a":
			if !reason.MatchString(e.shownBy) {
				wrong("%s without a reason", e.status)
			}
		default:
			wrong("status %q, want yes, no or n/a", e.status)
		}
	}
	return found
}

func TestRepositoryLedger(t *testing.T) {
	t.Parallel()
	ts := findTests(sources(t))
	files, err := filepath.Glob(filepath.Join(root, "docs", "conformance", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if filepath.Base(name) == "README.md" {
			continue // explains the format
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rel := path.Join("docs", "conformance", filepath.Base(name))
		entries, err := parseLedger(string(text))
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			continue
		}
		for _, f := range checkLedger(entries, ts) {
			t.Errorf("%s: %s", rel, f)
		}
	}
}
