package main

import (
	"bytes"
	"os"
	"path/filepath"
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
