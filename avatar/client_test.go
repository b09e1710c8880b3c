package avatar_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/avatar"
	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

var errPurpose = errors.New("on purpose")

// fake is a world for a client: what is at the nodes, in the card and on the web, and what
// was asked, in short.
type fake struct {
	items map[string]mux.Raw
	card  string // content of a PHOTO
	err   error  // of the card
	web   map[string][2]string
	log   []string
	cards atomic.Int32
	slow  time.Duration
}

func (f *fake) options() *avatar.ClientOptions {
	return &avatar.ClientOptions{
		Publish: func(_ context.Context, node, id string, payload xmlstream.Marshaler, access string) error {
			f.log = append(f.log, fmt.Sprintf("publish %s %.4s %s", strings.TrimPrefix(node, "urn:xmpp:avatar:"), id, access))
			if err := f.items["error "+node]; err != "" {
				return errPurpose
			}
			c, err := mux.NewChild(payload)
			if err != nil {
				return err
			}
			f.items[node+" "+id], f.items[node+" "] = mux.Raw(c.Raw()), mux.Raw(c.Raw())
			return nil
		},
		Item: func(_ context.Context, _ jid.JID, node, id string) (mux.Raw, error) {
			f.log = append(f.log, fmt.Sprintf("item %s %.4s", strings.TrimPrefix(node, "urn:xmpp:avatar:"), id))
			if f.items["error"] != "" {
				return "", errPurpose
			}
			return f.items[node+" "+id], nil
		},
		Card: func(_ context.Context, _ jid.JID, v any) error {
			f.cards.Add(1)
			<-time.After(f.slow)
			if f.err != nil {
				return f.err
			}
			s, err := mux.Parse([]byte("<vCard xmlns='vcard-temp'>" + f.card + "</vCard>"))
			if err != nil {
				return err
			}
			return s.Decode(v)
		},
		Get: func(_ context.Context, url string) (string, io.ReadCloser, error) {
			f.log = append(f.log, "get "+url)
			r, ok := f.web[url]
			if !ok {
				return "", nil, errPurpose
			}
			return r[0], io.NopCloser(strings.NewReader(r[1])), nil
		},
	}
}

func newFake() *fake { return &fake{items: make(map[string]mux.Raw), web: make(map[string][2]string)} }

var juliet = jid.MustParse("juliet@example.net")

