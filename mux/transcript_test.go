package mux_test

import (
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func TestTranscripts(t *testing.T) {
	t.Parallel()
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), Sessions: new(mux.MemorySessions)},
			Extensions: func() []mux.Extension {
				var log []string
				return []mux.Extension{member{"one", mux.InBind, &log, false}, member{"two", mux.InBind, &log, false}, &csi{}, &smacks{keep: time.Hour}, writing(), new(quietStore)}
			},
		}
	})
}
