package entitytime_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/xtime"

	"github.com/propolis-im/propolis/entitytime"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func TestTranscripts(t *testing.T) {
	muxtest.Transcripts(t, "testdata/*.xmpp", func(*testing.T) muxtest.Config {
		return muxtest.Config{Extensions: func() []mux.Extension { return []mux.Extension{entitytime.New(nil)} }}
	})
}

// TestZones: the offset has the form of XEP-0082 §3.3, utc is UTC in every zone,
// and both are what mellium's client reads.
func TestZones(t *testing.T) {
	tests := []struct {
		name string
		zone *time.Location
		tzo  string
	}{
		{"UTC", time.UTC, "Z"},
		{"west", time.FixedZone("", -6*60*60), "-06:00"},
		{"east with minutes", time.FixedZone("", 5*60*60+45*60), "+05:45"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := muxtest.New(t, nil, entitytime.New(&entitytime.Options{Location: tt.zone}))
				c := h.Connect(t, "romeo@example.net/orchard")
				c.Send("<iq type='get' to='example.net' id='1'><time xmlns='urn:xmpp:time'/></iq>")
				reply := c.Recv()
				var got xtime.Time
				if err := reply.Children()[0].Decode(&got); err != nil || !got.Time.Equal(time.Now()) {
					t.Errorf("time %v, error %v, want %v", got.Time, err, time.Now())
				}
				var raw struct {
					TZO string `xml:"tzo"`
					UTC string `xml:"utc"`
				}
				if err := reply.Children()[0].Decode(&raw); err != nil || raw.TZO != tt.tzo || raw.UTC != "2000-01-01T00:00:00.000Z" {
					t.Errorf("got %+v, error %v; want offset %s", raw, err, tt.tzo)
				}
			})
		})
	}
}

func TestFeature(t *testing.T) {
	t.Parallel()
	h := muxtest.New(t, nil, entitytime.New(nil))
	q := &mux.DiscoQuery{Scope: mux.AtHost}
	if err := h.Mux().Disco(t.Context(), q); err != nil || !slices.Equal(q.Features, []string{entitytime.NS}) {
		t.Errorf("features %q, error %v", q.Features, err)
	}
}
