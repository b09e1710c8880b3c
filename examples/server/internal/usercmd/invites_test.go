package usercmd

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/examples/server/internal/control"
)

func TestRunInvite(t *testing.T) {
	t.Parallel()
	const link = "xmpp:example.org?register;preauth=x\n"
	tests := []struct {
		args string
		want result
	}{
		{"", result{0, link, "1234, valid until 2023-11-14T22:13:20Z\n"}},
		{"create", result{0, link, "1234, valid until 2023-11-14T22:13:20Z\n"}},
		{"example.org uses=5 days=2", result{0, link, "1234, valid until 2023-11-16T22:13:20Z\n"}},
		{"create Carol@example.org note=guest", result{0, link, "1234, valid until 2023-11-14T22:13:20Z\n"}},
		{"alice@example.org", result{1, "", "invite: alice@example.org is taken, or reserved for somebody\n"}},
		{"example.net", result{1, "", "invite: example.net: domain is not served here; those served are example.org\n"}},
		{"carol@example.org uses=2", result{2, "", "invite: a name can be had once only\n"}},
		{"uses=many", result{2, "", "invite: \"uses=many\": want a number above 0\n"}},
		{"days=0", result{2, "", "invite: \"days=0\": want a number above 0\n"}},
		{"colour=red", result{2, "", "invite: \"colour=red\": want uses=N, days=N or note=TEXT\n"}},
		{"a b", result{2, "", "invite: create wants one NAME@DOMAIN or DOMAIN\n"}},
		{"list", result{0, "1234, account, example.org, 2 left, until 2023-11-14T22:13:20Z, \"\\x1b[2J\"\n" +
			"5678, contact, carol@example.org, by alice@example.org, 1 left, until 2023-11-14T22:13:20Z\n", ""}},
		{"list x", result{2, "", "invite: list wants no argument\n"}},
		{"show 1234", result{0, "kind    account\ndomain  example.org\nleft    2\nmade    2023-11-14T21:13:20Z\nuntil   2023-11-14T22:13:20Z\nnote    \"\\x1b[2J\"\n", ""}},
		{"show 5678", result{0, "kind    contact\ndomain  example.org\nfor     carol\nby      alice@example.org\nleft    1\nmade    2023-11-14T21:13:20Z\nuntil   2023-11-14T22:13:20Z\n", ""}},
		{"show 9", result{1, "", "invite: there is no invitation \"9\"\n"}},
		{"show", result{2, "", "invite: show wants an invitation as list names it\n"}},
		{"revoke 1234", result{0, "1234 is void\n", ""}},
		{"revoke 9", result{1, "", "invite: there is no invitation \"9\"\n"}},
		{"revoke", result{2, "", "invite: revoke wants an invitation as list names it\n"}},
		{"reset alice@example.org", result{0, link, "1234, valid until 2023-11-14T22:13:20Z\n"}},
		{"reset", result{2, "", "invite: reset wants one account, NAME@DOMAIN\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			s := &store{accounts: map[string]string{"alice@example.org": "old"}}
			accounts := control.Serving(s, func() []string { return []string{"example.org"} })
			data := filepath.Join(t.TempDir(), "data")
			serve(t, data, accounts)
			var stdout, stderr bytes.Buffer
			c := &Command{Data: data, Stdout: &stdout, Stderr: &stderr, Open: func(context.Context) (control.Accounts, io.Closer, error) { return accounts, s, nil }}
			status := c.RunInvite(t.Context(), strings.Fields(tt.args))
			if got := (result{status, stdout.String(), stderr.String()}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
