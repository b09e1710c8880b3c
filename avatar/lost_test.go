package avatar_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/avatar"
)

// TestCardWithoutWhatWasNotShown: an avatar that the card could not show is not switched
// off by a card that is set without it.
func TestCardWithoutWhatWasNotShown(t *testing.T) {
	t.Parallel()
	for name, publish := range map[string][]string{
		"elsewhere": {publishing(avatar.NSMetadata, id1, "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='"+id1+"' bytes='11' type='image/png' url='https://x/'/></metadata>", "")},
		"pointer":   {publishing(avatar.NSMetadata, "x", "<metadata xmlns='urn:xmpp:avatar:metadata'><pointer><x xmlns='urn:x'/></pointer></metadata>", "")},
		"no data":   {metadata(id1, "")},
	} {
		play(t, nil, func(s *stage) {
			s.juliet.Send("<presence><c xmlns='x:caps'>urn:xmpp:avatar:metadata</c></presence>")
			s.juliet.Send(publish...)
			s.juliet.Clear()
			s.juliet.Send(card("<FN>J</FN>"))
			if got := strings.Join(s.juliet.Arrived(), ""); strings.Contains(got, "<event") || !strings.Contains(got, "result") {
				t.Errorf("%s: got %s", name, got)
			}
		})
	}
	// One that is shown is switched off.
	play(t, nil, func(s *stage) {
		s.juliet.Send("<presence><c xmlns='x:caps'>urn:xmpp:avatar:metadata</c></presence>", data(id1, png1, ""), metadata(id1, ""))
		s.juliet.Clear()
		s.juliet.Send(card("<FN>J</FN>"))
		if got := strings.Join(s.juliet.Arrived(), ""); !strings.Contains(got, "<metadata xmlns='urn:xmpp:avatar:metadata'/>") {
			t.Errorf("got %s", got)
		}
	})
}

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
