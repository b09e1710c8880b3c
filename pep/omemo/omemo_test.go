package omemo_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
	"github.com/propolis-im/propolis/pep/omemo"
	"github.com/propolis-im/propolis/pep/peptest"
)

var juliet = jid.MustParse("juliet@example.net")

func store(t *testing.T, c *pep.Client, device uint32, o *omemo.Options) *omemo.Store {
	t.Helper()
	s, err := omemo.New(c, device, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func watch(t *testing.T, s *omemo.Store) {
	t.Helper()
	if _, err := s.Watch(); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ids are those of a list, in order.
func ids(t *testing.T, s *omemo.Store) string {
	t.Helper()
	l, err := s.Devices(t.Context(), juliet)
	if err != nil {
		t.Fatal(err)
	}
	var b []string
	for _, d := range l {
		b = append(b, fmt.Sprint(d.ID))
	}
	slices.Sort(b)
	return strings.Join(b, " ")
}

// forms are the two forms.
func forms(t *testing.T, f func(t *testing.T, o omemo.Options, node, empty string)) {
	t.Parallel()
	for name, legacy := range map[string]bool{"document": false, "legacy": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if legacy {
					f(t, omemo.Options{Legacy: true}, "eu.siacs.conversations.axolotl.devicelist", "<list xmlns='eu.siacs.conversations.axolotl'>%s</list>")
				} else {
					f(t, omemo.Options{}, "urn:xmpp:omemo:2:devices", "<devices xmlns='urn:xmpp:omemo:2'>%s</devices>")
				}
			})
		})
	}
}

// TestAnnounce: OMEMO-4, OMEMO-5: what others have written stays, and there is one list.
func TestAnnounce(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		s := peptest.New(t, "tybalt@example.net")
		c := s.Client("juliet@example.net/balcony", nil)
		o.Label, o.LabelSig = "the & best", "c2ln"
		st := store(t, c, 5, &o)
		if l, err := st.Devices(ctx, jid.JID{}); err != nil || l != nil {
			t.Errorf("no list: %v, error %v", l, err)
		}
		must(t, st.Announce(ctx))
		if got := ids(t, st); got != "5" {
			t.Errorf("list %s", got)
		}
		before, err := c.Newest(ctx, jid.JID{}, node)
		must(t, err)
		if before.ID != "current" || strings.Contains(string(before.Payload), "label='the &amp; best' labelsig='c2ln'") == o.Legacy {
			t.Errorf("item %+v", before)
		}
		// Another program with a name of its own for the item, and what is not known here.
		foreign := fmt.Sprintf(empty, "<device id='7' x='y' label='l' labelsig='s'>t</device><device id='8' label='alone'/><device id='x'/><device/><device id='0'/><device id='7'/><z xmlns='urn:z'/>")
		_, err = c.Publish(ctx, node, "other", mux.Raw(foreign), nil)
		must(t, err)
		l, err := st.Devices(ctx, juliet)
		if want := []omemo.Device{{ID: 7, Label: "l", LabelSig: "s"}, {ID: 8}}; err != nil || !reflect.DeepEqual(l, want) {
			t.Errorf("list %+v, error %v", l, err)
		}
		must(t, st.Announce(ctx))
		var all []pep.Published
		for p, err := range c.Items(ctx, jid.JID{}, node, pep.Query{}) {
			must(t, err)
			all = append(all, p)
		}
		if len(all) != 1 || all[0].ID != "current" || !strings.Contains(string(all[0].Payload), "x='y'") || !strings.Contains(string(all[0].Payload), "urn:z") || ids(t, st) != "5 7 8" {
			t.Errorf("items %+v", all)
		}
		must(t, st.Announce(ctx))
		if again, err := c.Newest(ctx, jid.JID{}, node); err != nil || again.Payload != all[0].Payload {
			t.Errorf("again: %s, error %v", again.Payload, err)
		}
		f, err := c.GetConfig(ctx, node)
		if err != nil || f.Get("access_model") != "open" {
			t.Errorf("configuration %v, error %v", f, err)
		}
		tybalt := store(t, s.Client("tybalt@example.net/x", nil), 9, &o)
		if got := ids(t, tybalt); got != "5 7 8" {
			t.Errorf("a stranger reads %s", got)
		}
		must(t, st.Remove(ctx, 7, 99))
		if got := ids(t, st); got != "5 8" {
			t.Errorf("removed: %s", got)
		}
	})
}

