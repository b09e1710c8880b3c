package repotest

import (
	"strings"
	"testing"
)

const heading = "| id | role | level | requirement | status | shown by |\n|---|---|---|---|---|---|\n"

func TestParseLedger(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		rows       int
		err        string
	}{
		{"one row", heading + "| A-1 | S | MUST | r | yes | a.TestX |", 1, ""},
		{"two tables with text between", "# A\n\n" + heading + "| A-1 | S | MUST | r | no | w |\n\ntext\n\n" + heading + "| A-2 | S | MUST | r | no | w |\n", 2, ""},
		{"escaped bar", heading + `| A-1 | S | MUST | a \| b | no | w |`, 1, ""},
		{"table in fenced code", "```\n| x |\n```\n" + heading + "| A-1 | S | MUST | r | no | w |", 1, ""},
		{"no table", "# nothing", 0, "no rows"},
		{"heading only", heading, 0, "no rows"},
		{"other columns", "| id | text |\n|---|---|\n| A-1 | x |", 0, "line 1: columns"},
		{"cell missing", heading + "| A-1 | S | MUST | r | no |", 0, "line 3: 5 cells"},
		{"bar not escaped", heading + "| A-1 | S | MUST | a | b | no | w |", 0, "line 3: 7 cells"},
		{"no line of dashes", "| id | role | level | requirement | status | shown by |\n| A-1 | S | MUST | r | no | w |", 0, "line 2: want the line of dashes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries, err := parseLedger(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || len(entries) != tt.rows {
				t.Fatalf("%d rows, error %v; want %d rows", len(entries), err, tt.rows)
			}
		})
	}
}

func TestParseLedgerKeepsBars(t *testing.T) {
	t.Parallel()
	entries, err := parseLedger(heading + `| A-1 | S | MUST | a \| b | no | not yet |`)
	if err != nil {
		t.Fatal(err)
	}
	want := entry{3, "A-1", "S", "MUST", "a | b", "no", "not yet"}
	if entries[0] != want {
		t.Errorf("got %+v, want %+v", entries[0], want)
	}
}

// known is the set of tests the tables below refer to.
func known(t *testing.T) tests {
	t.Helper()
	const text = `package x
import "testing"
func TestMain(*testing.M) {}
func TestX(*testing.T) {}
	func FuzzX(*testing.F) {}
func ExampleNew() {}
func Testify(*testing.T) {}
func helper() {}
type s struct{}
func (s) TestMethod() {}
`
	return findTests([]*source{
		mustParse(t, "mux/mux_test.go", text),
		mustParse(t, "mux/muxtest/run_test.go", text),
		mustParse(t, "roster/storetest/run_test.go", text),
		mustParse(t, "presence/storetest/run_test.go", text),
		mustParse(t, "examples/server/clienttest/slixmpp_test.go", text),
		mustParse(t, "server/server.go", text), // not a test file
	})
}

func TestHas(t *testing.T) {
	t.Parallel()
	ts := known(t)
	tests := []struct {
		ref  string
		want bool
	}{
		{"mux.TestX", true},
		{"mux.TestX/some_case", true},
		{"mux.FuzzX", true},
		{"mux.ExampleNew", true},
		{"mux/muxtest.TestX", true},
		{"muxtest.TestX", true},
		{"clienttest.TestX", true},
		{"server/clienttest.TestX/a.b", true},
		{"roster/storetest.TestX", true},
		{"storetest.TestX", false}, // ambiguous
		{"mux.TestY", false},
		{"mux.TestMain", false},
		{"mux.Testify", false},
		{"mux.TestMethod", false},
		{"mux.helper", false},
		{"server.TestX", false},
		{"ux.TestX", false},
		{"TestX", false},
		{"", false},
		{"mux", false},
		{"mux/muxtest", false},
	}
	for _, tt := range tests {
		t.Run(tt.ref, func(t *testing.T) {
			t.Parallel()
			if got := ts.has(tt.ref); got != tt.want {
				t.Errorf("has(%q) = %t, want %t", tt.ref, got, tt.want)
			}
		})
	}
}

func TestCheckLedger(t *testing.T) {
	t.Parallel()
	ts := known(t)
	tests := []struct {
		name, rows, want string
	}{
		{"yes", "| ST-1 | S | MUST | r | yes | mux.TestX |", ""},
		{"several tests in code spans", "| ST-1 | B | MUST | r | yes | `mux.TestX`, `muxtest.FuzzX` |", ""},
		{"no with reason", "| EXT-S-1 | C | SHOULD | r | no | planned with archive |", ""},
		{"not applicable", "| LC-1a | C | MUST if done | r | n/a | servers only |", ""},
		{"yes without test", "| ST-1 | S | MUST | r | yes | |", "yes without a test"},
		{"yes with prose", "| ST-1 | S | MUST | r | yes | see the code |", "does not exist"},
		{"test gone", "| ST-1 | S | MUST | r | yes | mux.TestX, mux.TestGone |", "test mux.TestGone does not exist"},
		{"no without reason", "| ST-1 | S | MUST | r | no | - |", "no without a reason"},
		{"n/a without reason", "| ST-1 | S | MUST | r | n/a | |", "n/a without a reason"},
		{"other status", "| ST-1 | S | MUST | r | partly | mux.TestX |", `status "partly"`},
		{"other role", "| ST-1 | X | MUST | r | yes | mux.TestX |", `role "X"`},
		{"other level", "| ST-1 | S | must | r | yes | mux.TestX |", `level "must"`},
		{"id without number", "| ST | S | MUST | r | yes | mux.TestX |", "malformed id"},
		{"no requirement", "| ST-1 | S | MUST | | yes | mux.TestX |", "no requirement"},
		{"id twice", "| ST-1 | S | MUST | r | yes | mux.TestX |\n| ST-1 | S | MUST | r | yes | mux.TestX |", "id of line 3 used again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries, err := parseLedger(heading + tt.rows)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(checkLedger(entries, ts), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
		})
	}
}
