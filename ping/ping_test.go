package ping_test

import (
	"slices"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/ping"
)

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{Extensions: func() []mux.Extension { return []mux.Extension{ping.New()} }}
	})
}

// TestFeature: XEP-0199 §5.
func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, ping.New())
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{ping.NS}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
}
