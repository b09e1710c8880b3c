package server_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/propolis-im/propolis/internal/xmlscan"
)

const (
	header    = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='example.net'>"
	closing   = "</stream:stream>"
	bindIQ    = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
)

// client is a client that sends what it is told to.
type client struct {
	t    testing.TB
	conn net.Conn // TCP or TLS
	tcp  net.Conn
	sc   *xmlscan.Scanner
	buf  []byte // read and not consumed
	more []byte // room for reading
	jid  string

	patient bool // waits for ever for what comes
}

// dial connects to a listener, in clear.
func dial(t testing.TB, addr string) *client {
	t.Helper()
	tcp, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = tcp.Close() })
	c := &client{t: t, conn: tcp, tcp: tcp}
	c.restart()
	return c
}

func (c *client) restart() {
	c.sc = new(xmlscan.Scanner)
	c.sc.Reset(xmlscan.Limits{Bytes: 4 << 20})
}

// secure makes the TLS handshake.
func (c *client) secure(name string, protos ...string) {
	c.t.Helper()
	t := tls.Client(c.tcp, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: protos})
	must(c.t, t.Handshake())
	c.conn = t
	c.restart()
}

// dialTLS connects with TLS from the first byte.
func dialTLS(t testing.TB, s *site) *client {
	t.Helper()
	c := dial(t, s.direct)
	c.secure(domain, "xmpp-client")
	return c
}

// send writes bytes, and does not mind if the server does not want them any more.
func (c *client) send(text string) {
	c.t.Helper()
	if err := c.write(text); err != nil && !gone(err) {
		c.t.Fatal(err)
	}
}

// write is send for goroutines that are not the test's.
func (c *client) write(text string) error {
	if err := c.tcp.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, text)
	return err
}

// gone says that the connection was ended from the other side.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.ErrUnexpectedEOF)
}

// What next returns beside elements.
const end = "(end of the connection)"

// next returns the next element as it was sent, a stream header, the end tag of
// the stream, or end.
func (c *client) next() string {
	c.t.Helper()
	got, err := c.try()
	if gone(err) {
		return end
	}
	if err != nil {
		c.t.Fatalf("waiting for the server: %v; have %q", err, c.buf)
	}
	return got
}

// try is next for goroutines that are not the test's.
func (c *client) try() (string, error) {
	deadline := time.Now().Add(patience)
	if c.patient {
		deadline = time.Time{}
	}
	if err := c.tcp.SetReadDeadline(deadline); err != nil {
		return "", err
	}
	for {
		k, n, err := c.sc.Next(c.buf)
		if err != nil {
			return "", err
		}
		if k == xmlscan.None {
			if c.more == nil {
				c.more = make([]byte, 16<<10)
			}
			m, err := c.conn.Read(c.more)
			if m == 0 && err != nil {
				return "", err
			}
			c.buf = append(c.buf, c.more[:m]...)
			continue
		}
		text := string(c.buf[:n])
		c.buf = c.buf[n:]
		if k != xmlscan.Space {
			return text, nil
		}
	}
}

// expect wants exactly these elements.
func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.next(); got != w {
			c.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// streamError wants the stream to end with that error and nothing else.
func (c *client) streamError(condition string) {
	c.t.Helper()
	c.expect(streamError(condition, ""), closing, end)
}

func streamError(condition, app string) string {
	return "<stream:error><" + condition + " xmlns='" + nsStreams + "'/>" + app + "</stream:error>"
}

const tooBig = "<stanza-too-big xmlns='urn:xmpp:errors'/>"

var streamID = regexp.MustCompile(` id='[0-9A-Z]{26}'`)

// header wants a stream header of the server, and returns it without its id.
func (c *client) header() string {
	c.t.Helper()
	got := c.next()
	if !strings.HasPrefix(got, "<?xml version='1.0'?><stream:stream ") || !streamID.MatchString(got) {
		c.t.Fatalf("got %s, want a stream header", got)
	}
	return streamID.ReplaceAllString(got, "")
}

// features opens a stream and returns what is offered.
func (c *client) features() string {
	c.t.Helper()
	c.send(header)
	c.header()
	return c.next()
}

func plainText(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

func authElement(user, password string) string {
	return "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + plainText(user, password) + "</auth>"
}

// login authenticates, and opens the stream that follows.
func (c *client) login(user string) {
	c.t.Helper()
	c.features()
	c.send(authElement(user, "secret"))
	c.expect("<success xmlns='" + nsSASL + "'/>")
	c.restart()
	c.features()
}

// bind gets a resource.
func (c *client) bind(resource string) {
	c.t.Helper()
	el := ""
	if resource != "" {
		el = "<resource>" + resource + "</resource>"
	}
	c.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>" + el + "</bind></iq>")
	c.bound()
}

// bound wants the result of a bind.
func (c *client) bound() {
	c.t.Helper()
	got := c.next()
	_, rest, _ := strings.Cut(got, "<jid>")
	jid, _, ok := strings.Cut(rest, "</jid>")
	if !ok || !strings.Contains(got, "type='result'") {
		c.t.Fatalf("got %s, want the result of bind", got)
	}
	c.jid = jid
}

// enter is a client with a session, over direct TLS.
func enter(t testing.TB, s *site, user, resource string) *client {
	t.Helper()
	c := dialTLS(t, s)
	c.login(user)
	c.bind(resource)
	return c
}

// message is a chat message as the server is to send it on, and tell what to
// send for it.
func message(from, to, body string) (send, want string) {
	send = "<message type='chat' to='" + to + "'><body>" + body + "</body></message>"
	return send, "<message from='" + from + "' to='" + to + "' type='chat'><body>" + body + "</body></message>"
}

// says sends a message to another client, who gets it.
func (c *client) says(to *client, body string) {
	c.t.Helper()
	send, want := message(c.jid, to.jid, body)
	c.send(send)
	to.expect(want)
}

// alive wants an answer, before which nothing else comes.
func (c *client) alive() {
	c.t.Helper()
	c.send("<iq type='get' id='alive'><x xmlns='urn:example:unknown'/></iq>")
	if got := c.next(); !strings.Contains(got, "id='alive'") {
		c.t.Fatalf("got %s, want the answer to a request", got)
	}
}
