package sqlstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/scram"
)

// TestCheckAddresses: what other Unicode data would prepare differently is reported at
// each start until it is gone, and left alone; with the same data nothing is looked at
// (core-im AD-4).
func TestCheckAddresses(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	juliet := mux.MustParseAddress("juliet@example.net")
	for _, name := range []string{juliet.String(), "strasse@example.net", "ζ@example.net"} {
		_, err := d.Accounts().Create(t.Context(), name, scram.Credentials{})
		must(t, err)
	}
	store := d.Rosters()
	for i, contact := range []string{"ς@example.org", "romeo@example.org", "gone@example.org"} {
		d.Submit([]mux.Write{store.Put(juliet, roster.Item{JID: mux.MustParseAddress(contact), Ver: uint64(i + 1), Listed: i < 2})})
	}
	must(t, d.settle(t.Context()))

	looked := 0
	check := func(data string, change func(string) string, want ...string) {
		t.Helper()
		var got []string
		looked = 0
		must(t, d.checkAddresses(t.Context(), data, func(s string) string {
			looked++
			return change(s)
		}, func(account, stored, now string) { got = append(got, fmt.Sprintf("%s: %s, %q", account, stored, now)) }))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: reported %q, want %q", data, got, want)
		}
	}
	same := func(s string) string { return s }
	final := func(s string) string {
		if strings.HasPrefix(s, "strasse") {
			return ""
		}
		return strings.ReplaceAll(s, "ς", "σ")
	}
	check("first", same)
	if looked < 5 {
		t.Errorf("%d addresses were looked at", looked)
	}
	check("first", same)
	if looked != 0 {
		t.Errorf("%d addresses were looked at again", looked)
	}
	changed := []string{`juliet@example.net: ς@example.org, "σ@example.org"`, `strasse@example.net: strasse@example.net, ""`}
	check("second", final, changed...)
	check("second", final, changed...)
	r, err := store.Load(t.Context(), juliet)
	if err != nil || !slices.ContainsFunc(r.Items, func(i roster.Item) bool { return i.JID.String() == "ς@example.org" }) {
		t.Errorf("roster %+v, %v", r, err)
	}
	must(t, d.Accounts().Remove(t.Context(), "strasse@example.net"))
	must(t, d.Accounts().Remove(t.Context(), juliet.String()))
	check("second", final)
	check("second", final)
	if looked != 0 {
		t.Errorf("%d addresses were looked at after all was well", looked)
	}
}

// TestPreparedAddresses: addresses that are prepared stay what they are with the data
// of this program.
func TestPreparedAddresses(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	for _, name := range []string{"alice@example.org", "bücher@münchen.example"} {
		_, err := d.Accounts().Create(t.Context(), name, scram.Credentials{})
		must(t, err)
	}
	_, err := d.Accounts().Create(t.Context(), "Alice@example.org", scram.Credentials{}) // by a program that did not know better
	must(t, err)
	var got []string
	must(t, d.CheckAddresses(t.Context(), func(_, stored, now string) { got = append(got, stored+" "+now) }))
	if want := []string{"Alice@example.org alice@example.org"}; !slices.Equal(got, want) {
		t.Errorf("reported %q, want %q", got, want)
	}
	if !strings.Contains(mux.AddressData(), "PRECIS ") {
		t.Errorf("data %q", mux.AddressData())
	}
}
