package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is another program of the examples that is logged in here.
type program struct {
	t     *testing.T
	in    io.Writer
	lines *bufio.Scanner
}

// startProgram builds one and has it log in as juliet.
func startProgram(t *testing.T, name string, at ports, data, password string) *program {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", bin, "../"+name)
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(bin, "-jid", "juliet@localhost", "-addr", at["c2s"], "-ca", filepath.Join(data, "cert.pem"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // then its output ends
	t.Cleanup(func() {
		late.Stop()
		_ = cmd.Process.Signal(os.Interrupt) // unless it has ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	p := &program{t, in, bufio.NewScanner(out)}
	p.says(password)
	return p
}

func (p *program) says(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.t.Fatal(err)
	}
}

// prints wants this to be the beginning of the next line that has nothing to do with
// the program's own presence, and returns the rest.
func (p *program) prints(beginning string) string {
	p.t.Helper()
	for p.lines.Scan() {
		if strings.HasPrefix(p.lines.Text(), "presence juliet@") {
			continue
		}
		rest, ok := strings.CutPrefix(p.lines.Text(), beginning)
		if !ok {
			p.t.Fatalf("printed %q, want %q", p.lines.Text(), beginning)
		}
		return rest
	}
	p.t.Fatalf("ended (%v), want %q", p.lines.Err(), beginning)
	return ""
}

// full is the address in the success of SASL2.
func full(success string) string {
	_, a, _ := strings.Cut(success, "<authorization-identifier>")
	a, _, _ = strings.Cut(a, "</authorization-identifier>")
	return a
}

const (
	chatTo  = "<message type='chat' to='%s'><body>%s</body></message>"
	settled = "<iq type='get' id='%[1]d'><ping xmlns='urn:xmpp:ping'/></iq>" // behind all before
)

func twoPeople(t *testing.T) (data string, at ports) {
	t.Helper()
	data = t.TempDir()
	addUser(t, data, "juliet@localhost", "r0m30myr0m30")
	addUser(t, data, "romeo@localhost", "jul13tmyjul13t")
	return data, serveLogin(t, data)
}

// TestSleeper: the program that uses package csi alone is not woken by what is not for
// people, and gets what is left of that in front of a message, and when it looks.
func TestSleeper(t *testing.T) {
	t.Parallel()
	data, at := twoPeople(t)
	sleeper := startProgram(t, "sleeper", at, data, "r0m30myr0m30")
	juliet := sleeper.prints("asleep ")
	romeo := dialWire(t, at)
	_, success, _ := romeo.login2("romeo", "jul13tmyjul13t", "")
	show := func(shows ...string) {
		t.Helper()
		var all strings.Builder
		for _, s := range shows {
			fmt.Fprintf(&all, "<presence to='%s'><show>%s</show></presence>", juliet, s)
		}
		romeo.says(all.String()+fmt.Sprintf(settled, len(shows)), fmt.Sprintf("id='%d'", len(shows)))
	}
	show("away", "xa", "dnd")
	romeo.says(fmt.Sprintf(chatTo, juliet, "hello")+fmt.Sprintf(settled, 9), "id='9'")
	sleeper.prints("presence " + full(success) + " dnd")
	sleeper.prints(`message ` + full(success) + ` "hello"`)

	sleeper.says("")
	sleeper.prints("awake")
	show("away", "chat")
	sleeper.prints("presence " + full(success) + " away")
	sleeper.prints("presence " + full(success) + " chat")
	sleeper.says("")
	sleeper.prints("asleep")
}

// TestMirror: the program that uses package carbons alone shows both sides of what
// other devices say, and nothing that only looks like it.
func TestMirror(t *testing.T) {
	t.Parallel()
	data, at := twoPeople(t)
	mirror := startProgram(t, "mirror", at, data, "r0m30myr0m30")
	juliet := mirror.prints("mirror ")
	desk, romeo := dialWire(t, at), dialWire(t, at)
	_, success, _ := desk.login2("juliet", "r0m30myr0m30", "")
	atDesk := full(success)
	_, success, _ = romeo.login2("romeo", "jul13tmyjul13t", "")
	atRomeo := full(success)
	desk.says("<presence/>"+fmt.Sprintf(settled, 1), "id='1'")
	romeo.says("<presence/>"+fmt.Sprintf(settled, 1), "id='1'")

	desk.says(fmt.Sprintf(chatTo, "romeo@localhost", "from the desk")+fmt.Sprintf(settled, 2), "id='2'")
	mirror.prints(atDesk + ` -> romeo@localhost "from the desk"`)
	romeo.says(fmt.Sprintf(chatTo, "juliet@localhost", "for the account")+fmt.Sprintf(settled, 2), "id='2'")
	mirror.prints(atRomeo + ` -> juliet@localhost "for the account"`)
	romeo.says(fmt.Sprintf("<message type='chat' to='%s'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"+
		"<message xmlns='jabber:client' from='tybalt@localhost/x' to='%s'><body>forged</body></message></forwarded></received></message>", juliet, atDesk)+
		fmt.Sprintf(chatTo, juliet, "for the mirror")+fmt.Sprintf(settled, 3), "id='3'")
	mirror.prints(atRomeo + " -> " + juliet + ` "for the mirror"`)
}
