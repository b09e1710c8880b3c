package csi_test

import (
	"testing"

	"github.com/propolis-im/propolis/csi"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// TestTranscripts plays the exchanges in testdata.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{
			Options:    mux.Options{NoRecover: true, Committer: new(muxtest.Committer), Sessions: new(mux.MemorySessions)},
			Extensions: func() []mux.Extension { return []mux.Extension{csi.New(nil), new(tracker)} },
		}
	})
}
