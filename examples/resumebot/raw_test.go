package main

import (
	"context"
	"encoding/base64"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// peer is the client's end of a connection, played by a test.
type peer struct {
	t *testing.T
	c net.Conn

	mu  sync.Mutex
	got string
}

// raw is a client that has bound its resource.
func (s *site) raw(t *testing.T) *peer {
	c, err := s.dial(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, c: c}
	go p.read()
	t.Cleanup(func() { _ = c.Close() }) // it may be closed
	const header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.net' version='1.0'>"
	p.say(header)
	p.want("</stream:features>")
	p.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + base64.StdEncoding.EncodeToString([]byte("\x00juliet\x00x")) + "</auth>")
	p.want("<success")
	p.say(header)
	p.want("</stream:features>")
	p.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>")
	p.want("<jid>")
	return p
}

func (p *peer) read() {
	b := make([]byte, 4096)
	for {
		n, err := p.c.Read(b)
		p.mu.Lock()
		p.got += string(b[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *peer) say(text string) {
	p.t.Helper()
	if _, err := p.c.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
	synctest.Wait()
}

// want checks that something has arrived, and forgets all.
func (p *peer) want(text string) {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.Contains(p.got, text) {
		p.t.Fatalf("got %s, want %s", p.got, text)
	}
	p.got = ""
}

// What a client is told that acknowledges more than it was sent (smacks SM-38).
func TestHandledCountTooHigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newSite(t, cut{}).raw(t)
		p.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		p.say("<a xmlns='urn:xmpp:sm:3' h='10'/>")
		defer p.c.Close()
		p.want("<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" +
			"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='0'/></stream:error></stream:stream>")
	})
}
