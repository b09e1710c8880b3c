package version_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/version"
)

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{Extensions: func() []mux.Extension {
			return []mux.Extension{version.New("Rose & Co", "1.0 <beta>", &version.Options{OS: "Verona"})}
		}}
	})
}

// TestNoSystem: XEP-0092 §5, the operating system is told only if asked for.
func TestNoSystem(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, version.New("Rose", "1.0", nil))
	c := h.Connect(t, "romeo@example.net/orchard")
	c.Send("<iq type='get' to='example.net' id='1'><query xmlns='jabber:iq:version'/></iq>")
	c.Expect("<iq type='result' from='example.net' to='romeo@example.net/orchard' id='1'><query xmlns='jabber:iq:version'><name>Rose</name><version>1.0</version></query></iq>")
}

func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, version.New("Rose", "1.0", nil))
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{version.NS}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, software, version, os string }{
		{"no name", "", "1", ""},
		{"no version", "Rose", "", ""},
		{"illegal name", "Rose\x00", "1", ""},
		{"illegal version", "Rose", "\xff", ""},
		{"illegal system", "Rose", "1", "\x01"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := mux.New(nil, nil, version.New(tt.software, tt.version, &version.Options{OS: tt.os}))
			if !errors.Is(err, version.ErrOptions) {
				t.Errorf("error %v, want %v", err, version.ErrOptions)
			}
		})
	}
}