// TestClientPublish: data before metadata, and only if that succeeded (AV-1, AV-2, C-16).
func TestClientPublish(t *testing.T) {
	t.Parallel()
	f := newFake()
	c := avatar.NewClient(f.options())
	m, err := avatar.Encode(image.NewGray(image.Rect(0, 0, 3, 2)))
	if err != nil || m.Type != "image/png" || m.Width != 3 || m.Height != 2 {
		t.Fatalf("encoded %v, error %v", m, err)
	}
	id, err := c.Publish(t.Context(), m, "open", avatar.Info{ID: "x", Type: "image/gif", URL: "https://example.net/x.gif"})
	if err != nil || id != avatar.Hash(m.Data) {
		t.Fatalf("published %q, error %v", id, err)
	}
	want := []string{fmt.Sprintf("publish data %.4s open", id), fmt.Sprintf("publish metadata %.4s open", id)}
	if !reflect.DeepEqual(f.log, want) {
		t.Errorf("did %q, want %q", f.log, want)
	}
	md, err := c.Metadata(t.Context(), juliet)
	if err != nil || !reflect.DeepEqual(md.Infos, []avatar.Info{{ID: id, Type: "image/png", Bytes: len(m.Data), Width: 3, Height: 2},
		{ID: "x", Type: "image/gif", URL: "https://example.net/x.gif"}}) {
		t.Errorf("metadata %+v, error %v", md, err)
	}
	f.log = nil
	if got, err := c.Fetch(t.Context(), juliet, md); err != nil || !bytes.Equal(got.Data, m.Data) || f.log != nil {
		t.Errorf("fetched %v, error %v, asked %q", got, err, f.log) // from the cache
	}
	if got, err := avatar.NewClient(f.options()).Fetch(t.Context(), juliet, md); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("fetched %v, error %v", got, err)
	}
	if err := c.Disable(t.Context(), "open"); err != nil || f.items[avatar.NSMetadata+" "] != "<metadata xmlns='urn:xmpp:avatar:metadata'/>" {
		t.Errorf("left %s, error %v", f.items[avatar.NSMetadata+" "], err)
	}
	md, err = c.Metadata(t.Context(), juliet)
	if _, none := c.Fetch(t.Context(), juliet, md); err != nil || !md.Off() || !errors.Is(none, avatar.ErrNone) {
		t.Errorf("metadata %+v, error %v; fetched: %v", md, err, none)
	}
	for what, want := range map[string]error{"jpeg": avatar.ErrType, "large": avatar.ErrTooLarge, "http": avatar.ErrURL} {
		m, others := avatar.Image{Data: png1, Type: "image/png"}, []avatar.Info(nil)
		switch what {
		case "jpeg":
			m = avatar.Image{Data: []byte("\xff\xd8\xff\xe0"), Type: "image/png"}
		case "large":
			m.Data = append(bytes.Clone(png1), make([]byte, 1<<20)...)
		case "http":
			others = []avatar.Info{{ID: "x", URL: "http://example.net/"}}
		}
		f.log = nil
		if _, err := c.Publish(t.Context(), m, "open", others...); !errors.Is(err, want) || f.log != nil {
			t.Errorf("%s: error %v, did %q", what, err, f.log)
		}
	}
	f.items["error "+avatar.NSData] = "x"
	if _, err := c.Publish(t.Context(), avatar.Image{Data: png1}, "presence"); !errors.Is(err, errPurpose) || len(f.log) != 1 {
		t.Errorf("error %v, did %q", err, f.log)
	}
	bare := avatar.NewClient(nil)
	if _, err := bare.Publish(t.Context(), m, "open"); err == nil {
		t.Error("published by nothing")
	}
	if bare.Disable(t.Context(), "open") == nil {
		t.Error("switched off by nothing")
	}
	if _, err := bare.Metadata(t.Context(), juliet); !errors.Is(err, avatar.ErrNone) {
		t.Errorf("error %v", err)
	}
}

