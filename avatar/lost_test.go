package avatar_test

import (
	"errors"
	"testing"
)

// TestAfterFailure: who comes when the state of the account was lost, as after a failed
// commit or a restart, sees the avatar that was told last.
func TestAfterFailure(t *testing.T) {
	t.Parallel()
	play(t, nil, func(s *stage) {
		s.romeo.Send("<presence/>")
		s.juliet.Send("<presence/>", data(id1, png1, ""), metadata(id1, ""))
		s.expect("none " + id1)
		other := s.h.Connect(t, "juliet@example.net/2")
		s.commits.Hold()
		other.Send(publishing("n", "1", "<x xmlns='urn:x'/>", ""))
		s.commits.Fail(errors.New("on purpose"))
		s.commits.Release()
		s.h.Settle()
		later := s.h.Connect(t, "romeo@example.net/2")
		later.Send("<presence/>")
		if got := s.photos(later); got != id1 {
			t.Errorf("who came later got %q", got)
		}
	})
}
