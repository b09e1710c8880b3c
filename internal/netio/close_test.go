package netio

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestCloseAfterDrain: everything arrives, then the end of the stream, also if
// the peer has sent what nobody read.
func TestCloseAfterDrain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		size          int
		unread, noise bool
	}{
		{"pending", 2 << 20, false, false},
		{"nothing pending", 100, false, false},
		{"unread", 100, true, false},
		{"pending and unread", 2 << 20, true, false},
		{"peer goes on sending", 2 << 20, true, true},
	}
	onLinks(t, func(t *testing.T, l link) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if tt.unread && l.name == "pipe" {
					t.Skip("a pipe holds nothing unread")
				}
				t.Parallel()
				c, peer := l.open(t, Options{})
				if tt.unread {
					_, err := peer.Write(pattern(5000))
					must(t, err)
					must(t, c.WaitReadable())
				}
				data := pattern(tt.size)
				_, err := c.Write(data)
				must(t, err)
				c.CloseAfterDrain(patience)
				c.CloseAfterDrain(patience) // no more than once
				if tt.noise {
					_, err := peer.Write(pattern(50_000))
					must(t, err)
				}
				got, err := io.ReadAll(peer)
				must(t, err)
				if !bytes.Equal(got, data) {
					t.Errorf("%d bytes arrived of %d", len(got), len(data))
				}
				must(t, peer.Close())
				await(t, c.Done(), "the end")
				must(t, c.Close())
			})
		}
	})
}

func TestCloseAfterDrainTimeout(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		for name, size := range map[string]int{"peer never reads": 1 << 20, "peer never closes": 1} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c, _ := l.open(t, Options{OnError: func(err error) { t.Errorf("OnError(%v)", err) }})
				_, err := c.Write(make([]byte, size))
				must(t, err)
				c.CloseAfterDrain(50 * time.Millisecond)
				await(t, c.Done(), "the end")
			})
		}
	})
}

func TestCloseAfterDrainTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, _ := net.Pipe()
		c := New(server, nil)
		_, err := c.Write([]byte{1})
		must(t, err)
		start := time.Now()
		c.CloseAfterDrain(5 * time.Second)
		<-c.Done()
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestCloseAfterDrainNoTime(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, _ := l.open(t, Options{})
		_, err := c.Write(make([]byte, 1<<20))
		must(t, err)
		c.CloseAfterDrain(0)
		await(t, c.Done(), "the end")
	})
}

// TestCloseAfterDrainFromOnDrained: of two drains that are about to end, the
// one that still has bytes must not be cut off by the other.
func TestCloseAfterDrainFromOnDrained(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		const size = 1 << 20
		var c *Conn
		ready := make(chan struct{})
		calls := 0
		c, peer := l.open(t, Options{OnDrained: func() {
			<-ready
			if calls++; calls > 1 {
				return
			}
			if _, err := c.Write(pattern(size)); err != nil {
				t.Errorf("Write: %v", err)
			}
			c.CloseAfterDrain(patience)
		}})
		close(ready)
		_, err := c.Write(pattern(size))
		must(t, err)
		got, err := io.ReadAll(peer)
		must(t, err)
		if len(got) != 2*size {
			t.Errorf("%d bytes arrived of %d", len(got), 2*size)
		}
		must(t, peer.Close())
		await(t, c.Done(), "the end")
	})
}

// TestCloseTwice also closes from the callback and asks for Done at all times.
func TestCloseTwice(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, _ := l.open(t, Options{})
		done := c.Done()
		select {
		case <-done:
			t.Fatal("done while open")
		default:
		}
		for range 3 {
			must(t, c.Close())
		}
		await(t, done, "the end")
		await(t, c.Done(), "the end")
		c.CloseAfterDrain(time.Second)
		wantErr(t, "SetWriteDeadline", c.SetWriteDeadline(time.Time{}), net.ErrClosed)
	})
}

func TestCloseFromOnDrained(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		var c *Conn
		ready := make(chan struct{})
		c, peer := l.open(t, Options{OnDrained: func() { <-ready; _ = c.Close() }})
		close(ready)
		_, err := c.Write(make([]byte, 1<<20))
		must(t, err)
		readExactly(t, peer, 1<<20)
		await(t, c.Done(), "the end")
	})
}
