package netio

import (
	"fmt"
	"net"
	"sync"
	"testing"
)

// kinds orders serveFuncs.
var kinds = []string{"plain", "plain-fresh", "netio", "netio-fresh"}

// BenchmarkIdle reports the memory of a process with 2000 idle TLS sessions,
// per session, after a collection; "fresh" serves on a new goroutine after the
// handshake. Run it with -benchtime 1x.
func BenchmarkIdle(b *testing.B) {
	const sessions = 2000
	for _, size := range []int{200, 16 << 10} {
		for _, kind := range kinds {
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				for b.Loop() {
					idle(b, kind, sessions, make([]byte, size))
				}
			})
		}
	}
}

func idle(b *testing.B, kind string, sessions int, message []byte) {
	s := startChild(b, kind)
	first, err := s.connect(message)
	must(b, err)
	defer func() { _ = first.Close() }()
	rss, heap, stack := s.ask("memory")

	conns := make([]net.Conn, sessions)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < sessions && errs[w] == nil; i += len(errs) {
				conns[i], errs[w] = s.connect(message)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		must(b, err)
	}
	rss2, heap2, stack2 := s.ask("memory")
	n := float64(sessions)
	b.ReportMetric((rss2-rss)/n, "KiB-rss/session")
	b.ReportMetric((heap2-heap)/n, "KiB-heap/session")
	b.ReportMetric((stack2-stack)/n, "KiB-stack/session")
	for _, c := range conns {
		_ = c.Close()
	}
}

// BenchmarkEcho reports what a message and its echo over TLS cost: time,
// the server's reading and writing system calls, and its CPU time.
func BenchmarkEcho(b *testing.B) {
	for _, bench := range []struct{ size, burst int }{{200, 1}, {200, 8}, {4000, 1}} {
		for _, kind := range []string{"plain", "netio"} {
			b.Run(fmt.Sprintf("%s/%dB/burst%d", kind, bench.size, bench.burst), func(b *testing.B) {
				s := startChild(b, kind)
				message := make([]byte, bench.size)
				c, err := s.connect(message)
				must(b, err)
				defer func() { _ = c.Close() }()
				must(b, exchange(c, message, 100)) // record sizes grow at first
				r, w, cpu := s.ask("calls")
				rounds := 0
				for b.Loop() {
					must(b, exchange(c, message, bench.burst))
					rounds++
				}
				r2, w2, cpu2 := s.ask("calls")
				n := float64(rounds * bench.burst)
				b.SetBytes(int64(bench.size * bench.burst))
				b.ReportMetric((r2-r)/n, "reads/msg")
				b.ReportMetric((w2-w)/n, "writes/msg")
				b.ReportMetric((cpu2-cpu)/n, "server-ns/msg")
			})
		}
	}
}
