//go:build unix && !race

package netio

import (
	"testing"
)

// TestAllocs: nothing is allocated as long as the kernel takes what is
// written. AllocsPerRun counts the whole process, so this test is not parallel.
func TestAllocs(t *testing.T) {
	c, peer := links[0].open(t, Options{})
	must(t, c.SetTLS(true))
	msg := record(300)
	buf := make([]byte, 1000)
	tests := []struct {
		name string
		f    func()
	}{
		{"WaitReadable and Read", func() {
			_, err := peer.Write(msg)
			must(t, err)
			must(t, c.WaitReadable())
			n, err := c.Read(buf)
			must(t, err)
			if n != len(msg) {
				t.Fatalf("read %d bytes", n)
			}
		}},
		{"Write", func() {
			_, err := c.Write(msg)
			must(t, err)
			readPeer(t, peer, buf[:len(msg)])
		}},
	}
	for _, tt := range tests {
		if n := testing.AllocsPerRun(200, tt.f); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func readPeer(t *testing.T, r interface{ Read([]byte) (int, error) }, p []byte) {
	for len(p) > 0 {
		n, err := r.Read(p)
		must(t, err)
		p = p[n:]
	}
}
