package xmlscan

import (
	"strings"
	"testing"
)

var samples = []struct{ name, in string }{
	{"ChatMessage", `<message from='juliet@example.net/balcony' to='romeo@example.org' type='chat' id='ktx72v49' xml:lang='en'>` +
		`<body>Art thou not Romeo, and a Montague?</body><active xmlns='http://jabber.org/protocol/chatstates'/>` +
		`<origin-id xmlns='urn:xmpp:sid:0' id='de305d54-75b4-431b-adb2-eb6b9e546013'/><request xmlns='urn:xmpp:receipts'/></message>`},
	{"Presence", `<presence from='juliet@example.net/balcony'><show>away</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' ` +
		`node='https://example.org/client' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>`},
	{"LargeText", `<message to='romeo@example.org'><body>` + strings.Repeat("Deny thy father and refuse thy name. ", 1000) + `</body></message>`},
	{"Cyrillic", `<message to='romeo@example.org'><body>` + strings.Repeat("Отвергни отца и имя измени. ", 1000) + `</body></message>`},
	{"DeepNested", strings.Repeat("<forwarded xmlns='urn:xmpp:forward:0'>", 60) + strings.Repeat("</forwarded>", 60)},
}

func BenchmarkScan(b *testing.B) {
	for _, tc := range samples {
		b.Run(tc.name, func(b *testing.B) {
			in := []byte(tc.in)
			s := newTestScanner(b, "in", Limits{})
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if kind, _, err := s.Next(in); kind != Element {
					b.Fatal(kind, err)
				}
			}
		})
	}
}

func BenchmarkScanByteByByte(b *testing.B) {
	in := []byte(samples[0].in)
	s := newTestScanner(b, "in", Limits{})
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for end := 1; end <= len(in); end++ {
			if _, _, err := s.Next(in[:end]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestAllocations: no allocation in steady state, whole or byte by byte, nor
// for a pooled scanner, nor for the usual stream header.
func TestAllocations(t *testing.T) {
	for _, tc := range samples {
		in := []byte(tc.in)
		s := newTestScanner(t, "in", Limits{})
		if got := testing.AllocsPerRun(100, func() { _, _, _ = s.Next(in) }); got != 0 {
			t.Errorf("%s: %v allocations", tc.name, got)
		}
		if got := testing.AllocsPerRun(10, func() {
			s.Resume(s.Context(), Limits{})
			for end := 1; end <= len(in); end++ {
				_, _, _ = s.Next(in[:end])
			}
		}); got != 0 {
			t.Errorf("%s byte by byte: %v allocations", tc.name, got)
		}
	}
	var s Scanner
	in := []byte(clientHeader)
	if got := testing.AllocsPerRun(100, func() {
		s.Reset(Limits{})
		_, _, _ = s.Next(in)
	}); got != 0 {
		t.Errorf("stream header: %v allocations", got)
	}
}
