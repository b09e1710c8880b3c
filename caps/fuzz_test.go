package caps_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/caps"
	"github.com/propolis-im/propolis/mux"
)

// FuzzInfo: whatever a peer answers, reading it ends; what can be hashed is hashed the
// same when it is written and read again, and in another order.
func FuzzInfo(f *testing.F) {
	for _, text := range alike {
		f.Add(query(text))
	}
	f.Add(file(f, "complex115.xml"))
	f.Add(file(f, "complex390.xml"))
	f.Add(query(idA + formOf("<reported/>") + "<other xmlns='urn:x'>text</other>text"))
	f.Add("<query xmlns='http://jabber.org/protocol/disco#info' xml:lang='de'><identity/><feature/><x xmlns='jabber:x:data'><field/></x></query>")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := mux.Parse([]byte(text))
		if err != nil || len(text) > 10_000 {
			return
		}
		i, err := caps.ReadInfo(s.TokenReader(), "")
		if err != nil {
			if !errors.Is(err, caps.ErrMalformed) && !errors.Is(err, caps.ErrTooLarge) {
				t.Errorf("error %v", err)
			}
			return
		}
		ver, err115 := caps.Hash115(i, "sha-1")
		value, err390 := caps.Hash390(i, "sha-256")
		for _, err := range []error{err115, err390} {
			if err != nil && !errors.Is(err, caps.ErrMalformed) {
				t.Errorf("error %v", err)
			}
		}
		again := info(t, string(caps.AppendInfo(nil, "n", i)))
		slices.Reverse(again.Features)
		slices.Reverse(again.Identities)
		slices.Reverse(again.Forms)
		if err115 == nil {
			if err := caps.Verify(again, caps.Hash{Proto: caps.XEP0115, Algo: "sha-1", Value: ver}); err != nil {
				t.Error(err)
			}
		}
		if err390 == nil {
			if err := caps.Verify(again, caps.Hash{Proto: caps.XEP0390, Algo: "sha-256", Value: value}); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzAnnounced: whatever is in a presence, what is taken from it is short and can be
// asked for.
func FuzzAnnounced(f *testing.F) {
	for _, c := range []string{c115, cOld, cMD5, c390, c390Odd, c115 + c390} {
		f.Add("<presence>" + c + "</presence>")
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := mux.Parse([]byte(text))
		if err != nil {
			return
		}
		for _, h := range caps.Announced(s) {
			if h.Algo == "" || h.Value == "" || len(h.Algo) > 32 || len(h.Value) > 128 || len(h.Node) > 1024 {
				t.Errorf("%+v", h)
			}
			again := caps.Append115(nil, h.Node, h.Algo, h.Value)
			if h.Proto == caps.XEP0390 {
				again = caps.Append390(nil, h)
			}
			p, err := mux.Parse([]byte("<presence>" + string(again) + "</presence>"))
			if err != nil {
				t.Fatalf("%s: %v", again, err)
			}
			if got := caps.Announced(p); len(got) != 1 || got[0].Proto != h.Proto || got[0].Value != strings.TrimSpace(h.Value) && h.Proto == caps.XEP0390 {
				t.Errorf("%+v became %+v", h, got)
			}
		}
	})
}
