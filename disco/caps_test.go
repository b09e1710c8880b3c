package disco

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestHash: the examples of XEP-0115 §5.2 and §5.3, given out of order and with
// what must not count.
func TestHash(t *testing.T) {
	t.Parallel()
	const ns = "http://jabber.org/protocol/"
	softwareInfo := mux.Raw(`<x xmlns='jabber:x:data' type='result'>
		<field var='os'><value>Mac</value></field>
		<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
		<field var='os_version'><value>10.5.1</value></field>
		<field var='ip_version'><value>ipv6</value><value>ipv4</value></field>
		<field var='software_version'><value>0.11</value></field>
		<field var='software'><value>Psi</value></field>
	</x>`)
	psi := []mux.DiscoIdentity{
		{Category: "client", Type: "pc", Lang: "en", Name: "Psi 0.11"},
		{Category: "client", Type: "pc", Lang: "el", Name: "\u03a8 0.11"},
	}
	features := []string{ns + "muc", ns + "disco#info", ns + "caps", ns + "disco#items", ns + "caps"}
	tests := []struct {
		name string
		q    mux.DiscoQuery
		want string
	}{
		{"simple", mux.DiscoQuery{
			Identities: []mux.DiscoIdentity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}}, Features: features,
		}, "QgayPKawpkPSDYmwT/WM94uAlu0="},
		{"complex", mux.DiscoQuery{Identities: psi, Features: features}, "q07IKJEyjvHSyhy//CH0CxmKi8w="},
		{"form without type", mux.DiscoQuery{
			Identities: []mux.DiscoIdentity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}}, Features: features,
		}, "QgayPKawpkPSDYmwT/WM94uAlu0="},
	}
	tests[1].q.Forms = append(tests[1].q.Forms, softwareInfo, softwareInfo)
	tests[2].q.Forms = append(tests[2].q.Forms, mux.Raw("<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>t</value></field></x>"))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i, err := collect(&tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if got := i.hash(); got != tt.want {
				t.Errorf("hash %s, want %s", got, tt.want)
			}
		})
	}
}

// TestBadForm: a provider's form that is no XML is an error, and not sent.
func TestBadForm(t *testing.T) {
	t.Parallel()
	q := &mux.DiscoQuery{}
	q.Forms = append(q.Forms, mux.Raw("<x xmlns='jabber:x:data'>"))
	if _, err := collect(q); err == nil {
		t.Error("no error")
	}
}
