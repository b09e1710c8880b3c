package netio

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// childEnv names the way of serving that a process started by startChild is to
// measure.
const childEnv = "NETIO_TEST_SERVE"

// serveFuncs are the ways of serving compared by the benchmarks.
var serveFuncs = map[string]func(net.Conn, *tls.Config){
	"plain": func(c net.Conn, cfg *tls.Config) {
		if s := tls.Server(c, cfg); s.Handshake() == nil {
			servePlain(s)
		}
	},
	"plain-fresh": func(c net.Conn, cfg *tls.Config) {
		if s := tls.Server(c, cfg); s.Handshake() == nil {
			go servePlain(s)
		}
	},
	"netio": func(c net.Conn, cfg *tls.Config) {
		if n, s := handshake(c, cfg); s != nil {
			serveNetio(n, s)
		}
	},
	"netio-fresh": func(c net.Conn, cfg *tls.Config) {
		if n, s := handshake(c, cfg); s != nil {
			go serveNetio(n, s)
		}
	},
}

func handshake(c net.Conn, cfg *tls.Config) (*Conn, *tls.Conn) {
	n := New(c, nil)
	s := tls.Server(n, cfg)
	if n.SetTLS(true) != nil || s.Handshake() != nil {
		return nil, nil
	}
	return n, s
}

// servePlain echoes with a buffer held while waiting.
func servePlain(s *tls.Conn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := s.Read(buf)
		if err != nil {
			return
		}
		if _, err := s.Write(buf[:n]); err != nil {
			return
		}
	}
}

var plaintexts = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// serveNetio echoes with a buffer taken after the wait, as the package
// documentation says.
func serveNetio(c *Conn, s *tls.Conn) {
	for c.WaitReadable() == nil {
		buf := plaintexts.Get().(*[16 << 10]byte)
		for more := true; more; more = c.Buffered() > 0 {
			n, err := s.Read(buf[:])
			if err != nil {
				return
			}
			if _, err := s.Write(buf[:n]); err != nil {
				return
			}
		}
		plaintexts.Put(buf)
	}
}

// child serves and measures itself if the process was started for it.
func child() bool {
	serve := serveFuncs[os.Getenv(childEnv)]
	if serve == nil {
		return false
	}
	cert, err := newCertificate()
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c, cfg)
		}
	}()
	fmt.Println(l.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(measure(in.Text()))
	}
	return true
}

// measure answers a question of the parent with numbers.
func measure(what string) string {
	if what == "memory" { // KiB resident, in spans of the heap, of stacks
		runtime.GC()
		runtime.GC() // the pools
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		var size, resident int
		_, _ = fmt.Sscan(readFile("/proc/self/statm"), &size, &resident)
		return fmt.Sprint(resident*os.Getpagesize()>>10, m.HeapAlloc>>10, m.StackInuse>>10)
	}
	// system calls to read and to write, CPU time in ns
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	reads, writes := 0, 0
	for line := range strings.Lines(readFile("/proc/self/io")) {
		_, _ = fmt.Sscanf(line, "syscr: %d", &reads)
		_, _ = fmt.Sscanf(line, "syscw: %d", &writes)
	}
	return fmt.Sprint(reads, writes, u.Utime.Nano()+u.Stime.Nano())
}

func readFile(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// server is a child that serves.
type server struct {
	addr string
	ask  func(what string) (a, b, c float64)
}

// startChild starts this test program as a server of the given kind.
func startChild(b *testing.B, kind string) server {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, err)
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close() // the child ends
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	next := func() string {
		if !lines.Scan() {
			b.Fatalf("the server has ended: %v", lines.Err())
		}
		return lines.Text()
	}
	return server{addr: next(), ask: func(what string) (x, y, z float64) {
		_, err := fmt.Fprintln(in, what)
		must(b, err)
		_, err = fmt.Sscan(next(), &x, &y, &z)
		must(b, err)
		return x, y, z
	}}
}

// connect opens a TLS connection to the server and exchanges one message.
func (s server) connect(message []byte) (net.Conn, error) {
	c, err := tls.Dial("tcp", s.addr, &tls.Config{
		InsecureSkipVerify:          true, // it is our own child
		DynamicRecordSizingDisabled: true, // one message, one record
	})
	if err != nil {
		return nil, err
	}
	return c, exchange(c, message, 1)
}

// exchange sends a message some times and then reads the echoes.
func exchange(c net.Conn, message []byte, times int) error {
	for range times {
		if _, err := c.Write(message); err != nil {
			return err
		}
	}
	got := make([]byte, 4<<10)
	for n := 0; n < times*len(message); {
		k, err := c.Read(got)
		if err != nil {
			return err
		}
		n += k
	}
	return nil
}
