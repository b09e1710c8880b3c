package archive_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

// BenchmarkPage reads the same pages of a small and of a large archive in memory.
func BenchmarkPage(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		m := new(archive.Memory)
		peers := make([]mux.Address, 20)
		for i := range peers {
			peers[i] = mux.MustParseAddress(fmt.Sprintf("contact%d@example.org/x", i))
		}
		start := time.Unix(1_700_000_000, 0)
		stanza := []byte("<message xmlns='jabber:client'><body>Wherefore art thou?</body></message>")
		for i := range n {
			w := m.Append(juliet, archive.Entry{ID: fmt.Sprint("m", i), At: start.Add(time.Duration(i) * time.Second), With: peers[i%len(peers)], Stanza: stanza})
			if err := w(b.Context(), nil); err != nil {
				b.Fatal(err)
			}
		}
		for _, tt := range []struct {
			name string
			q    archive.Query
		}{
			{"last", archive.Query{Backward: true}},
			{"after", archive.Query{PageAfter: fmt.Sprint("m", n/2)}},
			{"with", archive.Query{PageAfter: fmt.Sprint("m", n/2), With: peers[3].Bare()}},
			{"time", archive.Query{Start: start.Add(time.Duration(n/2) * time.Second)}},
		} {
			tt.q.Max = 50
			b.Run(fmt.Sprintf("%s/%d", tt.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if p, err := m.Page(b.Context(), juliet, tt.q); err != nil || len(p.Entries) != 50 {
						b.Fatalf("%d messages, error %v", len(p.Entries), err)
					}
				}
			})
		}
	}
}

// nowhere is a store that keeps nothing: what is left is what deciding costs.
type nowhere struct{ *archive.Memory }

func (nowhere) Append(mux.Address, archive.Entry) mux.Write { return nil }

// BenchmarkMessage is a chat message from one account to another, with its two
// archives and without any.
func BenchmarkMessage(b *testing.B) {
	for _, tt := range []struct {
		name string
		exts []mux.Extension
	}{{"none", nil}, {"archive", []mux.Extension{archive.New(nowhere{new(archive.Memory)}, nil)}}} {
		b.Run(tt.name, func(b *testing.B) {
			h := muxtest.New(b, nil, tt.exts...)
			st, _ := bind(b, h, romeoFull), bind(b, h, julietFull)
			raw := []byte("<message to='" + julietFull + "' type='chat' id='0123456789abcdef'><body>Wherefore art thou? Deny thy father and refuse thy name.</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>")
			b.ReportAllocs()
			for b.Loop() {
				s, err := mux.Parse(raw)
				if err != nil {
					b.Fatal(err)
				}
				if err := st.Receive(b.Context(), s); err != nil {
					b.Fatal(err)
				}
				st.Flush()
			}
		})
	}
}

// sink is a connection that forgets what is written.
type sink struct{}

func (sink) Write([]byte) error { return nil }
func (sink) Pending() int       { return 0 }
func (sink) Close(error)        {}

func bind(b testing.TB, h *muxtest.Host, full string) *mux.Stream {
	b.Helper()
	a := mux.MustParseAddress(full)
	h.AddAccount(a.Bare().String())
	st := h.Mux().NewStream(sink{}, mux.Client)
	st.SetAccount(a.Bare())
	if _, err := st.Bind(b.Context(), &mux.BindOptions{Resource: a.Resource()}); err != nil {
		b.Fatal(err)
	}
	return st
}
