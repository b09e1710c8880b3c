package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// flight is how much goes there before what comes back.
type flight struct{ sent, got int }

// flights counts those of a connection.
type flights struct {
	net.Conn
	list []flight
}

// Write implements net.Conn.
func (f *flights) Write(p []byte) (int, error) {
	if n := len(f.list); n == 0 || f.list[n-1].got > 0 {
		f.list = append(f.list, flight{})
	}
	f.list[len(f.list)-1].sent += len(p)
	return f.Conn.Write(p)
}

// Read implements net.Conn.
func (f *flights) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.list[len(f.list)-1].got += n
	return n, err
}

// floor is one with flights of the same sizes behind it, each of which says how much
// is to come back.
func (m *meter) floor(list []flight) func(int) *client {
	var texts []string
	for _, f := range list {
		text := fmt.Sprintf("%d %d ", f.sent, f.got)
		texts = append(texts, text+strings.Repeat("x", f.sent-len(text)))
	}
	return func(int) *client {
		c, _ := m.dial(m.p.bare)
		for i, text := range texts {
			c.send(text)
			_, err := io.ReadFull(c.conn, make([]byte, list[i].got))
			must(m.b, err)
		}
		return c
	}
}

// handshakes accepts connections, makes the TLS handshake, and answers what comes
// with as many octets as it says.
func handshakes() (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate}
	go func() {
		for {
			c, err := tight{l}.Accept()
			if err != nil {
				return
			}
			go shakeHands(tls.Server(c, config))
		}
	}()
	return l.Addr().String(), nil
}

var answers [16 << 10]byte

func shakeHands(t *tls.Conn) {
	defer t.Close()
	if t.Handshake() != nil {
		return // the client notices
	}
	p := make([]byte, 1024)
	for {
		n, err := t.Read(p)
		if err != nil {
			return
		}
		sent, rest, _ := strings.Cut(string(p[:min(n, 32)]), " ")
		got, _, _ := strings.Cut(rest, " ")
		take, err1 := strconv.Atoi(sent)
		give, err2 := strconv.Atoi(got)
		if err1 != nil || err2 != nil {
			return
		}
		for n < take {
			more, err := t.Read(p)
			if err != nil {
				return
			}
			n += more
		}
		if _, err := t.Write(answers[:give]); err != nil {
			return
		}
	}
}