// TestClientFetch: the order of places, and what is refused in each (C-16, AV-3, S-24).
func TestClientFetch(t *testing.T) {
	t.Parallel()
	data := func(image []byte) mux.Raw {
		return mux.Raw("<data xmlns='urn:xmpp:avatar:data'>\n" + b64(image) + "</data>")
	}
	stored := avatar.Info{ID: strings.ToUpper(id1), Type: "image/png", Bytes: len(png1)}
	away := avatar.Info{ID: id1, Type: "image/png", URL: "https://example.net/1"}
	with := func(i avatar.Info, f func(*avatar.Info)) avatar.Info { f(&i); return i }
	for name, tt := range map[string]struct {
		infos []avatar.Info
		set   func(f *fake)
		log   string
		err   error // nil for png1
	}{
		"data node":       {[]avatar.Info{away, stored}, func(f *fake) { f.items[avatar.NSData+" "+stored.ID] = data(png1) }, "item data E4B7", nil},
		"another there":   {[]avatar.Info{stored}, func(f *fake) { f.items[avatar.NSData+" "+stored.ID] = data(png2) }, "item data E4B7", avatar.ErrMismatch},
		"another size":    {[]avatar.Info{with(stored, func(i *avatar.Info) { i.Bytes = 10 })}, func(f *fake) { f.items[avatar.NSData+" "+stored.ID] = data(png1) }, "item data E4B7", avatar.ErrMismatch},
		"said too large":  {[]avatar.Info{with(stored, func(i *avatar.Info) { i.Bytes = 2 << 20 })}, func(*fake) {}, "", avatar.ErrTooLarge},
		"is too large":    {[]avatar.Info{with(stored, func(i *avatar.Info) { i.Bytes = 0 })}, func(f *fake) { f.items[avatar.NSData+" "+stored.ID] = data(make([]byte, 2<<20)) }, "item data E4B7", avatar.ErrTooLarge},
		"no data":         {[]avatar.Info{stored}, func(f *fake) { f.items[avatar.NSData+" "+stored.ID] = "<x xmlns='urn:x'/>" }, "item data E4B7", avatar.ErrNone},
		"then the web":    {[]avatar.Info{stored, away}, func(f *fake) { f.web[away.URL] = [2]string{"image/png", string(png1)} }, "item data E4B7; get https://example.net/1", nil},
		"node broken":     {[]avatar.Info{stored, away}, func(f *fake) { f.items["error"] = "x"; f.web[away.URL] = [2]string{"image/png; x=y", string(png1)} }, "item data E4B7; get https://example.net/1", nil},
		"web, another":    {[]avatar.Info{away}, func(f *fake) { f.web[away.URL] = [2]string{"image/png", string(png2)} }, "get https://example.net/1", avatar.ErrMismatch},
		"web, no image":   {[]avatar.Info{away}, func(f *fake) { f.web[away.URL] = [2]string{"text/html", string(png1)} }, "get https://example.net/1", avatar.ErrType},
		"web, not wanted": {[]avatar.Info{away}, func(f *fake) { f.web[away.URL] = [2]string{"image/svg+xml", string(png1)} }, "get https://example.net/1", avatar.ErrType},
		"web, too large":  {[]avatar.Info{away}, func(f *fake) { f.web[away.URL] = [2]string{"image/png", string(make([]byte, 2<<20))} }, "get https://example.net/1", avatar.ErrTooLarge},
		"not https":       {[]avatar.Info{with(away, func(i *avatar.Info) { i.URL = "http://example.net/" })}, func(*fake) {}, "", avatar.ErrURL},
		"a password":      {[]avatar.Info{with(away, func(i *avatar.Info) { i.URL = "https://a:b@example.net/" })}, func(*fake) {}, "", avatar.ErrURL},
		"no host":         {[]avatar.Info{with(away, func(i *avatar.Info) { i.URL = "https:///x" })}, func(*fake) {}, "", avatar.ErrURL},
		"card":            {[]avatar.Info{stored}, func(f *fake) { f.card = photo(png1) }, "item data E4B7", nil},
		"card of another": {[]avatar.Info{stored}, func(f *fake) { f.card = photo(png2) }, "item data E4B7", avatar.ErrMismatch},
		"card, no image":  {[]avatar.Info{stored}, func(f *fake) { f.card = "<PHOTO><BINVAL>*</BINVAL></PHOTO>" }, "item data E4B7", avatar.ErrNone},
		"card, svg":       {[]avatar.Info{stored}, func(f *fake) { f.card = strings.Replace(photo(png1), "image/png", "image/svg+xml", 1) }, "item data E4B7", avatar.ErrType},
		"card, large":     {[]avatar.Info{stored}, func(f *fake) { f.card = photo(append(bytes.Clone(png1), make([]byte, 1000)...)) }, "item data E4B7", avatar.ErrTooLarge},
		"nothing":         {[]avatar.Info{stored}, func(f *fake) { f.err = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable} }, "item data E4B7", avatar.ErrNone},
		"card broken":     {[]avatar.Info{stored}, func(f *fake) { f.err = errPurpose }, "item data E4B7", errPurpose},
	} {
		f := newFake()
		f.err = avatar.ErrNone
		tt.set(f)
		if f.card != "" {
			f.err = nil
		}
		o := f.options()
		if name == "card, large" { // what can be parsed at once is smaller than the default
			o.MaxBytes = 1000
		}
		c := avatar.NewClient(o)
		got, err := c.Fetch(t.Context(), juliet, avatar.Metadata{Infos: tt.infos})
		if !errors.Is(err, tt.err) || tt.err == nil && (err != nil || !bytes.Equal(got.Data, png1) || got.Type != "image/png") {
			t.Errorf("%s: got %.50q, error %v", name, got.Data, err)
		}
		if log := strings.Join(f.log, "; "); log != tt.log {
			t.Errorf("%s: asked %q, want %q", name, log, tt.log)
		}
		if tt.err == nil { // the second time from the cache
			f.log = nil
			if got, err := c.Fetch(t.Context(), juliet, avatar.Metadata{Infos: tt.infos}); err != nil || !bytes.Equal(got.Data, png1) || f.log != nil {
				t.Errorf("%s: then %v, error %v, asked %q", name, got, err, f.log)
			}
		}
	}
	if _, err := avatar.NewClient(nil).Fetch(t.Context(), juliet, avatar.Metadata{Infos: []avatar.Info{stored, away}}); !errors.Is(err, avatar.ErrNone) {
		t.Errorf("error %v", err)
	}
}

