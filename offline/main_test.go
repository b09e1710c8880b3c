package offline_test

import (
	"testing"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/carbons"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/smacks"
)

// stores are what survives a restart.
type stores struct {
	offline  offline.Memory
	archive  archive.Memory
	sessions mux.MemorySessions
	streams  smacks.Memory
}

// extensions are those that messages depend on, as they are put together: with an
// archive or without.
func (st *stores) extensions(archived bool, o offline.Options) []mux.Extension {
	var list []mux.Extension
	sm := smacks.New(&st.streams, &smacks.Options{Window: 5 * time.Minute})
	if !archived {
		return append(list, offline.New(&st.offline, &o), sm)
	}
	a := archive.New(&st.archive, &archive.Options{Prefs: &st.archive})
	o.ReadsArchive, o.Archived = a.Reads, a.Messages
	return append(list, offline.New(&st.offline, &o), a, sm)
}

// managed is stream management for sessions that wait so long, and not for a restart.
func managed(window time.Duration) mux.Extension {
	return smacks.New(nil, &smacks.Options{Window: window})
}

const (
	nsSM   = smacks.NS
	enable = "<enable xmlns='" + nsSM + "' resume='true'/>"
)

func play(t *testing.T, pattern string, archived bool, o offline.Options) {
	muxtest.Transcripts(t, pattern, func(*testing.T) muxtest.Config {
		st := new(stores)
		return muxtest.Config{
			Options:    mux.Options{Committer: new(muxtest.Committer), Sessions: &st.sessions, NoRecover: true},
			Extensions: func() []mux.Extension { return st.extensions(archived, o) },
		}
	})
}

func TestWithCarbons(t *testing.T) {
	muxtest.Transcripts(t, "testdata/copies-*.xmpp", func(*testing.T) muxtest.Config {
		st := new(stores)
		return muxtest.Config{
			Options: mux.Options{Committer: new(muxtest.Committer), Sessions: &st.sessions, NoRecover: true},
			Extensions: func() []mux.Extension {
				return append(st.extensions(true, offline.Options{}), carbons.New(&carbons.Options{StanzaID: archive.StanzaID}))
			},
		}
	})
}

func TestAlone(t *testing.T) {
	play(t, "testdata/alone-*.xmpp", false, offline.Options{MaxMessages: 4})
}

func TestWithArchive(t *testing.T) { play(t, "testdata/archive-*.xmpp", true, offline.Options{}) }
