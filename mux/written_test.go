package mux_test

import (
	"testing"

	"github.com/propolis-im/propolis/mux"
)

// TestWritten: what is sent of an element that was not parsed is what would be sent
// of a parsed one.
func TestWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>a@b/c</authorization-identifier><bound xmlns='urn:xmpp:bind:0'/></success>",
		"<x xmlns='urn:example:x'/>",
		"<x xmlns='urn:example:x' a='1>2' b=\"'\">text</x>",
		"<stream:features xmlns:stream='http://etherx.jabber.org/streams'><a xmlns='urn:example:a'/></stream:features>",
		"<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>",
		"<x\n xmlns='urn:example:x'><x>deep</x></x>",
	} {
		parsed, err := mux.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		written := mux.Written(text)
		for _, ns := range []string{"", mux.NSClient} {
			if got, want := string(written.Append(nil, ns)), string(parsed.Append(nil, ns)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		if written.Name() != parsed.Name() || written.Kind() != parsed.Kind() || written.Size() != parsed.Size() {
			t.Errorf("%s: %v %v %d, want %v %v %d", text, written.Name(), written.Kind(), written.Size(), parsed.Name(), parsed.Kind(), parsed.Size())
		}
	}
}