// lying is a cache that gives something else.
type lying struct{ avatar.Memory }

func (*lying) Get(string) (avatar.Image, bool) { return avatar.Image{Data: png2}, true }

func TestCache(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.card = photo(png1)
	o := f.options()
	o.Cache = new(lying)
	if got, err := avatar.NewClient(o).FetchHash(t.Context(), juliet, id1); err != nil || !bytes.Equal(got.Data, png1) {
		t.Errorf("got %v, error %v", got, err)
	}
	m := &avatar.Memory{MaxBytes: 10}
	for i := range 5 {
		m.Put(fmt.Sprint(i), avatar.Image{Data: make([]byte, 4)})
		m.Put("large", avatar.Image{Data: make([]byte, 11)})
		m.Put(fmt.Sprint(i), avatar.Image{Data: make([]byte, 1)})
	}
	for i, want := range []bool{false, false, false, true, true} {
		if got, ok := m.Get(fmt.Sprint(i)); ok != want || ok && len(got.Data) != 4 {
			t.Errorf("%d: %v %v", i, got, ok)
		}
	}
	if _, ok := m.Get("large"); ok {
		t.Error("what is too large is kept")
	}
}

// TestSeen: what presence means (C-17).
func TestSeen(t *testing.T) {
	t.Parallel()
	update := func(inner string) (u avatar.Update) {
		s, err := mux.Parse([]byte("<x xmlns='vcard-temp:x:update'>" + inner + "</x>"))
		if err == nil {
			err = s.Decode(&u)
		}
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, tt := range []struct {
		inner, from string
		converts    bool
		hash        string
		ok          bool
	}{
		{"<photo>" + id1 + "</photo>", "romeo@example.net/1", false, id1, true},
		{"<photo> " + strings.ToUpper(id1) + "\n</photo>", "romeo@example.net/1", true, id1, true},
		{"<photo/>", "romeo@example.net/1", true, "", true},
		{"<photo/>", "juliet@example.net/2", true, "", false},
		{"<photo/>", "juliet@example.net/2", false, "", true},
		{"<photo>" + id1 + "</photo>", "juliet@example.net/2", true, id1, true},
		{"", "romeo@example.net/1", false, "", false},
		{"<photo>" + id1[1:] + "</photo>", "romeo@example.net/1", false, "", false},
		{"<photo>" + id1[1:] + "g</photo>", "romeo@example.net/1", false, "", false},
		{"<photo xmlns='urn:x'>" + id1 + "</photo>", "romeo@example.net/1", false, "", false},
	} {
		c := avatar.NewClient(&avatar.ClientOptions{Account: juliet, Converts: func() bool { return tt.converts }})
		if hash, ok := c.Seen(jid.MustParse(tt.from), update(tt.inner)); ok != tt.ok || ok && hash != tt.hash {
			t.Errorf("%s of %s: got %q %v", tt.inner, tt.from, hash, ok)
		}
	}
	says := func(converts bool, hash string) string {
		m := avatar.NewClient(&avatar.ClientOptions{Converts: func() bool { return converts }}).Saying(hash)
		if m == nil {
			return "nothing"
		}
		c, err := mux.NewChild(m)
		if err != nil {
			t.Fatal(err)
		}
		return c.Raw()
	}
	for _, tt := range []struct {
		converts   bool
		hash, want string
	}{
		{true, id1, "nothing"}, {true, "", "nothing"}, {false, "current", "nothing"},
		{false, "", "<x xmlns='vcard-temp:x:update'><photo/></x>"}, {false, id1, "<x xmlns='vcard-temp:x:update'><photo>" + id1 + "</photo></x>"},
	} {
		if got := says(tt.converts, tt.hash); got != tt.want {
			t.Errorf("%v %q: says %s", tt.converts, tt.hash, got)
		}
	}
}

// TestFetchHash: a card is asked for once for an address and hash, however many wait, and
// not again where it was in vain (C-17).
func TestFetchHash(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		set   func(f *fake)
		err   error
		again int32 // how often it is asked in all
	}{
		"there":         {func(f *fake) { f.card = photo(png1) }, nil, 1},
		"another":       {func(f *fake) { f.card = photo(png2) }, avatar.ErrMismatch, 1},
		"without":       {func(f *fake) { f.card = "<FN>x</FN>" }, avatar.ErrNone, 1},
		"no card":       {func(f *fake) { f.err = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound} }, avatar.ErrNone, 1},
		"it has failed": {func(f *fake) { f.err = errPurpose }, errPurpose, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.slow = time.Second
			tt.set(f)
			c := avatar.NewClient(f.options())
			for range 2 {
				errs := make(chan error, 10)
				for range 10 {
					go func() {
						got, err := c.FetchHash(t.Context(), juliet, strings.ToUpper(id1))
						if err == nil && !bytes.Equal(got.Data, png1) {
							err = errors.New("another image")
						}
						errs <- err
					}()
				}
				for range 10 {
					if err := <-errs; !errors.Is(err, tt.err) {
						t.Errorf("%s: error %v", name, err)
					}
				}
			}
			if got := f.cards.Load(); got != tt.again {
				t.Errorf("%s: asked %d times", name, got)
			}
		})
	}
	// Whoever gives up leaves the others in peace, and the question is asked again.
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.card = photo(png1)
		o := f.options()
		card := o.Card
		o.Card = func(ctx context.Context, of jid.JID, v any) error {
			select {
			case <-ctx.Done():
				f.cards.Add(1)
				return ctx.Err()
			case <-time.After(time.Minute):
			}
			return card(ctx, of, v)
		}
		c := avatar.NewClient(o)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error)
		go func() {
			_, err := c.FetchHash(ctx, juliet, id1)
			first <- err
		}()
		synctest.Wait()
		gone, cancelGone := context.WithCancel(t.Context())
		cancelGone()
		if _, err := c.FetchHash(gone, juliet, id1); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if got, err := c.FetchHash(t.Context(), juliet, id1); err != nil || !bytes.Equal(got.Data, png1) {
			t.Errorf("got %v, error %v", got, err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) || f.cards.Load() != 2 {
			t.Errorf("error %v, asked %d times", err, f.cards.Load())
		}
	})
	// What is remembered is bounded.
	f := newFake()
	f.err = avatar.ErrNone
	o := f.options()
	o.MaxAsked = 2
	c := avatar.NewClient(o)
	for _, who := range []string{"a", "b", "c", "c", "b", "a"} {
		if _, err := c.FetchHash(t.Context(), jid.MustParse(who+"@example.net"), id1); !errors.Is(err, avatar.ErrNone) {
			t.Errorf("error %v", err)
		}
	}
	if got := f.cards.Load(); got != 4 {
		t.Errorf("asked %d times", got)
	}
	for _, hash := range []string{"", "current", id1[1:]} {
		if _, err := c.FetchHash(t.Context(), juliet, hash); !errors.Is(err, avatar.ErrNone) {
			t.Errorf("%q: error %v", hash, err)
		}
	}
}