// TestNotRead: OMEMO-4: a list that could not be read is not written over.
func TestNotRead(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		c := peptest.New(t).Client("juliet@example.net/balcony", nil)
		st := store(t, c, 5, &o)
		_, err := c.Publish(ctx, node, "current", mux.Raw("<x xmlns='urn:x'/>"), nil)
		must(t, err)
		if err := st.Announce(ctx); !errors.Is(err, pep.ErrPayload) {
			t.Errorf("what is no list: %v", err)
		}
		_, err = c.Publish(ctx, node, "current", mux.Raw(fmt.Sprintf(empty, "<device id='7'/>")), nil)
		must(t, err)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if err := st.Announce(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("not read: %v", err)
		}
		if got := ids(t, st); got != "7" {
			t.Errorf("list %s", got)
		}
	})
}

// TestRepair: OMEMO-6: nodes that are not open become so, and hold many bundles.
func TestRepair(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		s := peptest.New(t, "tybalt@example.net")
		c := s.Client("juliet@example.net/balcony", nil)
		st := store(t, c, 5, &o)
		bundles := "urn:xmpp:omemo:2:bundles"
		if o.Legacy {
			bundles = "eu.siacs.conversations.axolotl.bundles:5"
		}
		for _, n := range []string{node, bundles} {
			_, err := c.Create(ctx, n, &pep.NodeOptions{Access: pep.AccessPresence, MaxItems: 1, Fields: pep.Fields{"title": {"kept"}}})
			must(t, err)
		}
		must(t, st.PublishBundle(ctx, bundle(1)))
		must(t, st.Announce(ctx))
		for _, n := range []string{node, bundles} {
			f, err := c.GetConfig(ctx, n)
			if err != nil || f.Get("access_model") != "open" || f.Get("title") != "kept" {
				t.Errorf("configuration of %s: %v, error %v", n, f, err)
			}
		}
		tybalt := store(t, s.Client("tybalt@example.net/x", nil), 9, &o)
		if b, err := tybalt.Bundle(ctx, juliet, 5); err != nil || !reflect.DeepEqual(b, bundle(1)) {
			t.Errorf("bundle %+v, error %v", b, err)
		}
		if !o.Legacy { // one node for all devices
			must(t, store(t, c, 6, &o).PublishBundle(ctx, bundle(2)))
			if b, err := tybalt.Bundle(ctx, juliet, 5); err != nil || !reflect.DeepEqual(b, bundle(1)) {
				t.Errorf("bundle %+v, error %v", b, err)
			}
		}
	})
}

func bundle(n byte) *omemo.Bundle {
	return &omemo.Bundle{SignedPreKeyID: uint32(n), SignedPreKey: []byte{n, 1}, Signature: []byte{n, 2}, IdentityKey: []byte{n, 3},
		PreKeys: []omemo.PreKey{{ID: 1, Key: []byte{n, 4}}, {ID: 2, Key: []byte{n, 5, 255}}}}
}

