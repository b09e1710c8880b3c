package netio

import (
	"bytes"
	"crypto/tls"
	"io"
	mathrand "math/rand/v2"
	"net"
	"reflect"
	"testing"
	"time"
)

// inside reads the state of a bytes.Buffer in a tls.Conn: what it holds and
// what it keeps allocated.
func inside(c *tls.Conn, field string) (held, allocated int) {
	b := reflect.ValueOf(c).Elem().FieldByName(field)
	buf := b.FieldByName("buf")
	return buf.Len() - int(b.FieldByName("off").Int()), buf.Cap()
}

// echo answers as a session loop would, and checks that the tls.Conn never
// reads ahead.
func echo(t *testing.T, c *Conn, server *tls.Conn) error {
	buf := make([]byte, 16<<10)
	for {
		if err := c.WaitReadable(); err != nil {
			return err
		}
		for more := true; more; more = c.Buffered() > 0 {
			n, err := server.Read(buf)
			if held, _ := inside(server, "rawInput"); held != 0 {
				t.Errorf("tls.Conn holds %d bytes after Read", held)
			}
			if err == io.EOF {
				return server.CloseWrite()
			}
			if err != nil {
				return err
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return err
			}
		}
	}
}

// converse sends records of the given sizes, several before it reads the
// answers, and ends the conversation.
func converse(t *testing.T, client *tls.Conn, sizes []int) {
	t.Helper()
	total := 0
	for _, n := range sizes {
		total += n
	}
	data := pattern(total)
	wrote := inBackground(func() error {
		for rest := data; len(sizes) > 0; sizes = sizes[1:] {
			if _, err := client.Write(rest[:sizes[0]]); err != nil {
				return err
			}
			rest = rest[sizes[0]:]
		}
		return client.CloseWrite()
	})
	got, err := io.ReadAll(client)
	must(t, err)
	must(t, await(t, wrote, "the client's writes"))
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back of %d, or they differ", len(got), total)
	}
}

func TestTLSRecords(t *testing.T) {
	t.Parallel()
	sizes := []int{1, 16384, 2, 16383, 3, 500, 16384, 16384, 16384}
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for range 150 {
		sizes = append(sizes, 1+r.IntN(16384), 1+r.IntN(600))
	}
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		server, client := secure(t, c, peer)
		served := inBackground(func() error { return echo(t, c, server) })
		converse(t, client, sizes)
		must(t, await(t, served, "the server"))
	})
}

// trickle writes byte by byte.
type trickle struct{ net.Conn }

func (c trickle) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestTLSTrickle(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		server, client := secure(t, c, trickle{peer})
		served := inBackground(func() error { return echo(t, c, server) })
		converse(t, client, []int{1, 100, 2000, 1})
		must(t, await(t, served, "the server"))
	})
}

// TestTLSTruncated: crypto/tls tells an end within a record from others.
func TestTLSTruncated(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		server, _ := secure(t, c, peer)
		wrote := inBackground(func() error {
			defer func() { _ = peer.Close() }()
			_, err := peer.Write(record(100)[:50])
			return err
		})
		must(t, c.WaitReadable())
		_, err := server.Read(make([]byte, 1000))
		wantErr(t, "Read", err, io.ErrUnexpectedEOF)
		must(t, await(t, wrote, "the write"))
	})
}

// TestTLSReadDeadline: a deadline that passes does not spoil the tls.Conn.
func TestTLSReadDeadline(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		server, client := secure(t, c, peer)
		must(t, server.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		_, err := server.Read(make([]byte, 10))
		if !isTimeout(err) {
			t.Fatalf("Read: %v, want a timeout", err)
		}
		must(t, server.SetReadDeadline(time.Time{}))
		wrote := inBackground(func() error { _, err := client.Write([]byte("hello")); return err })
		if p := readExactly(t, server, 5); string(p) != "hello" {
			t.Errorf("read %q", p)
		}
		must(t, await(t, wrote, "the write"))
	})
}

// torn is a connection whose end a tls.Conn does not take for a good one if
// there was no close_notify: it would accept io.EOF between records.
type torn struct{ net.Conn }

func (c torn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = io.ErrClosedPipe
	}
	return n, err
}

// TestTLSWriteWithoutReader: a mebibyte is accepted at once, and with a
// stream's last words and the close_notify it arrives after CloseAfterDrain.
func TestTLSWriteWithoutReader(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		server, client := secure(t, c, torn{peer})
		data := pattern(1 << 20)
		_, err := server.Write(data)
		must(t, err)
		if c.Pending() < len(data)/2 {
			t.Errorf("only %d bytes pending", c.Pending())
		}
		_, err = server.Write([]byte("</stream:stream>"))
		must(t, err)
		must(t, server.CloseWrite())
		c.CloseAfterDrain(patience)
		got, err := io.ReadAll(client)
		must(t, err)
		if want := string(data) + "</stream:stream>"; string(got) != want {
			t.Errorf("%d bytes arrived of %d, or they differ", len(got), len(want))
		}
		must(t, peer.Close())
		await(t, c.Done(), "the end")
	})
}

// TestTLSCloseStuckPeer: neither tls.Conn.Close nor what leads to it waits for
// a peer that does not read.
func TestTLSCloseStuckPeer(t *testing.T) {
	t.Parallel()
	onLinks(t, func(t *testing.T, l link) {
		c, peer := l.open(t, Options{})
		server, _ := secure(t, c, peer)
		_, err := server.Write(make([]byte, 1<<20))
		must(t, err)
		must(t, await(t, inBackground(server.Close), "Close"))
		await(t, c.Done(), "the end")
	})
}

// TestTLSRetained documents what an idle tls.Conn keeps: a buffer for its
// longest record so far and one for handshake messages.
func TestTLSRetained(t *testing.T) {
	t.Parallel()
	c, peer := links[0].open(t, Options{})
	server, client := secure(t, c, peer)
	look := func(when string) int {
		_, raw := inside(server, "rawInput")
		_, hand := inside(server, "hand")
		t.Logf("%s: rawInput %d bytes, hand %d bytes", when, raw, hand)
		return raw
	}
	exchange := func(n int) {
		wrote := inBackground(func() error { _, err := client.Write(make([]byte, n)); return err })
		must(t, c.WaitReadable())
		readExactly(t, server, n)
		must(t, await(t, wrote, "the write"))
	}
	if n := look("after the handshake"); n > 6<<10 {
		t.Errorf("rawInput has grown to %d bytes in the handshake", n)
	}
	for range 100 {
		exchange(400)
	}
	look("after small records")
	for range 100 {
		exchange(16384)
	}
	if n := look("after records of 16 KiB"); n > 24<<10 {
		t.Errorf("rawInput has grown to %d bytes", n)
	}
}
