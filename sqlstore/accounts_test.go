package sqlstore

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/propolis-im/propolis/archive"
	"github.com/propolis-im/propolis/lastactivity"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/offline"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/roster"
	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/smacks"
)

// credentials with a key of this class.
func credentials(salt, iterations int) scram.Credentials {
	k := scram.Key{Hash: scram.SHA1, Salt: make([]byte, salt), Iterations: iterations, StoredKey: make([]byte, 20), ServerKey: make([]byte, 20)}
	return scram.Credentials{Keys: []scram.Key{k}}
}

func TestList(t *testing.T) {
	t.Parallel()
	a := temp(t, nil).Accounts()
	for _, name := range []string{"romeo@example.org", "juliet@example.net", "nurse@example.net", "example.net", "x@sub.example.net"} {
		_, err := a.Create(t.Context(), name, scram.Credentials{})
		must(t, err)
	}
	for domain, want := range map[string][]string{
		"example.net":  {"example.net", "juliet@example.net", "nurse@example.net"},
		"example.org":  {"romeo@example.org"},
		"":             {"example.net", "juliet@example.net", "nurse@example.net", "romeo@example.org", "x@sub.example.net"},
		"%.net":        nil,
		"unknown.test": nil,
	} {
		got, err := a.List(t.Context(), domain)
		must(t, err)
		if !slices.Equal(got, want) {
			t.Errorf("accounts of %s: got %q, want %q", domain, got, want)
		}
	}
}