// TestBundle: C-22: bundles come out as they went in; what is broken is told.
func TestBundle(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, _, _ string) {
		ctx := t.Context()
		c := peptest.New(t).Client("juliet@example.net/balcony", nil)
		st := store(t, c, 5, &o)
		if _, err := st.Bundle(ctx, juliet, 5); !errors.Is(err, pep.ErrNoItem) {
			t.Errorf("none: %v", err)
		}
		for n := range byte(3) {
			must(t, st.PublishBundle(ctx, bundle(n)))
			if b, err := st.Bundle(ctx, jid.JID{}, 5); err != nil || !reflect.DeepEqual(b, bundle(n)) {
				t.Errorf("bundle %+v, error %v", b, err)
			}
		}
		if _, err := st.Bundle(ctx, juliet, 6); !errors.Is(err, pep.ErrNoItem) {
			t.Errorf("of another device: %v", err)
		}
		node, id, payload := "urn:xmpp:omemo:2:bundles", "5", "<bundle xmlns='urn:xmpp:omemo:2'><spk id='1'>%s</spk><spks>AQ==</spks><ik>AQ==</ik><prekeys><pk id='1'> A\nQ== </pk></prekeys></bundle>"
		if o.Legacy {
			node, id, payload = "eu.siacs.conversations.axolotl.bundles:5", "current", "<bundle xmlns='eu.siacs.conversations.axolotl'><signedPreKeyPublic signedPreKeyId='1'>%s</signedPreKeyPublic><signedPreKeySignature>AQ==</signedPreKeySignature><identityKey>AQ==</identityKey><prekeys><preKeyPublic preKeyId='1'> A\nQ== </preKeyPublic></prekeys></bundle>"
		}
		for key, want := range map[string]error{"AQ==": nil, "": pep.ErrPayload, "!": pep.ErrPayload} {
			_, err := c.Publish(ctx, node, id, mux.Raw(fmt.Sprintf(payload, key)), nil)
			must(t, err)
			b, err := st.Bundle(ctx, juliet, 5)
			if !errors.Is(err, want) {
				t.Errorf("key %q: error %v", key, err)
			}
			if want == nil && (len(b.PreKeys) != 1 || b.PreKeys[0].ID != 1 || b.PreKeys[0].Key[0] != 1 || b.SignedPreKeyID != 1) {
				t.Errorf("bundle %+v", b)
			}
		}
		must(t, st.Remove(ctx, 5))
		must(t, st.Remove(ctx, 5))
		if _, err := st.Bundle(ctx, juliet, 5); !errors.Is(err, pep.ErrNoItem) {
			t.Errorf("removed: %v", err)
		}
	})
	for _, d := range []uint32{0, 1 << 31} {
		if _, err := omemo.New(nil, d, nil); err != omemo.ErrDevice {
			t.Errorf("%d: error %v", d, err)
		}
	}
}

// TestTogether: OMEMO-4, S-28: of two that announce at once both are in the list in the
// end, and then nothing is written any more.
func TestTogether(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		s := peptest.New(t)
		a, b := s.Client("juliet@example.net/a", nil), s.Client("juliet@example.net/b", nil)
		events := 0
		if _, err := a.Watch(pep.Watch{Node: node, Handle: func(context.Context, pep.Event) { events++ }}); err != nil {
			t.Fatal(err)
		}
		one, two := store(t, a, 1, &o), store(t, b, 2, &o)
		watch(t, one)
		watch(t, two)
		s.Present(a)
		s.Present(b)
		must(t, one.Announce(ctx))
		// b has read before a has written.
		_, err := b.Publish(ctx, node, "current", mux.Raw(fmt.Sprintf(empty, "<device id='2'/>")), nil)
		must(t, err)
		must(t, two.Announce(ctx))
		time.Sleep(time.Minute)
		if got := ids(t, one); got != "1 2" {
			t.Errorf("list %s", got)
		}
		synctest.Wait()
		if events != 3 {
			t.Errorf("%d lists were written", events)
		}
		// Removal by the user is final.
		must(t, one.Remove(ctx, 1))
		time.Sleep(time.Minute)
		if got := ids(t, one); got != "2" {
			t.Errorf("list %s", got)
		}
		// The node goes: the device that is announced comes back.
		must(t, a.DeleteNode(ctx, node))
		time.Sleep(time.Minute)
		if got := ids(t, one); got != "2" {
			t.Errorf("list %s", got)
		}
	})
}

