package mux_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/mux/muxtest"
)

func savedItem() mux.Item {
	s, err := mux.Parse([]byte("<message from='romeo@example.net/a' to='juliet@example.net' type='chat' id='1' xml:lang='en'><body>a &lt; b</body><x xmlns='urn:x' y='1'/></message>"))
	if err != nil {
		panic(err)
	}
	inner, err := mux.Parse([]byte("<message from='romeo@example.net/a' to='juliet@example.net'><body>in</body></message>"))
	if err != nil {
		panic(err)
	}
	it := mux.Item{Stanza: s, To: mux.MustParseAddress("juliet@example.net/b"), ID: "2", Flags: mux.Copy | mux.Replay, At: time.UnixMicro(1234567), Inner: inner, Record: new(mux.Record)}
	it.Extra = mux.AppendDelay(nil, "example.net", it.At)
	it.Record.SetArchived(mux.MustParseAddress("juliet@example.net"), "uid")
	return it
}

func TestItemSaved(t *testing.T) {
	t.Parallel()
	m := muxtest.New(t, nil).Mux()
	it := savedItem()
	saved := it.AppendSaved(nil)
	got, err := m.RestoreItem(saved)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := string(it.Append(nil, "")), string(got.Append(nil, "")); a != b {
		t.Errorf("restored as\n%s, was\n%s", b, a)
	}
	if !got.At.Equal(it.At) || got.Flags != it.Flags || got.Inner == nil || string(got.Inner.Append(nil, "")) != string(it.Inner.Append(nil, "")) {
		t.Errorf("restored as %+v, was %+v", got, it)
	}
	if id := got.Record.Archived(mux.MustParseAddress("juliet@example.net")); id != "uid" {
		t.Errorf("archived as %q, want uid", id)
	}
	if again := got.AppendSaved(nil); !bytes.Equal(again, saved) {
		t.Error("saved otherwise the second time")
	}
}

// TestItemSavedShort: no prefix of what was saved is taken for an item.
func TestItemSavedShort(t *testing.T) {
	t.Parallel()
	m := muxtest.New(t, nil).Mux()
	it := savedItem()
	saved := it.AppendSaved(nil)
	for n := range saved {
		if _, err := m.RestoreItem(saved[:n]); err == nil {
			t.Fatalf("%d of %d octets are an item", n, len(saved))
		}
	}
	if _, err := m.RestoreItem(append(saved, 0)); err == nil {
		t.Error("an item with something behind it is an item")
	}
}

// restorer restores two copies of a message when the mux starts.
type restorer struct {
	src   [][]byte
	items []mux.Item
}

func (*restorer) Name() string                 { return "restorer" }
func (*restorer) Register(*mux.Registry) error { return nil }
func (x *restorer) Start(_ context.Context, m *mux.Mux) error {
	for _, src := range x.src {
		it, err := m.RestoreItem(src)
		if err != nil {
			return err
		}
		x.items = append(x.items, it)
	}
	return nil
}

// TestItemSavedSharesRecord: of two restored copies the first that arrives
// settles both, and the loss of one is not that of the other.
func TestItemSavedSharesRecord(t *testing.T) {
	t.Parallel()
	it := savedItem()
	saved := it.AppendSaved(nil)
	x := &restorer{src: [][]byte{saved, saved}}
	m := muxtest.New(t, nil, x).Mux()
	if len(x.items) != 2 || x.items[0].Record != x.items[1].Record {
		t.Fatal("the copies have not the same record")
	}
	if x.items[0].Record.Lost() {
		t.Error("the loss of the first is the last")
	}
	if !x.items[1].Record.Lost() {
		t.Error("the loss of the second is not the last")
	}
	late, err := m.RestoreItem(saved)
	if err != nil || late.Record == x.items[0].Record {
		t.Error("records are shared after the start")
	}
}

func FuzzRestoreItem(f *testing.F) {
	it := savedItem()
	f.Add(it.AppendSaved(nil))
	m := muxtest.New(f, nil).Mux()
	f.Fuzz(func(t *testing.T, src []byte) {
		it, err := m.RestoreItem(src)
		if err != nil {
			return
		}
		if _, err := m.RestoreItem(it.AppendSaved(nil)); err != nil {
			t.Errorf("what was restored cannot be saved: %v", err)
		}
	})
}
