package negotiate_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/negotiate"
)

// pipe is a transport whose stream is open, and its peer.
func pipe(t *testing.T, o negotiate.ConnOptions) (*negotiate.ConnTransport, net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	tr := negotiate.NewConnTransport(server, &o)
	if err := tr.WriteHeader(negotiate.Header{From: "example.net"}); err != nil {
		t.Fatal(err)
	}
	return tr, client
}

// TestConnTransportSlowPeer: core-im LC-24, LIM-18.
func TestConnTransportSlowPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr, client := pipe(t, negotiate.ConnOptions{MaxPending: 1000})
		defer client.Close()
		if err := tr.Write(bytes.Repeat([]byte("x"), 800)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // a goroutine holds those and waits
		if got := tr.Pending(); got != 0 {
			t.Errorf("%d octets pending behind those being written", got)
		}
		if err := tr.Write(bytes.Repeat([]byte("x"), 800)); err != nil {
			t.Fatal(err)
		}
		if err := tr.Write(bytes.Repeat([]byte("x"), 201)); !errors.Is(err, mux.ErrOverflow) {
			t.Errorf("error %v, want ErrOverflow", err)
		}
		if got := tr.Pending(); got != 800 {
			t.Errorf("%d octets pending, want 800", got)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if err := tr.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v, want that of the write", err)
		}
		if _, err := tr.ReadElement(t.Context()); err == nil {
			t.Error("the reader does not hear of it")
		}
		tr.Finish()
	})
}

// TestConnTransportClose: RFC 6120 §4.4, core-im LC-7.
func TestConnTransportClose(t *testing.T) {
	t.Parallel()
	const head = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='example.net'>"
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"properly", nil, head + "</stream:stream>"},
		{"stream error", stream.Conflict, expand(head + "{error conflict}")},
		{"at once", errors.New("x"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr, client := pipe(t, negotiate.ConnOptions{})
				got := make(chan string, 1)
				go func() {
					b, _ := io.ReadAll(client) // ends when the server closes
					got <- string(b)
				}()
				tr.Close(tt.err)
				tr.Close(stream.Reset) // too late
				if err := tr.WriteElement([]byte("<x/>")); err == nil {
					t.Error("writes after its end")
				}
				before := time.Now()
				tr.Finish()
				if s := <-got; s != tt.want {
					t.Errorf("sent %s, want %s", s, tt.want)
				}
				want := 5 * time.Second // the peer says nothing
				if tt.want == "" {
					want = 0
				}
				if d := time.Since(before); d != want {
					t.Errorf("closed after %v, want %v", d, want)
				}
			})
		})
	}
}

// TestConnTransportFinishAfterGarbage: what broke the stream is not waited for
// to make sense, nor is the end of the peer's answer missed.
func TestConnTransportFinishAfterGarbage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, trusted()).connect()
		defer p.stop()
		p.run(opened + "C: <a></b>\nS: {error not-well-formed}\nC: <more>\nC: </more>{end}")
		if p.closed() {
			t.Error("closed before the peer was")
		}
		time.Sleep(5 * time.Second)
		if !p.closed() {
			t.Error("not closed")
		}
	})
}

// TestConnTransportBytewise: core-im XS-1, XS-18, nothing waits for more than it
// needs.
func TestConnTransportBytewise(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, trusted()).connect()
		defer p.stop()
		for _, step := range []struct{ send, want string }{
			{"<?xml version='1.0'?>\n{open}", "{head}{auth}"},
			{" \n{romeo}", "{success}"},
			{"{open}", "{head}{bind}"},
			{"<iq type='set' id='1'><bind{ns}><resource>x</resource></bind></iq>", "<iq to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>"},
			{"{end}", "{end}"},
		} {
			for _, b := range []byte(expand(step.send)) {
				p.send(string(b))
			}
			p.expect(expand(step.want))
		}
	})
}

// TestConnTransportBroken: the end of the connection is not that of the stream
// (core-im LC-8).
func TestConnTransportBroken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, trusted()).connect()
		p.run(loggedIn + bindX + boundX)
		p.stop()
		if !errors.Is(p.err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v, want an unexpected end", p.err)
		}
	})
}

// TestReceiveErrors: after the negotiation, too.
func TestReceiveErrors(t *testing.T) {
	t.Parallel()
	play(t, []transcript{
		{name: "restricted", text: loggedIn + bindX + boundX + "C: <?pi?>\nS: {error restricted-xml}", err: "restricted-xml"},
		{name: "big stanza", text: loggedIn + bindX + boundX + "C: <iq type='get' id='1' to='example.net'><x xmlns='urn:x'>" + strings.Repeat("x", 100<<10) + "</x></iq>\n" +
			"S: <iq from='example.net' to='romeo@example.net/x' type='error' id='1'><error type='cancel'><service-unavailable{stanzas}/></error></iq>"},
		{name: "too big stanza", text: loggedIn + bindX + boundX + "C: <message>" + strings.Repeat("x", 256<<10) + "\n" +
			"S: <stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><stanza-too-big xmlns='urn:xmpp:errors'/></stream:error>{end}", err: "policy-violation"},
		{name: "unknown element", text: loggedIn + bindX + boundX + "C: <x xmlns='urn:x'/>\nS: {error unsupported-stanza-type}", err: "unsupported-stanza-type"},
		{name: "authentication", text: loggedIn + bindX + boundX + "C: {romeo}\nS: {error not-authorized}", err: "not-authorized"},
		{name: "from somebody else", text: loggedIn + bindX + boundX + "C: <message from='juliet@example.net'/>\nS: {error invalid-from}", err: "invalid-from"},
	})
}

const boundX = "S: <iq to='romeo@example.net/x' type='result' id='1'><bind{ns}><jid>romeo@example.net/x</jid></bind></iq>\n"

// TestOutputIsXML: an independent parser takes what is sent.
func TestOutputIsXML(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (Debian package libxml2-utils): %v", err)
	}
	for _, tt := range []struct{ name, text string }{
		{"host", "C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='a&amp;apos;b@example.org' to='x' version='1'>"},
		{"failures", "C: {open}{romeo}<abort{sasl}/>"},
		{"too big", "C: {open}<a>" + strings.Repeat("x", 33<<10)},
		{"errors", "C: {open}<iq type='get' id='&lt;&amp;&quot;&apos;&gt;]]&gt;'/>{end}"},
		{"silence", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var sent string
			synctest.Test(t, func(t *testing.T) {
				p := newSite(t, trusted()).connect()
				p.run(tt.text)
				p.take()
				time.Sleep(2 * time.Minute)
				p.stop()
				sent = p.output()
			})
			lint(t, path, sent)
		})
	}
}

// lint checks the first stream of what was sent: after a success, a second one
// follows in the same bytes.
func lint(t *testing.T, path, sent string) {
	t.Helper()
	if i := strings.LastIndex(sent, "<?xml"); i > 0 {
		lint(t, path, sent[:i]+"</stream:stream>")
		sent = sent[i:]
	}
	if sent == "" {
		t.Error("nothing was sent")
	}
	cmd := exec.Command(path, "--nonet", "--noout", "-")
	cmd.Stdin = strings.NewReader(sent)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// Namespace faults leave the status at 0 and show on standard error alone.
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v\n%s\n%s", err, stderr.String(), sent)
	}
}
