package avatar_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"

	xmppmux "mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/pep"
)

// client is a client of an account on a stage, and package pep's below it.
func (s *stage) client(full string) (*avatar.Client, *pep.Client) {
	s.t.Helper()
	session := s.h.Session(full)
	nodes := pep.NewClient(session, nil)
	go func() { _ = session.Serve(xmppmux.New(stanza.NSClient, nodes.Handle())) }() // ends with the connection
	s.t.Cleanup(nodes.Close)
	return wired(session, session.LocalAddr().Bare(), nodes, http.DefaultClient), nodes
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
