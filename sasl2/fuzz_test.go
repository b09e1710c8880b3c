package sasl2

import (
	"bytes"
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// FuzzRequest: whatever is asked for can be read, within bounds.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AHJvbWVvAHNlY3JldA==</initial-response></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Hive</software><device>Phone</device></user-agent><fast xmlns='urn:xmpp:fast:0' count='7' invalidate='true'/></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='X'><bind xmlns='urn:xmpp:bind:0'><tag>Hive</tag><enable xmlns='urn:xmpp:sm:3'/></bind><resume xmlns='urn:xmpp:sm:3' previd='x' h='1'/><request-token xmlns='urn:xmpp:fast:0' mechanism='y'/></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='X'><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade><config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='x'/></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2'><initial-response>=</initial-response><initial-response><x/></initial-response></authenticate>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		el, err := mux.Parse([]byte(s))
		if err != nil {
			return
		}
		r, condition := parseRequest(el)
		if condition == "" && r.mechanism == "" {
			t.Error("no mechanism and no condition")
		}
		if len(r.initial) > maxMessage || len(r.upgrades) > maxTasks || r.fast != nil && (r.fast.count < -1 || r.fast.count > 1<<31) {
			t.Errorf("beyond bounds: %+v", r)
		}
		if a := r.agent; a.id != "" && !uuid4(a.id) || len([]rune(a.software)) > maxLabel || len([]rune(a.device)) > maxLabel {
			t.Errorf("agent %+v", a)
		}
		if r.bind != nil {
			x := &Extension{keys: deriveKeys([32]byte{1})}
			full := x.resource(mux.MustParseAddress("romeo@example.net"), "client", r.bind.tag)
			if _, err := mux.MustParseAddress("romeo@example.net").WithResource(full); err != nil {
				t.Errorf("resource %q of tag %q: %v", full, r.bind.tag, err)
			}
		}
	})
}

// FuzzDecode: what is accepted is what would be sent.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "YQ==", " YQ== ", "YR==", "=", "Y\nQ=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, condition := decode(s)
		if (condition == "") != (b != nil) {
			t.Fatalf("%q: %x with condition %q", s, b, condition)
		}
		if condition == "" {
			if again, _ := decode(string(appendBase64(b))); !bytes.Equal(again, b) {
				t.Errorf("%q: %x and then %x", s, b, again)
			}
		}
	})
}

// FuzzHT: a message that was made is taken apart again, and no other is verified.
func FuzzHT(f *testing.F) {
	f.Add([]byte("romeo\x00"), "token")
	m, _ := ParseHT("HT-SHA-256-NONE")
	f.Add(m.Initial("romeo", "token", nil), "token")
	f.Fuzz(func(t *testing.T, in []byte, token string) {
		authcid, proof, ok := m.ParseInitial(in)
		if ok && m.VerifyInitial(token, nil, proof) != bytes.Equal(in, m.Initial(authcid, token, nil)) {
			t.Errorf("%q with %q", in, token)
		}
	})
}