// TestFetchMany: C-16: however many addresses somebody names, a few are asked.
func TestFetchMany(t *testing.T) {
	t.Parallel()
	f := newFake()
	var m avatar.Metadata
	for i := range 1000 {
		m.Infos = append(m.Infos, avatar.Info{ID: strings.Repeat("0", 40), URL: fmt.Sprintf("https://victim%d.example/", i)})
	}
	if _, err := avatar.NewClient(f.options()).Fetch(t.Context(), juliet, m); err == nil || len(f.log) != 4 {
		t.Errorf("asked %d times, error %v", len(f.log), err)
	}
}

var _ avatar.ClientNodes = (*pep.Client)(nil)

// scripted is a client of nodes that is played by the test.
type scripted struct {
	fake
	tell func(ctx context.Context, of jid.JID, payload mux.Raw)
}

func (n *scripted) PutAs(ctx context.Context, node, id string, payload xmlstream.Marshaler, access string) error {
	return n.options().Publish(ctx, node, id, payload, access)
}

func (n *scripted) ItemOf(ctx context.Context, of jid.JID, node, id string) (mux.Raw, error) {
	return n.options().Item(ctx, of, node, id)
}

func (n *scripted) WatchContacts(node string, _ xml.Name, handle func(ctx context.Context, of jid.JID, payload mux.Raw)) (func(), error) {
	if node != avatar.NSMetadata {
		return nil, errPurpose
	}
	n.tell = handle
	return func() {}, nil
}

// TestClientWatch: C-16: avatars are told of, and found where they are told to be, with one
// client of nodes for all that.
func TestClientWatch(t *testing.T) {
	t.Parallel()
	n := &scripted{fake: *newFake()}
	c := avatar.NewClient(&avatar.ClientOptions{Nodes: n})
	var told []string
	if _, err := c.Watch(func(ctx context.Context, of jid.JID, m avatar.Metadata) {
		im, err := avatar.NewClient(&avatar.ClientOptions{Nodes: n}).Fetch(ctx, of, m)
		told = append(told, fmt.Sprint(of, " ", im.Width, " ", errors.Is(err, avatar.ErrNone)))
	}); err != nil {
		t.Fatal(err)
	}
	im, err := avatar.Encode(image.NewGray(image.Rect(0, 0, 3, 2)))
	if err == nil {
		_, err = c.Publish(t.Context(), im, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []mux.Raw{n.items[avatar.NSMetadata+" "], "<metadata xmlns='urn:xmpp:avatar:metadata'/>", "", "<x xmlns='urn:x'/>"} {
		n.tell(t.Context(), juliet, payload)
	}
	if want := []string{"juliet@example.net 3 false", "juliet@example.net 0 true", "juliet@example.net 0 true"}; !reflect.DeepEqual(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if _, err := avatar.NewClient(nil).Watch(nil); err == nil {
		t.Error("a watch of nothing")
	}
}

// TestCardOf: C-16, C-17: an occupant's card is asked of the occupant, an account's of the
// account.
func TestCardOf(t *testing.T) {
	t.Parallel()
	var asked []string
	c := avatar.NewClient(&avatar.ClientOptions{Card: func(_ context.Context, of jid.JID, _ any) error {
		asked = append(asked, of.String())
		return avatar.ErrNone
	}})
	occupant := jid.MustParse("room@chat.example/juliet")
	if _, err := c.FetchHash(t.Context(), occupant, id1); !errors.Is(err, avatar.ErrNone) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Fetch(t.Context(), jid.MustParse("juliet@example.net/x"), avatar.Metadata{Infos: []avatar.Info{{ID: id1}}}); !errors.Is(err, avatar.ErrNone) {
		t.Errorf("error %v", err)
	}
	if want := []string{occupant.String(), "juliet@example.net"}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
