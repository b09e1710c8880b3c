package netio

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestWaitThenRead(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		got := inBackground(c.WaitReadable)
		wrote := inBackground(func() error { _, err := peer.Write([]byte("hello")); return err })
		must(t, await(t, got, "readability"))
		if c.Buffered() == 0 {
			t.Error("nothing buffered after WaitReadable")
		}
		must(t, c.WaitReadable()) // returns at once
		if p := readExactly(t, c, 5); string(p) != "hello" {
			t.Errorf("read %q", p)
		}
		must(t, await(t, wrote, "the write"))
		if n := c.Buffered(); n != 0 || c.in.mem != nil {
			t.Errorf("%d bytes buffered, memory %t; want none", n, c.in.mem != nil)
		}
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Errorf("Read(nil) = %d, %v", n, err)
		}
	})
}

// TestReadClear reads more than the buffer holds, with and without waiting.
func TestReadClear(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		data := pattern(100_000)
		wrote := inBackground(func() error { _, err := peer.Write(data); return err })
		var got []byte
		buf := make([]byte, 7001)
		for i := 0; len(got) < len(data); i++ {
			if i%3 == 0 {
				must(t, c.WaitReadable())
			}
			n, err := c.Read(buf)
			must(t, err)
			got = append(got, buf[:n]...)
		}
		must(t, await(t, wrote, "the write"))
		if !bytes.Equal(got, data) {
			t.Error("data differ")
		}
	})
}

func TestEndOfStream(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		tls  bool
		sent []byte
		want error
	}{
		{"clear", false, []byte("<presence"), io.EOF},
		{"nothing", true, nil, io.EOF},
		{"whole record", true, record(100), io.EOF},
		{"half a record", true, record(100)[:50], io.ErrUnexpectedEOF},
		{"header only", true, record(100)[:5], io.ErrUnexpectedEOF},
		{"half a header", true, record(100)[:3], io.ErrUnexpectedEOF},
		{"record and a half", true, append(record(9), record(100)[:50]...), io.ErrUnexpectedEOF},
	}
	onLinks(t, func(t *testing.T, l link) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				c, peer := l.open(t, Options{})
				must(t, c.SetTLS(tt.tls))
				wrote := inBackground(func() error {
					defer func() { _ = peer.Close() }()
					if len(tt.sent) == 0 {
						return nil // an empty write to a net.Pipe waits for a reader
					}
					_, err := peer.Write(tt.sent)
					return err
				})
				buf := make([]byte, 1000)
				var got []byte
				for len(got) < len(tt.sent) {
					n, err := c.Read(buf)
					must(t, err)
					got = append(got, buf[:n]...)
				}
				must(t, await(t, wrote, "the write"))
				if !bytes.Equal(got, tt.sent) {
					t.Errorf("read %q, want %q", got, tt.sent)
				}
				for range 2 {
					if err := c.WaitReadable(); err != tt.want {
						t.Errorf("WaitReadable: %v, want %v", err, tt.want)
					}
					if n, err := c.Read(buf); n != 0 || err != tt.want {
						t.Errorf("Read = %d, %v; want 0, %v", n, err, tt.want)
					}
				}
			})
		}
	})
}

// TestReadOneRecord: with room for several records Read returns one.
func TestReadOneRecord(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		must(t, c.SetTLS(true))
		sizes := []int{1, 300, 0, 16401, 2, 18432, 5}
		var stream []byte
		ends := map[int]bool{}
		for _, n := range sizes {
			stream = append(stream, record(n)...)
			ends[len(stream)] = true
		}
		wrote := inBackground(func() error { _, err := peer.Write(stream); return err })
		buf := make([]byte, 64<<10)
		var got []byte
		for len(got) < len(stream) {
			if len(got)%2 == 0 {
				must(t, c.WaitReadable())
			}
			n, err := c.Read(buf)
			must(t, err)
			for at := len(got) + 1; at < len(got)+n; at++ {
				if ends[at] {
					t.Fatalf("Read from %d to %d goes over the end of a record at %d", len(got), len(got)+n, at)
				}
			}
			got = append(got, buf[:n]...)
		}
		must(t, await(t, wrote, "the write"))
		if !bytes.Equal(got, stream) {
			t.Error("data differ")
		}
	})
}

func TestReadDeadline(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		must(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		err := c.WaitReadable()
		wantErr(t, "WaitReadable", err, os.ErrDeadlineExceeded)
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			t.Errorf("%#v is no timeout", err)
		}
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read", err, os.ErrDeadlineExceeded)
		if c.in.mem != nil {
			t.Error("memory held after the deadline")
		}

		// The Conn stays usable.
		must(t, c.SetDeadline(time.Time{}))
		got := inBackground(c.WaitReadable)
		must(t, c.SetReadDeadline(time.Unix(1, 0))) // interrupts
		wantErr(t, "WaitReadable", await(t, got, "the interrupted wait"), os.ErrDeadlineExceeded)
		must(t, c.SetReadDeadline(time.Time{}))
		wrote := inBackground(func() error { _, err := peer.Write([]byte{42}); return err })
		if p := readExactly(t, c, 1); p[0] != 42 {
			t.Errorf("read %v", p)
		}
		must(t, await(t, wrote, "the write"))
	})
}

func TestCloseWhileWaiting(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		for name, end := range map[string]func(*Conn){
			"Close":           func(c *Conn) { _ = c.Close() },
			"CloseAfterDrain": func(c *Conn) { c.CloseAfterDrain(50 * time.Millisecond) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c, _ := l.open(t, Options{})
				got := inBackground(c.WaitReadable)
				end(c)
				wantErr(t, "WaitReadable", await(t, got, "the interrupted wait"), net.ErrClosed)
				_, err := c.Read(make([]byte, 1))
				wantErr(t, "Read", err, net.ErrClosed)
				_, err = c.Write([]byte{1})
				wantErr(t, "Write", err, net.ErrClosed)
				wantErr(t, "SetReadDeadline", c.SetReadDeadline(time.Time{}), net.ErrClosed)
				wantErr(t, "SetTLS", c.SetTLS(true), net.ErrClosed)
			})
		}
	})
}

func TestCloseFreesBuffer(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		wrote := inBackground(func() error { _, err := peer.Write([]byte{1}); return err })
		must(t, c.WaitReadable())
		must(t, await(t, wrote, "the write"))
		for range 2 {
			must(t, c.Close())
		}
		if c.Buffered() != 0 || c.in.mem != nil {
			t.Error("buffer held after Close")
		}
		wantErr(t, "WaitReadable", c.WaitReadable(), net.ErrClosed)
	})
}

// TestSetTLSRefusesClearBytes: an attacker who puts bytes before the client's
// handshake must not have them taken for secured ones.
func TestSetTLSRefusesClearBytes(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		wrote := inBackground(func() error { _, err := peer.Write([]byte("x")); return err })
		must(t, c.WaitReadable())
		must(t, await(t, wrote, "the write"))
		wantErr(t, "SetTLS", c.SetTLS(true), ErrBuffered)
		must(t, c.SetTLS(false))
		readExactly(t, c, 1)
		must(t, c.SetTLS(true))
		must(t, c.SetTLS(true)) // nothing to change
	})
}

func TestAddr(t *testing.T) {
	t.Parallel()
	c, peer := links[0].open(t, Options{})
	if c.LocalAddr().String() != peer.RemoteAddr().String() || c.RemoteAddr().String() != peer.LocalAddr().String() {
		t.Errorf("addresses %v, %v differ from the peer's", c.LocalAddr(), c.RemoteAddr())
	}
}