// TestTakenOut: OMEMO-4: against a program that takes the device out each time it is put
// back with longer pauses, and not for ever.
func TestTakenOut(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		s := peptest.New(t)
		a, b := s.Client("juliet@example.net/a", nil), s.Client("juliet@example.net/b", nil)
		var failed []error
		o.Failed = func(_ context.Context, err error) { failed = append(failed, err) }
		st := store(t, a, 1, &o)
		watch(t, st)
		var at []time.Duration
		start := time.Now()
		if _, err := b.Watch(pep.Watch{Node: node, Handle: func(ctx context.Context, e pep.Event) {
			if strings.Contains(string(e.Item.Payload), "'1'") {
				at = append(at, time.Since(start))
				_, err := b.Publish(ctx, node, "current", mux.Raw(fmt.Sprintf(empty, "<device id='2'/>")), nil)
				if err != nil {
					t.Error(err)
				}
			}
		}}); err != nil {
			t.Fatal(err)
		}
		s.Present(a)
		s.Present(b)
		must(t, st.Announce(ctx))
		time.Sleep(5 * time.Minute)
		_, err := b.Publish(ctx, node, "current", mux.Raw(fmt.Sprintf(empty, "<device id='4'/>")), nil)
		must(t, err)
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []time.Duration{0, 0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 31 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("put back at %v, want %v", at, want)
		}
		if len(failed) != 1 || failed[0] != omemo.ErrTakenOut {
			t.Errorf("failed %v", failed)
		}
		// Later it is tried again.
		start = time.Now()
		at = nil
		_, err = b.Publish(ctx, node, "current", mux.Raw(fmt.Sprintf(empty, "<device id='3'/>")), nil)
		must(t, err)
		time.Sleep(time.Second / 2)
		synctest.Wait()
		if len(at) != 1 {
			t.Errorf("put back at %v", at)
		}
	})
}

// TestRemovedMeanwhile: OMEMO-4: a device that its user removes, or that is watched no more,
// while it waits to be put back stays away.
func TestRemovedMeanwhile(t *testing.T) {
	for _, stops := range []bool{false, true} {
		t.Run(fmt.Sprint(stops), func(t *testing.T) {
			forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
				ctx := t.Context()
				s := peptest.New(t)
				a, b := s.Client("juliet@example.net/a", nil), s.Client("juliet@example.net/b", nil)
				st := store(t, a, 1, &o)
				stop, err := st.Watch()
				must(t, err)
				s.Present(a)
				must(t, st.Announce(ctx))
				for range 2 { // the second time it waits
					_, err := b.Publish(ctx, node, "current", mux.Raw(fmt.Sprintf(empty, "<device id='2'/>")), nil)
					must(t, err)
					synctest.Wait()
				}
				if got := ids(t, st); got != "2" {
					t.Fatalf("list %s", got)
				}
				if stops {
					stop()
				} else {
					must(t, st.Remove(ctx, 1))
				}
				time.Sleep(time.Hour)
				if got := ids(t, st); got != "2" {
					t.Errorf("list %s", got)
				}
			})
		})
	}
}

