package repotest

import (
	"go/ast"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxLines bounds a file: one that grows beyond has more than one reason to
// change.
const maxLines = 600

// selectors calls visit for every use of name.member where name is an import
// of the file.
func selectors(s *source, in ast.Node, visit func(n ast.Node, importPath, member string)) {
	imports := s.imports()
	ast.Inspect(in, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && imports[id.Name] != "" {
			visit(n, imports[id.Name], sel.Sel.Name)
		}
		return true
	})
}

// prints lists where library code writes to the standard streams on its own:
// a library logs through the *slog.Logger it was given.
func prints(s *source) []string {
	if s.test() || s.command() {
		return nil
	}
	var found []string
	selectors(s, s.file, func(n ast.Node, importPath, member string) {
		if importPath == "fmt" && strings.HasPrefix(member, "Print") || importPath == "log" {
			found = append(found, s.at(n)+": "+importPath+"."+member+" in library code; use the Logger of the options")
		}
	})
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok && (id.Name == "println" || id.Name == "print") {
				found = append(found, s.at(n)+": builtin "+id.Name)
			}
		}
		return true
	})
	return found
}

// inits lists init functions: an import must not have effects.
func inits(s *source) []string {
	var found []string
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			found = append(found, s.at(f)+": init function; register explicitly")
		}
	}
	return found
}

// sleeps lists the uses of time.Sleep in test files. Allowed is only the fake
// clock: a function that itself speaks of testing/synctest advances the clock
// of its bubble with Sleep and loses no real time.
func sleeps(s *source) []string {
	if !s.test() {
		return nil
	}
	var found []string
	for _, d := range s.file.Decls {
		var naps []ast.Node
		bubble := false
		selectors(s, d, func(n ast.Node, importPath, member string) {
			switch {
			case importPath == "testing/synctest":
				bubble = true
			case importPath == "time" && member == "Sleep":
				naps = append(naps, n)
			}
		})
		if bubble {
			continue
		}
		for _, n := range naps {
			found = append(found, s.at(n)+": time.Sleep in a test; use testing/synctest or wait for the event")
		}
	}
	return found
}

// tooLong reports a file of more than [maxLines] lines.
func tooLong(s *source) []string {
	if s.lines <= maxLines {
		return nil
	}
	return []string{s.path + " has " + strconv.Itoa(s.lines) + " lines, more than " + strconv.Itoa(maxLines) + "; split it by reason to change"}
}

func TestStyleRules(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		rule func(*source) []string
		file string
		text string
		want int
	}{
		{"print in library", prints, "a/a.go", `package a; import "fmt"; func f() { fmt.Println(1); fmt.Printf("") }`, 2},
		{"renamed fmt", prints, "a/a.go", `package a; import out "fmt"; func f() { out.Print(1) }`, 1},
		{"log in library", prints, "a/a.go", `package a; import "log"; func f() { log.Print(1) }`, 1},
		{"builtin println", prints, "a/a.go", `package a; func f() { println(1) }`, 1},
		{"print in command", prints, "a/a.go", `package main; import "fmt"; func main() { fmt.Println(1) }`, 0},
		{"print in test", prints, "a/a_test.go", `package a; import "fmt"; func f() { fmt.Println(1) }`, 0},
		{"fprint and slog", prints, "a/a.go", `package a; import ("fmt"; "io"; "log/slog"); func f(w io.Writer) { fmt.Fprintln(w); slog.New(nil) }`, 0},
		{"init", inits, "a/a.go", `package a; func init() {}`, 1},
		{"method called init", inits, "a/a.go", `package a; type t int; func (t) init() {}`, 0},
		{"sleep in test", sleeps, "a/a_test.go", `package a; import "time"; func f() { time.Sleep(1) }`, 1},
		{"sleep in a bubble", sleeps, "a/a_test.go", `package a; import ("testing"; "testing/synctest"; "time"); func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }`, 0},
		{"sleep beside a bubble", sleeps, "a/a_test.go", `package a; import ("testing/synctest"; "time"); func f() { synctest.Wait() }; func g() { time.Sleep(1) }`, 1},
		{"long file", tooLong, "a/a.go", "package a\n" + strings.Repeat("\n", maxLines), 1},
		{"longest file", tooLong, "a/a.go", "package a\n" + strings.Repeat("\n", maxLines-1), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.rule(mustParse(t, tt.file, tt.text)); len(got) != tt.want {
				t.Errorf("found %q, want %d findings", got, tt.want)
			}
		})
	}
}

func TestRepositoryStyle(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, rule := range []func(*source) []string{prints, inits, sleeps, tooLong} {
			report(t, rule(s))
		}
	}
}

var cited = regexp.MustCompile(`\b(XEP-\d{4}|RFC \d{4})\b`)

// undocumented lists the packages of a tree without a package comment, and the
// extensions whose comment does not name the document they implement.
func undocumented(tree []*source) []string {
	docs := make(map[string]string)
	for _, s := range tree {
		if s.test() {
			continue
		}
		text := docs[s.dir()]
		if s.file.Doc != nil {
			text += s.file.Doc.Text()
		}
		docs[s.dir()] = text
	}
	var found []string
	for dir, text := range docs {
		switch {
		case strings.TrimSpace(text) == "":
			found = append(found, dir+": no package comment")
		case dir != "." && layerOf(dir) == extensionLayer && dir == family(dir) && !cited.MatchString(text):
			found = append(found, dir+": the package comment names no XEP or RFC")
		}
	}
	slices.Sort(found)
	return found
}

func TestUndocumented(t *testing.T) {
	t.Parallel()
	tree := []*source{
		mustParse(t, "mux/doc.go", "// Package mux is the kernel.\npackage mux"),
		mustParse(t, "mux/mux.go", "package mux"),
		mustParse(t, "csi/csi.go", "package csi"),
		mustParse(t, "csi/csi_test.go", "// Package csi_test does not count.\npackage csi_test"),
		mustParse(t, "roster/roster.go", "// Package roster keeps contacts.\npackage roster"),
		mustParse(t, "ping/ping.go", "// Package ping is XEP-0199.\npackage ping"),
		mustParse(t, "roster/storetest/s.go", "// Package storetest checks a store.\npackage storetest"),
	}
	got := undocumented(tree)
	want := []string{"csi: no package comment", "roster: the package comment names no XEP or RFC"}
	if !slices.Equal(got, want) {
		t.Errorf("undocumented = %q, want %q", got, want)
	}
}

func TestRepositoryPackageComments(t *testing.T) {
	t.Parallel()
	report(t, undocumented(sources(t)))
}
