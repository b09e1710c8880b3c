package muxtest

import (
	"context"
	"errors"
	"io"
	"net"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/mux"
)

// Session is a session of mellium for a full address, on a pipe to the host, where it is
// bound without a login; the account is made if it is not there. It is for tests of what
// extensions offer to clients. Whoever has it serves it; the pipe is closed when the test
// ends.
func (h *Host) Session(full string) *xmpp.Session {
	h.t.Helper()
	a := mux.MustParseAddress(full)
	h.AddAccount(a.Bare().String())
	near, far := net.Pipe()
	bound := make(chan error, 1)
	go func() { bound <- h.receive(far, a) }()
	s, err := xmpp.NewSession(context.Background(), jid.MustParse(a.Domain()), a.JID(), near, 0, headers(full, a.Domain()))
	if err = errors.Join(err, <-bound); err != nil {
		h.t.Fatalf("%s: %v", full, err)
	}
	h.t.Cleanup(func() {
		near.Close()
		far.Close()
		if h.bubble {
			synctest.Wait()
		}
	})
	return s
}

// receive begins the other side.
func (h *Host) receive(conn net.Conn, a mux.Address) error {
	s, err := xmpp.ReceiveSession(context.Background(), conn, 0, headers(a.Domain(), a.String()))
	if err != nil {
		return err
	}
	st := h.Mux().NewStream(mux.SessionConn(s, 0), mux.Client)
	st.SetAccount(a.Bare())
	if _, err := st.Bind(context.Background(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		return err
	}
	go func() { _ = mux.Serve(context.Background(), st, s) }() // ends with the connection
	return nil
}

// headers stands for a login: both sides send the header of a stream and read the other's.
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
