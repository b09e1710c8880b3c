package sqlstore

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
	"github.com/propolis-im/propolis/pep"
)

// fillPEP gives accounts nodes, of which all but one send last items.
func fillPEP(tb testing.TB, d *DB, accounts, nodes, items int) []mux.Address {
	tb.Helper()
	var all []mux.Address
	for i := range accounts {
		a := mux.MustParseAddress(fmt.Sprintf("a%d@example.net", i))
		all = append(all, a)
		var writes []mux.Write
		for j := range nodes {
			n := pep.Node{Name: fmt.Sprint("n", j), Config: pep.DefaultConfig()}
			if j == 0 {
				n.Config.SendLast = "never"
			}
			c := pep.Change{Seq: uint64(items)}
			for k := range items {
				c.Put = append(c.Put, pep.Item{Entry: pep.Entry{ID: fmt.Sprint(k), Seq: uint64(k + 1)}, Payload: "<x xmlns='urn:x'>some text that is said</x>"})
			}
			writes = append(writes, d.PEP().PutNode(a, n), d.PEP().Change(a, n.Name, c))
		}
		d.Submit(writes)
	}
	must(tb, d.settle(tb.Context()))
	return all
}

// TestPEPHeads: the last items of many are found without looking at all items.
func TestPEPHeads(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	all := fillPEP(t, d, 100, 4, 5)
	l, err := d.PEP().Heads(t.Context(), all[0], all, []string{"n0", "n1", "n3", "nope"})
	must(t, err)
	if len(l) != 200 || l[0].Item.ID != "4" || l[0].Peer.JID != all[0] {
		t.Errorf("got %d, %+v", len(l), l[0])
	}
	rows, err := d.read.Query("EXPLAIN QUERY PLAN "+heads, "[]", "[]", "")
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		must(t, rows.Scan(&id, &parent, &unused, &detail))
		switch detail {
		case "SCAN n", "SCAN i", "SCAN p", "SCAN pep_item":
			t.Errorf("a whole table is read: %s", detail)
		}
	}
	must(t, rows.Err())
}

// BenchmarkPEPHeads is what a login of somebody with many contacts reads.
func BenchmarkPEPHeads(b *testing.B) {
	for _, items := range []int{1, 100} {
		d := temp(b, nil)
		all := fillPEP(b, d, 500, 8, items)
		b.Run(fmt.Sprintf("items=%d", items), func(b *testing.B) {
			for b.Loop() {
				if l, err := d.PEP().Heads(b.Context(), all[0], all, []string{"n1", "n2", "urn:a", "urn:b", "urn:c", "urn:d", "urn:e", "urn:f"}); err != nil || len(l) != 1000 {
					b.Fatalf("got %d, error %v", len(l), err)
				}
			}
		})
	}
}

// TestPEPRestart: what was answered is there when the database is opened again, and what
// the account was not told of is not half there.
func TestPEPRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	const publish = "<iq type='set' id='%s'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item id='%s'><x xmlns='urn:x'/></item></publish>" +
		"<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>" +
		"<field var='pubsub#max_items'><value>2</value></field></x></publish-options></pubsub></iq>"
	for round := range 3 {
		d, err := Open(t.Context(), path, nil)
		must(t, err)
		h := muxtest.New(t, &mux.Options{Committer: d}, pep.New(d.PEP(), nil))
		j := h.Connect(t, "juliet@example.net/1")
		for i := range 3 {
			id := fmt.Sprint(round, "-", i)
			j.Send(fmt.Sprintf(publish, id, id))
			j.Expect("<iq type='result' id='" + id + "' from='juliet@example.net' to='juliet@example.net/1'>{*}</iq>")
		}
		must(t, h.Mux().Shutdown(t.Context()))
		must(t, d.Close())
		d, err = Open(t.Context(), path, nil)
		must(t, err)
		juliet := mux.MustParseAddress("juliet@example.net")
		l, err := d.PEP().Index(t.Context(), juliet, "n")
		must(t, err)
		if len(l) != 2 || l[0].ID != fmt.Sprint(round, "-1") || l[1].ID != fmt.Sprint(round, "-2") || l[1].Seq != uint64(3*round+3) {
			t.Errorf("round %d: kept %+v", round, l)
		}
		must(t, d.Close())
	}
}
