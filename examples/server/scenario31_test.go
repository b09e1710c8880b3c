package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/scram"
)

// holdVariable tells another process of this test binary to be a server that holds
// before a step of a removal, for the test to kill it there.
const holdVariable = "PROPOLIS_TEST_HOLD"

// TestMain is that server if it is told so.
func TestMain(m *testing.M) {
	step, ok := os.LookupEnv(holdVariable)
	if !ok {
		m.Run()
		return
	}
	in, err := startInside(context.Background(), os.Getenv(holdVariable+"_DATA"), holding(step), "-registration", "open")
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	fmt.Println("ready", in.addr)
	select {}
}

// holding has the removal of an account hold at a step, if it comes to that: "marked",
// when that somebody wants it is durable; "write 1" and so on, before something is given
// to the store after that; "last", before the credentials go. It tells "removed" when
// they are gone.
func holding(step string) func(*stores) {
	var marked atomic.Bool
	var writes atomic.Int64
	at := func(name string) {
		if name == step {
			fmt.Println("at", name)
			select {}
		}
	}
	return func(st *stores) {
		st.accounts = holdingAccounts{st.accounts, &marked, at}
		st.committer = holdingCommitter{st.committer, func() {
			if marked.Load() {
				at(fmt.Sprintf("write %d", writes.Add(1)))
			}
		}}
	}
}

type holdingAccounts struct {
	accountStore
	marked *atomic.Bool
	at     func(string)
}

// Update implements scram.Store.
func (h holdingAccounts) Update(ctx context.Context, account string, from int64, c scram.Credentials, also ...scram.Also) (int64, error) {
	generation, err := h.accountStore.Update(ctx, account, from, c, also...)
	if err == nil && !c.Closing.IsZero() {
		h.at("marked")
		h.marked.Store(true)
	}
	return generation, err
}

// Remove implements scram.Accounts.
func (h holdingAccounts) Remove(ctx context.Context, account string) error {
	h.at("last")
	err := h.accountStore.Remove(ctx, account)
	fmt.Println("removed")
	return err
}

type holdingCommitter struct {
	mux.Committer
	submitting func()
}

// Submit implements mux.Committer.
func (h holdingCommitter) Submit(writes []mux.Write) uint64 {
	h.submitting()
	return h.Committer.Submit(writes)
}

// held is the server of that process.
type held struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	addr  string
}

func startHeld(t *testing.T, data, step string) *held {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdVariable+"="+step, holdVariable+"_DATA="+data)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	h := &held{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
	late := time.AfterFunc(3*patience, func() { _ = cmd.Process.Kill() }) // then its output ends
	t.Cleanup(func() {
		late.Stop()
		h.kill()
	})
	h.addr = strings.TrimPrefix(h.says(), "ready ")
	return h
}

// says is the next line that it prints.
func (h *held) says() string {
	h.t.Helper()
	if !h.lines.Scan() {
		h.t.Fatalf("the server has ended: %v", h.lines.Err())
	}
	return h.lines.Text()
}

// kill ends it at once, as kill -9 does.
func (h *held) kill() {
	_ = h.cmd.Process.Kill() // unless it was
	_ = h.cmd.Wait()         // it reports the signal
}

// halfDone is a login that waits for the last message of the client.
type halfDone struct {
	*peer
	final []byte
}