// TestChanged: C-9, C-22: lists of contacts and the own one are told, those of others not.
func TestChanged(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		s := peptest.New(t, "tybalt@example.net")
		var told []string
		o.Changed = func(_ context.Context, of jid.JID, devices []omemo.Device) {
			told = append(told, of.String()+fmt.Sprint(devices))
		}
		romeo := s.Client("romeo@example.net/orchard", nil)
		st := store(t, romeo, 1, &o)
		watch(t, st)
		s.Present(romeo)
		o.Changed = nil
		c, tybalt := s.Client("juliet@example.net/balcony", nil), s.Client("tybalt@example.net/x", nil)
		for _, d := range []struct {
			c  *pep.Client
			id uint32
		}{{c, 2}, {tybalt, 3}, {romeo, 4}, {c, 5}} {
			must(t, store(t, d.c, d.id, &o).Announce(ctx))
			synctest.Wait()
		}
		must(t, c.Purge(ctx, node))
		synctest.Wait()
		want := []string{"juliet@example.net[{2  }]", "romeo@example.net[{4  }]", "juliet@example.net[{2  } {5  }]", "juliet@example.net[]"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		// A device that was not announced is not put into the list.
		if l, err := st.Devices(ctx, jid.JID{}); err != nil || len(l) != 1 {
			t.Errorf("list %v, error %v", l, err)
		}
	})
}

// TestOlder: C-12: a list is not gone because an older item is, and is another than before
// also if an item with that content was there already.
func TestOlder(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		s := peptest.New(t)
		c, romeo := s.Client("juliet@example.net/balcony", nil), s.Client("romeo@example.net/orchard", nil)
		var told []string
		o.Changed = func(_ context.Context, _ jid.JID, devices []omemo.Device) { told = append(told, fmt.Sprint(devices)) }
		watch(t, store(t, romeo, 9, &o))
		s.Present(romeo)
		for _, d := range []string{"1", "2", "1"} {
			_, err := c.Publish(ctx, node, "id"+d, mux.Raw(fmt.Sprintf(empty, "<device id='"+d+"'/>")), &pep.NodeOptions{MaxItems: 2})
			must(t, err)
		}
		must(t, c.Retract(ctx, node, "id2"))
		must(t, c.Retract(ctx, node, "id1"))
		synctest.Wait()
		if want := []string{"[{1  }]", "[{2  }]", "[{1  }]", "[]"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestRemoveUnread: OMEMO-4: a device that may still be in the list keeps its bundle.
func TestRemoveUnread(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		c := peptest.New(t).Client("juliet@example.net/balcony", nil)
		st := store(t, c, 5, &o)
		must(t, st.PublishBundle(ctx, bundle(1)))
		_, err := c.Publish(ctx, node, "current", mux.Raw("<x xmlns='urn:x'/>"), nil)
		must(t, err)
		if err := st.Remove(ctx, 5); !errors.Is(err, pep.ErrPayload) {
			t.Errorf("error %v", err)
		}
		if _, err := st.Bundle(ctx, juliet, 5); err != nil {
			t.Errorf("the bundle is gone: %v", err)
		}
	})
}

// TestRestart: C-15: in a new session the own list is looked at.
func TestRestart(t *testing.T) {
	forms(t, func(t *testing.T, o omemo.Options, node, empty string) {
		ctx := t.Context()
		s := peptest.New(t)
		a, b := s.Client("juliet@example.net/a", nil), s.Client("juliet@example.net/b", nil)
		st := store(t, a, 1, &o)
		watch(t, st)
		must(t, st.Announce(ctx))
		_, err := b.Publish(ctx, node, "current", mux.Raw(fmt.Sprintf(empty, "<device id='2'/>")), nil)
		must(t, err)
		must(t, a.Begin(ctx))
		synctest.Wait()
		if got := ids(t, st); got != "1 2" {
			t.Errorf("list %s", got)
		}
	})
}

// What a client does when it begins.
func Example() {
	begin := func(ctx context.Context, c *pep.Client, device uint32, bundle *omemo.Bundle) error {
		s, err := omemo.New(c, device, nil)
		if err != nil {
			return err
		}
		if _, err := s.Watch(); err != nil {
			return err
		}
		return errors.Join(s.PublishBundle(ctx, bundle), s.Announce(ctx))
	}
	_ = begin
	_, err := omemo.New(nil, 0, nil)
	fmt.Println(err)
	// Output: omemo: not the number of a device
}
