package avatar_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// headers stands for a login: both sides send the header of a stream and read the other's.
func headers(local, remote string) xmpp.Negotiator {
	return func(_ context.Context, in, out *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
		*in = stream.Info{XMLNS: stanza.NSClient, To: jid.MustParse(local), From: jid.MustParse(remote)}
		*out = stream.Info{XMLNS: stanza.NSClient, To: in.From, From: in.To}
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(s.Conn(), "<stream:stream xmlns='jabber:client' xmlns:stream='"+stream.NS+"' version='1.0'>")
			sent <- err
		}()
		r := s.TokenReader()
		defer r.Close()
		_, err := r.Token()
		return xmpp.Ready, nil, nil, errors.Join(err, <-sent)
	}
}

// client is a client of an account on a stage, and package pep's below it.
func (s *stage) client(full string) (*avatar.Client, *pep.Client) {
	s.t.Helper()
	a := addr(full)
	near, far := net.Pipe()
	bound := make(chan error, 1)
	go func() {
		srv, err := xmpp.ReceiveSession(context.Background(), far, 0, headers(a.Domain(), full))
		if err != nil {
			bound <- err
			return
		}
		st := s.h.Mux().NewStream(mux.SessionConn(srv, 0), mux.Client)
		st.SetAccount(a.Bare())
		_, err = st.Bind(context.Background(), &mux.BindOptions{Resource: a.Resource()})
		bound <- err
		_ = mux.Serve(context.Background(), st, srv) // ends with the connection
	}()
	session, err := xmpp.NewSession(s.t.Context(), jid.MustParse(a.Domain()), jid.MustParse(full), near, 0, headers(full, a.Domain()))
	if err = errors.Join(err, <-bound); err != nil {
		s.t.Fatal(err)
	}
	nodes := pep.NewClient(session, nil)
	go func() { _ = session.Serve(xmppmux.New(stanza.NSClient, nodes.Handle())) }() // ends with the connection
	s.t.Cleanup(func() {
		nodes.Close()
		near.Close()
		far.Close()
		synctest.Wait()
	})
	return wired(session, a.Bare().JID(), nodes, http.DefaultClient), nodes
}

// TestJoint: the client's side with the server's: an avatar is published, found at the
// node and in the card, and switched off.
func TestJoint(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		ctx := s.t.Context()
		j, nodes := s.client("juliet@example.net/client")
		r, _ := s.client("romeo@example.net/client")
		nurse, _ := s.client("nurse@example.net/client")
		support, err := nodes.Discover(ctx)
		if err != nil || !support.AvatarConversion {
			t.Errorf("%+v, error %v", support, err)
		}
		id, err := j.Publish(ctx, avatar.Image{Data: png1, Width: 4}, pep.AccessPresence)
		if err != nil || id != id1 {
			t.Fatalf("published %q, error %v", id, err)
		}
		m, err := r.Metadata(ctx, juliet)
		if err != nil || len(m.Infos) != 1 || m.Infos[0] != (avatar.Info{ID: id1, Type: "image/png", Bytes: len(png1), Width: 4}) {
			t.Fatalf("metadata %+v, error %v", m, err)
		}
		var same avatar.Metadata // as who watches the node reads an event
		if p, err := nodes.Newest(ctx, juliet, avatar.NSMetadata); err != nil || p.Decode(&same) != nil || len(same.Infos) != 1 || same.Infos[0] != m.Infos[0] {
			t.Errorf("metadata %+v, error %v", same, err)
		}
		if got, err := r.Fetch(ctx, juliet, m); err != nil || !bytes.Equal(got.Data, png1) || got.Width != 4 {
			t.Errorf("got %+v, error %v", got, err)
		}
		again, _ := s.client("romeo@example.net/again")
		if got, err := again.FetchHash(ctx, juliet, id1); err != nil || !bytes.Equal(got.Data, png1) {
			t.Errorf("got %+v, error %v", got, err)
		}
		if _, err := nurse.FetchHash(ctx, juliet, id1); !errors.Is(err, avatar.ErrNone) {
			t.Errorf("error %v", err)
		}
		if _, err := nurse.Metadata(ctx, juliet); !errors.Is(err, pep.ErrPresenceRequired) {
			t.Errorf("error %v", err)
		}
		if _, err := j.Publish(ctx, avatar.Image{Data: png2}, pep.AccessOpen); !errors.Is(err, pep.ErrPreconditionNotMet) {
			t.Errorf("error %v", err) // the node is there, and for contacts
		}
		if err := j.Disable(ctx, pep.AccessPresence); err != nil {
			t.Error(err)
		}
		if m, err := r.Metadata(ctx, juliet); err != nil || !m.Off() {
			t.Errorf("metadata %+v, error %v", m, err)
		}
	})
}