// scramTo begins a login with SCRAM.
func scramTo(t *testing.T, addr, user, secret string) halfDone {
	t.Helper()
	p := dial(t, addr, "example.org")
	list := scram.Listing{Profile: scram.SASL1, TypesUnknown: true}
	for m := range strings.SplitSeq(between(p.until("</stream:features>"), "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>", "</mechanism></mechanisms>"), "</mechanism><mechanism>") {
		list.Mechanisms = append(list.Mechanisms, m)
	}
	c, err := scram.NewClient(scram.Choice{Mechanism: "SCRAM-SHA-256", Hash: scram.SHA256, Flag: 'n'},
		&scram.ClientOptions{Username: user, Password: scram.FixedPassword(secret)})
	if err != nil {
		t.Fatal(err)
	}
	c.Listed(list)
	first, err := c.First()
	if err != nil {
		t.Fatal(err)
	}
	p.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>" + encode(string(first)) + "</auth>")
	challenge, err := base64.StdEncoding.DecodeString(between(p.until("</challenge>"), ">", "<"))
	if err != nil {
		t.Fatal(err)
	}
	final, err := c.Next(t.Context(), challenge)
	if err != nil {
		t.Fatal(err)
	}
	return halfDone{p, final}
}

// finish ends the login and returns what comes of it.
func (h halfDone) finish() string {
	h.t.Helper()
	h.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + encode(string(h.final)) + "</response>")
	return h.until("</failure>", "</success>", "</stream:stream>")
}

// leaver is what alice has who removes her account.
type leaver struct {
	token   string // to log in with
	invite  string // that she has given away
	resumed string // a session that sleeps
}

// leaving makes a data directory in which alice has a contact, bob, and all the rest.
func leaving(t *testing.T) (data string, l leaver) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	operate(t, data, password, "user", "add", "alice@example.org")
	operate(t, data, password, "user", "add", "bob@example.org")
	s := launchInside(t, data, nil, "-registration", "open")
	alice, bob := login(t, s.addr, "alice", "example.org"), login(t, s.addr, "bob", "example.org")
	bob.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/><presence type='subscribed' to='alice@example.org'/><presence type='subscribe' to='alice@example.org'/>")
	bob.alive()
	alice.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/><presence type='subscribed' to='bob@example.org'/><presence type='subscribe' to='bob@example.org'/>")
	bob.until("subscription='both'")
	alice.until("subscription='both'")
	alice.alive()
	l.invite = between(alice.command("urn:xmpp:invite#invite", "", ""), "roster;preauth=", ";ibr=y</value>")
	l.token = issueToken(t, s.addr, password)
	sleeper, success := bound(t, s.addr, "", password, "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>")
	l.resumed = between(between(success, "<enabled ", "/>"), "id='", "'")
	for _, p := range []*peer{alice, bob, sleeper} {
		p.close()
	}
	s.stop()
	if l.invite == "" || l.resumed == "" {
		t.Fatalf("no invitation or no session: %+v", l)
	}
	return data, l
}

// noLogin sees that nobody gets in as alice, with nothing that she had.
func (l *leaver) noLogin(t *testing.T, when, addr string) {
	t.Helper()
	p := dial(t, addr, "example.org")
	if got := p.authenticate("alice", password); got != "account-disabled" && got != "not-authorized" {
		t.Errorf("%s: password: %s", when, got)
	}
	p.close()
	if got := useToken(t, addr, l.token); got != "account-disabled" && got != "credentials-expired" && got != "not-authorized" {
		t.Errorf("%s: token: %s", when, got)
	}
	p, _ = as(t, addr, "alice")
	if got, _ := p.sasl2Login("PLAIN", "\x00alice\x00"+password, "<resume xmlns='urn:xmpp:sm:3' previd='"+l.resumed+"' h='0'/>"); got != "account-disabled" && got != "not-authorized" {
		t.Errorf("%s: resumption: %s", when, got)
	}
	p.close()
	p = dial(t, addr, "example.org")
	if got := signUp(p, l.invite, "carol", password); !strings.Contains(got, "item-not-found") {
		t.Errorf("%s: invitation: %s", when, got)
	}
	p.close()
}

