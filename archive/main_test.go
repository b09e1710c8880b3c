package archive_test

import (
	"testing"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		store := new(archive.Memory)
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), NoRecover: true},
			Extensions: func() []mux.Extension {
				return []mux.Extension{archive.New(store, &archive.Options{Prefs: store})}
			},
		}
	})
}
