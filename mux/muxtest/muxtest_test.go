package muxtest_test

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func TestTranscripts(t *testing.T) {
	t.Parallel()
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer)},
			Extensions: func() []mux.Extension { return []mux.Extension{greeter{}} },
		}
	})
}
