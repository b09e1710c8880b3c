package bookmarks_test

import (
	"context"
	"errors"
	"strings"
	"testing/synctest"

	"mellium.im/xmpp"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// device is a client of an account on a stage.
type device struct {
	session *xmpp.Session
	pep     *pep.Client
}

// device connects a client.
func (s *stage) device(full string) *device {
	s.t.Helper()
	c := s.h.Session(full)
	d := &device{c, pep.NewClient(c, nil)}
	go func() { _ = c.Serve(xmppmux.New(stanza.NSClient, d.pep.Handle())) }() // ends with the connection
	s.t.Cleanup(d.pep.Close)
	return d
}

// begin sends presence that says what the device watches, and reads that.
func (s *stage) begin(d *device) {
	s.t.Helper()
	var nodes []string
	for _, f := range d.pep.Features() {
		nodes = append(nodes, strings.TrimSuffix(f, "+notify"))
	}
	caps := mux.Raw("<c xmlns='x:caps'>" + strings.Join(nodes, " ") + "</c>")
	err := d.session.Send(context.Background(), stanza.Presence{}.Wrap(caps.TokenReader()))
	if err = errors.Join(err, d.pep.Begin(context.Background())); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}
