package bookmarks_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// headers stands for a login: it exchanges stream headers, no more.
func headers(local, remote string) xmpp.Negotiator {
	return func(_ context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		*in = stream.Info{XMLNS: stanza.NSClient, To: jid.MustParse(local), From: jid.MustParse(remote)}
		*out = stream.Info{XMLNS: stanza.NSClient, To: in.From, From: in.To}
		written := make(chan error, 1)
		go func() {
			_, err := io.WriteString(s.Conn(), "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>")
			written <- err
		}()
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Ready, nil, nil, errors.Join(err, <-written)
	}
}

// device is a client of an account on a stage.
type device struct {
	session *xmpp.Session
	pep     *pep.Client
	conn    net.Conn
}

// device connects a client.
func (s *stage) device(full string) *device {
	s.t.Helper()
	a := mux.MustParseAddress(full)
	s.h.AddAccount(a.Bare().String())
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() {
		srv, err := xmpp.ReceiveSession(context.Background(), far, 0, headers(a.Domain(), full))
		if err != nil {
			served <- err
			return
		}
		st := s.h.Mux().NewStream(mux.SessionConn(srv, 0), mux.Client)
		st.SetAccount(a.Bare())
		_, err = st.Bind(context.Background(), &mux.BindOptions{Resource: a.Resource()})
		served <- err
		if err == nil {
			_ = mux.Serve(context.Background(), st, srv) // ends with the connection
		}
	}()
	c, err := xmpp.NewSession(context.Background(), jid.MustParse(a.Domain()), jid.MustParse(full), near, 0, headers(full, a.Domain()))
	if err = errors.Join(err, <-served); err != nil {
		s.t.Fatal(err)
	}
	d := &device{c, pep.NewClient(c, nil), near}
	go func() { _ = c.Serve(xmppmux.New(stanza.NSClient, d.pep.Handle())) }() // ends with the connection
	s.t.Cleanup(func() {
		d.pep.Close()
		near.Close()
		far.Close()
		synctest.Wait()
	})
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
