//go:build clients

package clienttest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// console is a running program and everything it has printed.
type console struct {
	name string
	cmd  *exec.Cmd

	mu      sync.Mutex
	output  bytes.Buffer
	changed chan struct{} // closed and replaced when output grows
	ended   chan struct{} // closed when the program has ended
	err     error         // of Wait, valid once ended is closed
}

// start runs a program until the test ends.
func start(t *testing.T, name string, cmd *exec.Cmd) *console {
	t.Helper()
	c := &console{name: name, cmd: cmd, changed: make(chan struct{}), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = c, c
	cmd.WaitDelay = 5 * time.Second // grandchildren may keep the pipes open
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		c.signal(syscall.SIGKILL)
		<-c.ended
	})
	return c
}

// Write implements [io.Writer] for the output of the program.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
	return c.output.Write(p)
}

func (c *console) text() (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String(), c.changed
}

// tail is the end of the output, for failure messages.
func (c *console) tail() string {
	const size = 4 << 10
	text, _ := c.text()
	if len(text) > size {
		text = "…" + text[len(text)-size:]
	}
	return "--- output of " + c.name + ":\n" + text + "\n---"
}

// signal reaches the program and its children; one that has ended is left
// alone.
func (c *console) signal(s syscall.Signal) {
	select {
	case <-c.ended:
	default:
		_ = syscall.Kill(-c.cmd.Process.Pid, s) // it may end in this moment
	}
}

// expect waits for a line that begins with prefix, and returns it.
func (c *console) expect(t *testing.T, prefix string, limit time.Duration) string {
	t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		text, changed := c.text()
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, prefix) && strings.HasSuffix(line, "\n") {
				return strings.TrimSuffix(line, "\n")
			}
		}
		select {
		case <-changed:
		case <-c.ended:
			if again, _ := c.text(); again != text {
				continue
			}
			t.Fatalf("%s ended (%v) without the line %q\n%s", c.name, c.err, prefix, c.tail())
		case <-late.C:
			t.Fatalf("%s printed no line %q within %v\n%s", c.name, prefix, limit, c.tail())
		}
	}
}

// wait waits for the end and returns the exit status.
func (c *console) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(limit):
		t.Fatalf("%s still runs after %v\n%s", c.name, limit, c.tail())
	}
	var exit *exec.ExitError
	if c.err != nil && !errors.As(c.err, &exit) {
		t.Fatalf("%s: %v\n%s", c.name, c.err, c.tail())
	}
	return c.cmd.ProcessState.ExitCode()
}

// done waits for the end and wants exit status 0.
func (c *console) done(t *testing.T, limit time.Duration) {
	t.Helper()
	if status := c.wait(t, limit); status != 0 {
		t.Fatalf("%s ended with status %d\n%s", c.name, status, c.tail())
	}
}

// command makes a command whose environment is that of the test and env.
func command(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// program returns the path of a program, or fails with how to get it.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install --no-install-recommends %s", name, debianPackage)
	}
	return path
}
