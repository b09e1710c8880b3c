package server_test

import (
	"testing"
	"time"
)

// BenchmarkIdleSession tells how much memory a server needs for each client that
// is logged in over TLS and silent, once it has collected garbage.
func BenchmarkIdleSession(b *testing.B) {
	const n = 200
	b.ReportAllocs()
	for b.Loop() {
		p := startProcess(b, time.Minute)
		for range 10 { // what is needed once
			enter(b, &p.site, "romeo", "")
		}
		p.collect(b)
		before := p.rss(b)
		for i := range n {
			enter(b, &p.site, "user"+string(rune('a'+i%26)), "")
		}
		p.collect(b)
		p.collect(b)
		b.ReportMetric(float64(p.rss(b)-before)/n/1024, "RSS-KiB/session")
	}
}