func TestExists(t *testing.T) {
	t.Parallel()
	a := temp(t, nil).Accounts()
	_, err := a.Create(t.Context(), "juliet@example.net", scram.Credentials{Disabled: true})
	must(t, err)
	for address, want := range map[string]bool{
		"juliet@example.net": true, "juliet@example.net/balcony": true, "romeo@example.net": false, "example.net": false,
	} {
		got, err := a.Exists(t.Context(), mux.MustParseAddress(address))
		if err != nil || got != want {
			t.Errorf("%s exists: %t, error %v, want %t", address, got, err, want)
		}
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	a := temp(t, nil).Accounts()
	got, err := a.Classes(t.Context())
	must(t, err)
	if len(got) != 0 {
		t.Errorf("no keys: got classes %v", got)
	}
	for i, c := range []scram.Credentials{credentials(16, 100_000), credentials(16, 4096), credentials(16, 100_000), {}, credentials(12, 4096), credentials(16, 100_000)} {
		_, err := a.Create(t.Context(), fmt.Sprintf("%d@example.net", i), c)
		must(t, err)
	}
	got, err = a.Classes(t.Context())
	must(t, err)
	count := make(map[scram.Class]int)
	for _, c := range got {
		count[c]++
	}
	if len(got) != slots || count[scram.Class{SaltLength: 16, Iterations: 100_000}] < slots/2 || len(count) != 3 {
		t.Errorf("got %d classes: %v", len(got), count)
	}
}

// TestHashSets: what unknown accounts seem to have is drawn from what others do.
func TestHashSets(t *testing.T) {
	t.Parallel()
	a := temp(t, nil).Accounts()
	got, err := a.HashSets(t.Context())
	must(t, err)
	if len(got) != 0 {
		t.Errorf("no keys: got sets %v", got)
	}
	key := credentials(16, 4096).Keys[0]
	for i, hashes := range [][]scram.Hash{{scram.SHA1}, {scram.SHA512, scram.SHA1}, {}, {scram.SHA512, scram.SHA1}} {
		var c scram.Credentials
		for _, h := range hashes {
			key.Hash = h
			c.Keys = append(c.Keys, key)
		}
		_, err := a.Create(t.Context(), fmt.Sprintf("%d@example.net", i), c)
		must(t, err)
	}
	got, err = a.HashSets(t.Context())
	must(t, err)
	count := make(map[string]int)
	for _, set := range got {
		count[fmt.Sprint(set)]++
	}
	if one, two := count["[SHA-1]"], count["[SHA-1 SHA-512]"]; one+two != slots || one < slots/4 || two < slots/2 {
		t.Errorf("got %v", count)
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	var many []counted[scram.Class]
	for i := range 2 * slots {
		many = append(many, counted[scram.Class]{scram.Class{SaltLength: 16, Iterations: 5000 + i}, int64(i) + 1})
	}
	class := func(i int) scram.Class { return scram.Class{SaltLength: 16, Iterations: i} }
	tests := []struct {
		name string
		all  []counted[scram.Class]
		want map[scram.Class]int // some of them
	}{
		{"one", []counted[scram.Class]{{class(5000), 3}}, map[scram.Class]int{class(5000): slots}},
		{"rare", []counted[scram.Class]{{class(5000), 1}, {class(6000), 1 << 40}}, map[scram.Class]int{class(5000): 1, class(6000): slots - 1}},
		{"even", []counted[scram.Class]{{class(5000), 9}, {class(6000), 9}}, map[scram.Class]int{class(5000): slots / 2, class(6000): slots / 2}},
		{"many", many, map[scram.Class]int{class(5000): 0, class(5000 + 2*slots - 1): 1, class(5000 + slots): 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := shares(tt.all, func(a, b scram.Class) int { return a.Iterations - b.Iterations })
			count := make(map[scram.Class]int)
			for _, c := range got {
				count[c]++
			}
			if len(got) != slots {
				t.Errorf("got %d slots, want %d", len(got), slots)
			}
			for c, n := range tt.want {
				if count[c] != n {
					t.Errorf("class %v: got %d slots, want %d", c, count[c], n)
				}
			}
		})
	}
}

// admit is what is done in the transaction that makes an account.
func admit(d *DB, a register.Admission) mux.Write {
	also := d.Registration().Admit(a)
	return func(ctx context.Context, tx mux.Tx) error {
		refusal, err := also(ctx, tx)
		return errors.Join(refusal, err)
	}
}

// tables lists those with a column account.
func tables(t *testing.T, d *DB) []string {
	t.Helper()
	rows, err := d.read.Query("SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'account'")
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	var names []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		names = append(names, name)
	}
	must(t, rows.Err())
	return names
}

// TestCreateInheritsNothing: what was written for an account behind its removal, before
// a crash, is not there for whoever gets the name next.
func TestCreateInheritsNothing(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	juliet := mux.MustParseAddress("juliet@example.net")
	d.Submit([]mux.Write{
		d.Offline().Add(juliet, offline.Message{ID: "x"}),
		d.Archives().Append(juliet, archive.Entry{ID: "x", With: juliet, Stanza: []byte("<message/>")}),
	})
	_, err := d.Accounts().Create(t.Context(), juliet.String(), credentials(16, 4096))
	must(t, err)
	u, err := d.Offline().Usage(t.Context(), juliet)
	must(t, err)
	p, err := d.Archives().Page(t.Context(), juliet, archive.Query{Max: 1})
	must(t, err)
	if u.Messages+len(p.Entries) != 0 {
		t.Errorf("%d messages wait, %d are archived", u.Messages, len(p.Entries))
	}
}

// TestRemoveAccount looks into every table that has rows of accounts.
func TestRemoveAccount(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	juliet, romeo := mux.MustParseAddress("juliet@example.net"), mux.MustParseAddress("romeo@example.org")
	fill := func(a mux.Address) {
		t.Helper()
		_, err := d.Accounts().Create(t.Context(), a.String(), credentials(16, 4096))
		must(t, err)
		full, err := a.WithResource("x")
		must(t, err)
		d.Submit([]mux.Write{
			d.Rosters().Put(a, roster.Item{JID: romeo, Ver: 1}),
			d.Rosters().Delete(a, juliet, 2),
			d.LastActivity().Set(a, lastactivity.Last{At: time.Now()}),
			d.Blocklists().Add(a, []mux.Address{romeo}),
			d.Private().Set(a, xml.Name{Space: "x:y", Local: "a"}, "<a xmlns='x:y'/>"),
			d.VCards().Set(a, "<vCard xmlns='vcard-temp'/>"),
			d.Archives().Append(a, archive.Entry{ID: "of " + a.String(), With: romeo, Stanza: []byte("<message/>")}),
			d.Archives().SetPrefs(a, archive.Prefs{Default: archive.Never}),
			d.Offline().Add(a, offline.Message{ID: "x"}),
			d.PEP().PutNode(a, pep.Node{Name: "n"}),
			d.PEP().Change(a, "n", pep.Change{Put: []pep.Item{{Entry: pep.Entry{ID: "x"}}}}),
			d.PEP().SetPeer(a, "n", pep.Peer{JID: romeo, Affiliation: pep.Member}),
			admit(d, register.Admission{Account: a, Skeleton: a.Local(), Guest: &register.Guest{Account: a, Inviter: mux.MustParseAddress("nurse@example.net")},
				Application: &register.Application{Account: a}, MaxWaiting: 9}),
			d.Sessions().Save(mux.SavedSession{ID: "of " + a.String(), JID: full}),
			d.StreamManagement().Note("of "+a.String(), smacks.Counters{Handled: 1}),
			d.StreamManagement().Append("of "+a.String(), smacks.Entry{Row: 1, Item: []byte("x")}),
			d.StreamManagement().End("before of "+a.String(), &smacks.Last{Account: a, Until: time.Now()}),
		})
		must(t, d.settle(t.Context()))
		must(t, d.Clients().Put(t.Context(), a, sasl2.Client{ID: "x"}, sasl2.Keep{Max: 1}))
	}
	fill(juliet)
	fill(romeo)
	all := tables(t, d)
	count := func(table string, a mux.Address) (n int) {
		t.Helper()
		must(t, d.read.QueryRow("SELECT count(*) FROM "+table+" WHERE account = ?", a.String()).Scan(&n))
		return n
	}
	want := func(when string, credentials, rest bool) {
		t.Helper()
		for _, table := range all {
			want := rest
			if strings.HasPrefix(table, "credential") {
				want = credentials
			}
			if got := count(table, juliet) > 0; got != want {
				t.Errorf("%s: rows in %s: %t, want %t", when, table, got, want)
			}
			if count(table, romeo) == 0 {
				t.Errorf("%s: the rows of another account in %s are gone", when, table)
			}
		}
	}
	want("before", true, true)
	d.Submit([]mux.Write{d.RemoveAccountData(juliet)})
	must(t, d.settle(t.Context()))
	want("RemoveAccountData", true, false)
	must(t, d.Accounts().Remove(t.Context(), juliet.String()))
	want("Remove", false, false)
	fill(juliet)
	must(t, d.Accounts().Remove(t.Context(), juliet.String()))
	want("Remove of everything", false, false)
	for _, table := range []string{"pep_item", "pep_peer"} {
		var n int
		must(t, d.read.QueryRow("SELECT count(*) FROM "+table).Scan(&n))
		if n != 1 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	for _, table := range []string{"smacks_session", "smacks_entry"} {
		var n, mine int
		must(t, d.read.QueryRow("SELECT count(*), coalesce(sum(session = ?), 0) FROM "+table, "of "+juliet.String()).Scan(&n, &mine))
		if n != 1 || mine != 0 {
			t.Errorf("%d rows in %s, %d of them of the account", n, table, mine)
		}
	}
}
