package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for _, tt := range []struct {
		name, args string
		environ    []string
		status     int
		stderr     string
	}{
		{"unknown flag", "-colour red", nil, 2, "server: flag provided but not defined: -colour\n"},
		{"wrong value", "-limits 1", nil, 2, "server: -limits: \"1\": want on or off\n"},
		{"wrong variable", "", []string{"PROPOLIS_X=1"}, 2, "server: PROPOLIS_X in the environment is no setting; -help lists them\n"},
		{"unknown command", "serve", nil, 2, "server: unknown command \"serve\"; -help lists them\n"},
		{"PostgreSQL", "-store postgres://db/x", nil, 1, "server: -store: PostgreSQL is not available yet\n"},
		{"dns", "dns", nil, 1, "server: dns: not available yet\n"},
		{"secret", "secret", nil, 2, "server: secret: want rotate, replace or tokens\n"},
		{"unknown secret", "secret tell", nil, 2, "server: secret: want rotate, replace or tokens\n"},
		{"secret in memory", "-store memory secret tokens", nil, 1, "server: " + errNoStore.Error() + "\n"},
		{"user", "user", nil, 2, "user: want add, passwd, del, disable, enable, list, clients, revoke, pending, approve or deny\n"},
		{"user with flags around", "-domain example.org user -limits off add", nil, 2, "user: add wants one account, NAME@DOMAIN\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			args := append([]string{"-data", data}, strings.Fields(tt.args)...)
			status := command(t.Context(), args, tt.environ, os.Stdin, &stdout, &stderr)
			if status != tt.status || stderr.String() != tt.stderr || stdout.Len() != 0 {
				t.Errorf("status %d, stdout %q, stderr %q; want %d, nothing, %q", status, &stdout, &stderr, tt.status, tt.stderr)
			}
		})
	}
}

// TestOperating: what operators read speaks of every command and every option.
func TestOperating(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeHelp(&out); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^  (-[a-z0-9-]+) `).FindAllStringSubmatch(out.String(), -1) {
		names = append(names, "`"+m[1])
	}
	if len(names) < 20 {
		t.Errorf("options are %q", names)
	}
	commands := 0
	for _, m := range regexp.MustCompile(`server \[FLAG\]\.\.\. ([a-z]+)(?: ([a-z|]+))?`).FindAllStringSubmatch(out.String(), -1) {
		for verb := range strings.SplitSeq(m[2], "|") {
			names = append(names, strings.TrimSpace(m[1]+" "+verb))
			commands++
		}
	}
	if commands < 20 {
		t.Errorf("%d commands in %q", commands, names)
	}
	for _, name := range names {
		if !regexp.MustCompile(regexp.QuoteMeta(name) + "(?:[` \n:]|$)").Match(page) {
			t.Errorf("nothing about %s", name)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-help"}, {"-h"}, {"user", "-help"}} {
		var stdout, stderr bytes.Buffer
		if status := command(t.Context(), args, nil, os.Stdin, &stdout, &stderr); status != 0 || stderr.Len() != 0 {
			t.Errorf("%q: status %d, stderr %q", args, status, &stderr)
		}
		for _, want := range []string{"user add NAME@DOMAIN", "invite list              list the open invitations", "-log-level LEVEL"} {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("%q: no %q in\n%s", args, want, &stdout)
			}
		}
	}
}