// TestScenario31 removes an account that has three sessions, one that sleeps, a login
// half done, a token and an invitation: the result goes to who asked, all streams end
// with not-authorized, nothing that the account had lets anybody in, its contacts hear
// that they have no subscriptions any more. A crash at any step does not change what
// comes of it: the next start finishes it, and nobody logs in meanwhile (auth-register
// scenario 31, PC-7).
func TestScenario31(t *testing.T) {
	t.Parallel()
	template, l := leaving(t)
	steps := []string{"", "marked"}
	for write := 1; len(steps) > 0; {
		step := steps[0]
		steps = steps[1:]
		reached := false
		t.Run("held at "+step, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(data, os.DirFS(template)); err != nil {
				t.Fatal(err)
			}
			reached = l.leaves(t, data, step)
			l.isGone(t, data)
		})
		switch {
		case step == "marked", strings.HasPrefix(step, "write") && reached:
			steps = append(steps, fmt.Sprintf("write %d", write))
			write++
		case strings.HasPrefix(step, "write"):
			if write < 3 { // not even the first was
				t.Errorf("%s is not reached: the removal has too few steps for this test", step)
			}
			steps = append(steps, "last")
		}
		if t.Failed() {
			break
		}
	}
}

// leaves removes the account, and kills the server at the step; it reports whether
// that was reached.
func (l *leaver) leaves(t *testing.T, data, step string) (reached bool) {
	s := startHeld(t, data, step)
	defer s.kill()
	bob := login(t, s.addr, "bob", "example.org")
	bob.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>")
	bob.alive()
	var sessions []*peer
	for range 3 {
		p := login(t, s.addr, "alice", "example.org")
		p.send("<presence/>")
		p.alive()
		sessions = append(sessions, p)
	}
	half := scramTo(t, s.addr, "alice", password)
	asker := sessions[0]
	asker.send("<iq type='set' id='end'><query xmlns='" + nsRegister + "'><remove/></query></iq>")
	line := s.says()
	if reached = line == "at "+step; reached {
		if got := half.finish(); !strings.Contains(got, "<failure") {
			t.Errorf("half-done login: %s", got)
		}
		l.noLogin(t, "held", s.addr)
		return true
	}
	if line != "removed" {
		t.Fatalf("the server says %q", line)
	}
	for n, p := range sessions {
		got := p.until("</stream:stream>")
		if !strings.Contains(got, "<not-authorized ") {
			t.Errorf("session %d: %s", n, got)
		}
		if n == 0 && !strings.Contains(got, "id='end'/>") && !strings.Contains(got, "type='result' id='end'") {
			t.Errorf("no result in %s", got)
		}
	}
	if got := half.finish(); !strings.Contains(got, "<failure") {
		t.Errorf("half-done login: %s", got)
	}
	var heard strings.Builder
	for _, want := range []string{"type='unavailable'", "type='unsubscribe'", "type='unsubscribed'", "subscription='none'"} {
		for !strings.Contains(heard.String(), want) {
			heard.WriteString(bob.until("/>", "</presence>", "</iq>"))
		}
	}
	l.noLogin(t, "afterwards", s.addr)
	return false
}

// isGone starts the server on what is left: the account is gone before anybody can log
// in, and its name is nobody's.
func (l *leaver) isGone(t *testing.T, data string) {
	t.Helper()
	s := launchInside(t, data, nil, "-registration", "open")
	l.noLogin(t, "after a new start", s.addr)
	if got := s.list(t); got != "bob@example.org" {
		t.Errorf("accounts %s", got)
	}
	bob := login(t, s.addr, "bob", "example.org")
	bob.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
	if got := bob.until("</iq>", "id='r'/>"); !strings.Contains(got, "alice@example.org") || !strings.Contains(got, "subscription='none'") {
		t.Errorf("bob's roster %s", got)
	}
	bob.close()
	p := dial(t, s.addr, "example.org")
	if got := signUp(p, "", "alice", password); !strings.Contains(got, "<conflict ") {
		t.Errorf("the name: %s", got)
	}
	p.close()
	s.stop()
}

// list are all accounts.
func (in *inside) list(t *testing.T) string {
	t.Helper()
	all, err := in.people.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}
