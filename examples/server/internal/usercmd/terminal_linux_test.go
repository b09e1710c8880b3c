package usercmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/propolis-im/propolis/examples/server/internal/control"
)

// terminal returns both ends of a new terminal: that of the person and that of
// the program.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func echo(t *testing.T, f *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestTyped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, typed, want, failure string }{
		{"twice the same", "correct horse\ncorrect horse\n", "correct horse", ""},
		{"different", "correct horse\ncorrect house\n", "", "the two passwords differ"},
		{"empty", "\n\n", "", "the password is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			person, program := terminal(t)
			if _, err := person.WriteString(tt.typed); err != nil { // the terminal keeps it until it is read
				t.Fatal(err)
			}
			var questions bytes.Buffer
			c := &Command{Stdin: program, Stderr: &questions}
			got, err := c.password(t.Context(), "alice@example.org")
			if got != tt.want || (err == nil) != (tt.failure == "") || err != nil && err.Error() != tt.failure {
				t.Errorf("%q, %v; want %q, %s", got, err, tt.want, tt.failure)
			}
			if !strings.HasPrefix(questions.String(), "Password for alice@example.org: \n") {
				t.Errorf("asked %q", questions.String())
			}
			if !echo(t, program) {
				t.Error("the terminal was left without echo")
			}
		})
	}
}

// TestInterrupted: the terminal has its echo back when the program is ended in
// the middle.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	person, program := terminal(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupted")
	asked := make(chan struct{}, 1)
	c := &Command{Stdin: program, Stderr: writer(func() {
		select {
		case asked <- struct{}{}:
		default:
		}
	})}
	go func() {
		<-asked
		cancel(interrupt)
	}()
	if _, err := c.password(ctx, "alice@example.org"); !errors.Is(err, interrupt) {
		t.Errorf("%v, want %v", err, interrupt)
	}
	if _, err := person.WriteString("\n"); err != nil { // ends the read that was left behind
		t.Error(err)
	}
}

// TestInviteTerminal: at a terminal the link is shown as a QR code as well.
func TestInviteTerminal(t *testing.T) {
	t.Parallel()
	person, program := terminal(t)
	s := &store{accounts: map[string]string{}}
	accounts := control.Serving(s, func() []string { return []string{"example.org"} })
	data := filepath.Join(t.TempDir(), "data")
	serve(t, data, accounts)
	var stderr bytes.Buffer
	c := &Command{Data: data, Stdout: program, Stderr: &stderr}
	if status := c.RunInvite(t.Context(), nil); status != Success {
		t.Fatalf("status %d, %s", status, &stderr)
	}
	want := strings.ReplaceAll("xmpp:example.org?register;preauth=x\n"+qrText("xmpp:example.org?register;preauth=x"), "\n", "\r\n")
	got := make([]byte, len(want))
	if _, err := io.ReadFull(person, got); err != nil || string(got) != want {
		t.Errorf("%v, shown is %q", err, got)
	}
}

type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }
