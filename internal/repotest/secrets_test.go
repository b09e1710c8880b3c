package repotest

import (
	"go/ast"
	"go/token"
	"slices"
	"testing"
)

// secretFolders hold code that compares what proves who somebody is.
var secretFolders = []string{"scram", "sasl2"}

// notSecret are functions that compare what no peer can try: lists of what is offered,
// and a client's own state. Salts everybody may know, too.
var notSecret = []string{"of", "keep"}

// hasty lists comparisons that end at the first difference, of octets or of strings
// that are made of octets: how long they take tells how much was right.
func hasty(s *source) []string {
	if s.test() || !slices.Contains(secretFolders, family(s.path)) {
		return nil
	}
	var found []string
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && slices.Contains(notSecret, f.Name.Name) {
			continue
		}
		salts := map[ast.Node]bool{}
		ast.Inspect(d, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 {
				if arg, ok := call.Args[0].(*ast.SelectorExpr); ok && arg.Sel.Name == "Salt" {
					salts[call.Fun] = true
				}
			}
			return true
		})
		selectors(s, d, func(n ast.Node, importPath, member string) {
			if !salts[n] && (importPath == "bytes" && (member == "Equal" || member == "Compare") ||
				importPath == "slices" && member == "Equal" || importPath == "reflect" && member == "DeepEqual") {
				found = append(found, s.at(n)+": "+importPath+"."+member+" where secrets are compared; use crypto/subtle or hmac.Equal")
			}
		})
		ast.Inspect(d, func(n ast.Node) bool {
			if b, ok := n.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) && converted(b.X) && converted(b.Y) {
				found = append(found, s.at(n)+": octets are compared as strings; use crypto/subtle or hmac.Equal")
			}
			return true
		})
	}
	return found
}

// converted reports whether an expression is string(x).
func converted(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "string"
}

func TestHastyRule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, text string
		want             int
	}{
		{"octets", "scram/a.go", `package a; import "bytes"; func f(a, b []byte) bool { return bytes.Equal(a, b) }`, 1},
		{"as strings", "sasl2/a.go", `package a; func f(a, b []byte) bool { return string(a) != string(b) }`, 1},
		{"a literal", "sasl2/a.go", `package a; func f(a []byte) bool { return string(a) == "x" }`, 0},
		{"salts", "scram/a.go", `package a; import "bytes"; type k struct{ Salt []byte }; func f(a k, b []byte) bool { return bytes.Equal(a.Salt, b) }`, 0},
		{"in constant time", "scram/a.go", `package a; import "crypto/subtle"; func f(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }`, 0},
		{"elsewhere", "roster/a.go", `package a; import "bytes"; func f(a, b []byte) bool { return bytes.Equal(a, b) }`, 0},
		{"in a test", "scram/a_test.go", `package a; import "bytes"; func f(a, b []byte) bool { return bytes.Equal(a, b) }`, 0},
	} {
		if got := hasty(mustParse(t, tt.file, tt.text)); len(got) != tt.want {
			t.Errorf("%s: found %q, want %d findings", tt.name, got, tt.want)
		}
	}
}

// TestConstantTime: no proof, key or token is compared so that the time tells how much
// of it was right.
func TestConstantTime(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, f := range hasty(s) {
			t.Error(f)
		}
	}
}
