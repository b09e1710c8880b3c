//go:build clients

package clienttest

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/web/signup"
)

// browse starts testdata/chromium.mjs beside the modules it imports. With CLIENTTEST_SHOTS
// the pictures that it takes are there afterwards; what is wider than a phone's screen is
// a failure in any case.
func browse(t *testing.T, token string, steps ...string) *console {
	t.Helper()
	modules := os.Getenv("CLIENTTEST_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "ws")); modules == "" || err != nil {
		t.Fatal("ws is missing: npm install --no-audit --no-fund --ignore-scripts ws@8.18.0, and set CLIENTTEST_NODE_MODULES to the absolute path of node_modules")
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "chromium.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "chromium.mjs")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	shots := os.Getenv("CLIENTTEST_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	env := []string{"CHROMIUM=" + program(t, "chromium", "chromium"), "SECRET=" + token, "SHOTS=" + shots, "TMPDIR=" + dir}
	return start(t, "chromium", command(env, program(t, "node", "nodejs"), append([]string{path}, steps...)...))
}

// startWeb starts a server with web pages and without other accounts than alice and bob,
// and returns their address.
func startWeb(t *testing.T, args ...string) (s *server, pages string) {
	t.Helper()
	s = startServer(t, append([]string{"-http", "127.0.0.1:0"}, args...)...)
	s.ownServerOnly(t)
	return s, "http://" + s.http
}

// invite makes an invitation as an operator does, and returns link and token.
func (s *server) invite(t *testing.T, args ...string) (link, token string) {
	t.Helper()
	out, err := serverCommand(append([]string{"-domain", domain, "-data", s.data, "invite"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	link = strings.TrimSpace(string(out))
	_, token, _ = strings.Cut(link, "#")
	return link, token
}

// logsIn: the new account is one for clients.
func (s *server) logsIn(t *testing.T, account, word string) {
	t.Helper()
	cmd := slixmppCommand(t, s, s.transports()[0], "login", account, "SCRAM-SHA-256")
	cmd.Env = append(cmd.Env, "PASSWORD="+word)
	start(t, "slixmpp", cmd).done(t, limit)
}

const submit = "button[type=submit]"

// filled are the steps that fill in a form and send it.
func filled(name, word string) []string {
	return []string{"type", "#username", name, "type", "#password", word, "click", submit}
}

// TestChromium: a browser follows an invitation to an account, with which a client logs
// in; and a link to a new password.
func TestChromium(t *testing.T) {
	s, pages := startWeb(t, "-registration", "invite")
	const word, another = "correct horse", "battery staple"
	link, token := s.invite(t)
	if link != pages+"/invite/#"+token {
		t.Fatalf("link %s, want one at %s", link, pages)
	}
	c := browse(t, token, slices.Concat(
		[]string{"open", link, "await", "#username", "text", "h1", "shot", "invite"},
		filled("admin", word), []string{"await", ".error", "shot", "invite-refused"},
		filled("carol", word), []string{"await", "#account", "text", "#account", "shot", "done",
			"open", link, "await", ".lead", "text", "h1", "shot", "bad-token"})...)
	c.expect(t, "You are invited to chat", limit)
	c.expect(t, "carol@"+domain, limit)
	c.expect(t, "This invitation cannot be used", limit)
	c.done(t, limit)
	s.logsIn(t, "carol@"+domain, word)

	link, token = s.invite(t, "reset", "carol@"+domain)
	c = browse(t, token, slices.Concat([]string{"open", link, "await", "#username", "shot", "reset"}, filled("", another), []string{"await", "#account", "shot", "reset-done"})...)
	c.done(t, limit)
	s.logsIn(t, "carol@"+domain, another)
}

// TestChromiumTwice: who presses the button twice, or loads the page again, is told of the
// account all the same.
func TestChromiumTwice(t *testing.T) {
	s, _ := startWeb(t, "-registration", "invite")
	const word = "correct horse"
	link, token := s.invite(t)
	c := browse(t, token, "open", link, "type", "#username", "frank", "type", "#password", word, "twice", submit, "await", "#account", "text", "#account",
		"reload", "await", "#account", "text", "h1")
	c.expect(t, "frank@"+domain, limit)
	c.expect(t, "Your account is ready", limit)
	c.done(t, limit)
	s.logsIn(t, "frank@"+domain, word)
}

// TestChromiumWithoutScripts does the same in a browser that runs none, on a phone.
func TestChromiumWithoutScripts(t *testing.T) {
	s, pages := startWeb(t, "-registration", "invite")
	const word = "correct horse"
	_, token := s.invite(t, "dave@"+domain)
	browse(t, "", "agent", "Mozilla/5.0 (Linux; Android 15; Mobile)", "script", "off", "open", pages+"/invite/", "await", "#code", "shot", "entry",
		"type", "#code", token, "click", submit, "await", "#again", "shot", "invite-name-without-scripts",
		"type", "#password", word, "type", "#again", word, "click", submit, "await", "#account").done(t, limit)
	s.logsIn(t, "dave@"+domain, word)
}

// TestChromiumChallenge: a browser does the work that the server wants of those without an
// invitation; one that runs no scripts is told what to do instead.
func TestChromiumChallenge(t *testing.T) {
	s, pages := startWeb(t, "-registration", "open", "-registration-challenge", "pow")
	const word = "correct horse"
	c := browse(t, "", slices.Concat([]string{"open", pages + "/register", "await", submit + ":not(:disabled)", "shot", "challenge"},
		filled("grace", word), []string{"await", "#account", "text", "#account", "shot", "challenge-done"})...)
	c.expect(t, "grace@"+domain, limit)
	c.done(t, limit)
	s.logsIn(t, "grace@"+domain, word)

	c = browse(t, "", slices.Concat([]string{"script", "off", "open", pages + "/register", "await", "#again", "shot", "challenge-without-scripts",
		"type", "#again", word}, filled("heidi", word), []string{"await", ".error", "text", ".error", "shot", "challenge-refused"})...)
	c.expect(t, "Your browser has not done its work", limit)
	c.done(t, limit)
}

// TestChromiumFront: from the page at the top a browser comes to the form, if there is one.
func TestChromiumFront(t *testing.T) {
	contacts := []string{"-contact", "support=xmpp:help@" + domain, "-contact", "admin=mailto:admin@" + domain, "-contact", "abuse=mailto:abuse@" + domain,
		"-contact", "status=https://status.example.net/propolis/all-that-is-known-of-the-state-of-this-server"}
	s, pages := startWeb(t, append(contacts, "-registration", "open", "-domain", domain+",chat.example.com")...)
	c := browse(t, "", slices.Concat([]string{"open", pages + "/", "await", "h1", "text", "h1", "shot", "front", "click", ".card .button", "await", "#username"},
		filled("ivan", "correct horse"), []string{"await", "#account", "text", "#account"})...)
	c.expect(t, "Chat at "+domain, limit)
	c.expect(t, "ivan@"+domain, limit)
	c.done(t, limit)
	s.logsIn(t, "ivan@"+domain, "correct horse")
}

// TestChromiumFrontInvited: where accounts are by invitation, it leads to the page for the
// code of one.
func TestChromiumFrontInvited(t *testing.T) {
	_, pages := startWeb(t, "-registration", "invite")
	browse(t, "", "agent", "Mozilla/5.0 (Linux; Android 15; Mobile)", "script", "off", "open", pages+"/", "await", "h1", "shot", "front-invite",
		"click", ".card a", "await", "#code").done(t, limit)
}

// TestChromiumPages: what needs no server, and who invites.
func TestChromiumPages(t *testing.T) {
	t.Parallel()
	const word = "correct horse"
	for _, tt := range []struct {
		name  string
		o     register.Options
		steps []string
	}{
		{"register", register.Options{Policy: register.Open, Challenger: &register.ProofOfWork{}}, []string{"await", "#username", "shot", "register"}},
		{"apply", register.Options{Policy: register.ByApproval}, []string{"await", "#reason", "shot", "apply"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			site, _ := localPages(t, tt.o)
			c := browse(t, "", slices.Concat([]string{"open", site + "/register"}, tt.steps, filled("erin", word), []string{"await", "#account", "text", "#account", "shot", tt.name + "-done"})...)
			c.expect(t, "erin@"+muxtest.Domain, limit)
			c.done(t, limit)
		})
	}
	t.Run("contact", func(t *testing.T) {
		t.Parallel()
		site, people := localPages(t, register.Options{Policy: register.ByInvite})
		var open []string
		for name, may := range map[string]bool{"invite-contact": true, "invite-contact-only": false} {
			i, err := people.Invite(t.Context(), register.Invite{Kind: register.ForContact, Domain: muxtest.Domain, Inviter: mux.MustParseAddress("romeo@" + muxtest.Domain), MayRegister: may})
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, "open", site+"/invite/"+i.Token, "await", "h1", "text", "h1", "shot", name)
		}
		c := browse(t, "", open...)
		c.expect(t, "romeo@"+muxtest.Domain+" invites you to chat", limit)
		c.done(t, limit)
	})
}

// localPages serves pages in this process.
func localPages(t *testing.T, o register.Options) (site string, people *register.Extension) {
	t.Helper()
	people = register.New(scram.NewService(new(scram.Memory), nil), &o)
	muxtest.New(t, nil, people)
	pages, err := signup.New(people, func() []string { return []string{muxtest.Domain} }, &signup.Options{MinPassword: scram.DefaultMinPassword})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(pages)
	t.Cleanup(web.Close)
	return web.URL, people
}
