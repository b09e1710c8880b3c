package repotest

import (
	"go/ast"
	"strings"
	"unicode"
	"unicode/utf8"
)

// testName returns the name of a declaration that go test runs, or "".
func testName(d ast.Decl) string {
	f, ok := d.(*ast.FuncDecl)
	if !ok || f.Recv != nil {
		return ""
	}
	name := f.Name.Name
	if name == "TestMain" {
		return ""
	}
	for _, prefix := range []string{"Test", "Fuzz", "Example"} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		// go test ignores names like Testify: a lower-case letter may not
		// follow the prefix.
		if r, _ := utf8.DecodeRuneInString(rest); rest == "" || !unicode.IsLower(r) {
			return name
		}
	}
	return ""
}
