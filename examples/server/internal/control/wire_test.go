package control

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

var discard = slog.New(slog.DiscardHandler)

func TestParseRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, line string
		want       request
		ok         bool
	}{
		{"add", `{"op":"add","account":"a@b","password":"\u00e5\n"}`, request{Op: "add", Account: "a@b", Password: "å\n"}, true},
		{"passwd", ` {"password":"x","op":"passwd","account":"a@b"} `, request{Op: "passwd", Account: "a@b", Password: "x"}, true},
		{"remove", `{"op":"remove","account":"a@b"}`, request{Op: "remove", Account: "a@b"}, true},
		{"clients", `{"op":"clients","account":"a@b"}`, request{Op: "clients", Account: "a@b"}, true},
		{"revoke", `{"op":"revoke","account":"a@b","client":"x"}`, request{Op: "revoke", Account: "a@b", Client: "x"}, true},
		{"revoke without client", `{"op":"revoke","account":"a@b"}`, request{}, false},
		{"clients with client", `{"op":"clients","account":"a@b","client":"x"}`, request{}, false},
		{"disable", `{"op":"disable","account":"a@b"}`, request{Op: "disable", Account: "a@b"}, true},
		{"enable without account", `{"op":"enable"}`, request{}, false},
		{"list", `{"op":"list"}`, request{Op: "list"}, true},
		{"nothing", ``, request{}, false},
		{"no object", `"add"`, request{}, false},
		{"null", `null`, request{}, false},
		{"unknown member", `{"op":"list","x":1}`, request{}, false},
		{"two values", `{"op":"list"}{"op":"list"}`, request{}, false},
		{"rubbish behind", `{"op":"list"}x`, request{}, false},
		{"no operation", `{"account":"a@b"}`, request{}, false},
		{"add without password", `{"op":"add","account":"a@b"}`, request{}, false},
		{"remove with password", `{"op":"remove","account":"a@b","password":"x"}`, request{}, false},
		{"list with account", `{"op":"list","account":"a@b"}`, request{}, false},
		{"wrong type", `{"op":"remove","account":1}`, request{}, false},
		{"not UTF-8", "{\"op\":\"remove\",\"account\":\"\xff\"}", request{}, false},
	} {
		got, err := parseRequest([]byte(tt.line))
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %+v, %v; want %+v, success %t", tt.name, got, err, tt.want, tt.ok)
		}
		if err != nil && strings.Contains(err.Error(), "a@b") {
			t.Errorf("%s: %v quotes the request", tt.name, err)
		}
	}
}

// FuzzParseRequest: what is accepted is written and read again unchanged, in
// one line.
func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{
		`{"op":"add","account":"alice@example.org","password":"secret"}`, `{"op":"list"}`, `{"op":"remove","account":"\ud800"}`,
		`{"OP":"list"}`, `[]`, `{"op":"passwd","account":"\n","password":"\u2028<"}`, "{\"op\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseRequest(line)
		if err != nil {
			if r != (request{}) {
				t.Errorf("%+v with error %v", r, err)
			}
			return
		}
		written, err := appendLine(r)
		if err != nil {
			return // too long
		}
		if bytes.IndexByte(written, '\n') != len(written)-1 {
			t.Errorf("%q is not one line", written)
		}
		if again, err := parseRequest(written[:len(written)-1]); err != nil || again != r {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
