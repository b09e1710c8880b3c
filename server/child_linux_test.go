package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/server"
	"github.com/propolis-im/propolis/smacks"
)

// What the environment tells a child: how long it bears peers that do not read, and
// whether it authenticates by SCRAM, also with SASL2.
const childEnv, scramEnv = "PROPOLIS_SERVER_CHILD", "PROPOLIS_SERVER_SCRAM"

// child serves until its input ends, if the program was started for that. A line
// of input has it collect garbage and say so.
func child() bool {
	text := os.Getenv(childEnv)
	if text == "" {
		return false
	}
	stall, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	b, err := makeBinder(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sessions, exts := managed()
	if os.Getenv(scramEnv) != "" {
		for i := range batch {
			if err := b.add(context.Background(), person(i)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		exts = []mux.Extension{sasl2.New(fastBinder{b}, new(sasl2.Memory), nil), carbons.New(nil), smacks.New(nil, nil)}
	}
	// The defaults, but for numbers that one machine which plays many exceeds.
	s, err := launch(context.Background(), func(o *server.Options) {
		o.Limits = server.NoLimits()
		o.Limits.WriteStall = stall
		o.Mux.Sessions = sessions
		if os.Getenv(scramEnv) != "" {
			o.SASL = b
		}
	}, exts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bare, err := handshakes()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.clear, s.direct, bare)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		debug.FreeOSMemory()
		fmt.Println("collected")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// process is a server in a process of its own, whose memory can be measured.
type process struct {
	site
	bare string // address of a listener for handshakes alone
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// startProcess starts a server with that limit for peers that do not read.
func startProcess(t testing.TB, stall time.Duration, env ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(append(os.Environ(), childEnv+"="+stall.String()), env...)
	p.cmd.Stderr = os.Stderr
	var err error
	p.in, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewReader(out)
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		must(t, p.in.Close())
		late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
		defer late.Stop()
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("server process: %v", err)
		}
	})
	line := p.line(t)
	addresses := strings.Fields(line)
	if len(addresses) != 3 {
		t.Fatalf("server process says %q", line)
	}
	p.clear, p.direct, p.bare = addresses[0], addresses[1], addresses[2]
	return p
}

func (p *process) line(t testing.TB) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

// collect has the process give back what it does not need.
func (p *process) collect(t testing.TB) {
	t.Helper()
	_, err := io.WriteString(p.in, "collect\n")
	must(t, err)
	p.line(t)
}

// rss is the resident memory of the process in bytes (proc(5), statm).
func (p *process) rss(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/statm")
	must(t, err)
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		t.Fatalf("statm is %q", text)
	}
	pages, err := strconv.Atoi(fields[1])
	must(t, err)
	return pages * os.Getpagesize()
}

// processorTime is what the process has used (proc(5), schedstat of each thread).
func (p *process) processorTime(t testing.TB) (sum time.Duration) {
	t.Helper()
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/task/*/schedstat")
	must(t, err)
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		must(t, err)
		used, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(used, 10, 64)
		must(t, err)
		sum += time.Duration(n)
	}
	return sum
}

// fastBinder is binder for package sasl2.
type fastBinder struct{ binder }

func (fastBinder) HasBinding(st *mux.Stream, typ string) bool {
	return scram.Available(typ, st.TLS(), st.Certificate())
}

func (b fastBinder) Start(st *mux.Stream, mechanism, domain string) (sasl2.Exchange, error) {
	return b.binder.Start(st, mechanism, domain)
}

func (fastBinder) Binding(st *mux.Stream, typ string) ([]byte, error) {
	return scram.BindingData(typ, st.TLS(), st.Certificate())
}
