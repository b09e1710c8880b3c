package avatar

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"image"
	"image/png"
	"io"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/mux"
)

// Errors of [Client], beside those of its functions and of contexts.
var (
	// ErrNone: there is no avatar.
	ErrNone = errors.New("avatar: there is none")
	// ErrMismatch: what was found is not the image that was meant.
	ErrMismatch = errors.New("avatar: another image than was meant")
	// ErrTooLarge: an image is larger than ClientOptions.MaxBytes.
	ErrTooLarge = errors.New("avatar: the image is too large")
	// ErrType: an image is of no type that is allowed where it is.
	ErrType = errors.New("avatar: not an image of that type")
	// ErrURL: an address is not one of https.
	ErrURL = errors.New("avatar: not an https address")
)

// Image is an avatar.
type Image struct {
	Data []byte
	Type string // such as image/png
	// Width and Height are in pixels, 0 if they are not known.
	Width, Height int
}

// ClientNodes is what is needed of a client of personal eventing, such as package pep's Client,
// where the methods are described.
type ClientNodes interface {
	PutAs(ctx context.Context, node, id string, payload xmlstream.Marshaler, access string) error
	ItemOf(ctx context.Context, of jid.JID, node, id string) (mux.Raw, error)
	WatchContacts(node string, payload xml.Name, handle func(ctx context.Context, of jid.JID, payload mux.Raw)) (stop func(), err error)
}

// ClientOptions say what a Client works with, and refine it. Functions are called
// concurrently and may wait. What is nil is left out of what the Client tries.
type ClientOptions struct {
	// Nodes is where avatars are, and gives Publish and Item where those are nil.
	Nodes ClientNodes
	// Publish publishes an item of the own account. access is the access model that
	// the node is to have, as package pep names it; empty for whatever it has.
	Publish func(ctx context.Context, node, id string, payload xmlstream.Marshaler, access string) error
	// Item reads the payload of an item of an account, of the newest if id is empty; empty
	// if there is none.
	Item func(ctx context.Context, of jid.JID, node, id string) (mux.Raw, error)
	// Card decodes the card of an account, or of an occupant of a chat room by his full
	// address, into v, as package vcard's GetAt does. The errors item-not-found and
	// service-unavailable say that there is none, as ErrNone does.
	Card func(ctx context.Context, of jid.JID, v any) error
	// Get begins to download from an address, which is one of https, with the HTTP client
	// of the caller, who decides about redirections and about addresses that should not
	// be asked; the answer's status must be a success.
	Get func(ctx context.Context, url string) (mediaType string, body io.ReadCloser, err error)
	// Cache keeps images; nil for a [Memory] of its own.
	Cache Cache

	// Account is the own bare address, and Converts reports whether the server converts
	// avatars (XEP-0398 §2), for [Client.Seen]; nil for no.
	Account  jid.JID
	Converts func() bool

	// MaxBytes bounds an image; 0 or less for 1 MiB. Types are what is downloaded or taken
	// out of cards; nil for image/png, image/jpeg, image/gif and image/webp.
	MaxBytes int
	Types    []string
	// MaxAsked bounds the hashes of presence that are remembered to be in vain; 0 or less
	// for 1000.
	MaxAsked int
}

// Client publishes and finds avatars, XEP-0084, and finds those of XEP-0153. Make one with
// NewClient. All methods may be called concurrently, but not where the session is being
// read if its functions wait for that.
type Client struct {
	opt   ClientOptions
	asked asked
}

// NewClient returns a client. o may be nil and is copied.
func NewClient(o *ClientOptions) *Client {
	c := new(Client)
	if o != nil {
		c.opt = *o
	}
	if n := c.opt.Nodes; n != nil {
		if c.opt.Publish == nil {
			c.opt.Publish = n.PutAs
		}
		if c.opt.Item == nil {
			c.opt.Item = n.ItemOf
		}
	}
	if c.opt.Cache == nil {
		c.opt.Cache = new(Memory)
	}
	if c.opt.Converts == nil {
		c.opt.Converts = func() bool { return false }
	}
	if c.opt.MaxBytes <= 0 {
		c.opt.MaxBytes = 1 << 20
	}
	if c.opt.Types == nil {
		c.opt.Types = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}
	}
	if c.opt.MaxAsked <= 0 {
		c.opt.MaxAsked = 1000
	}
	c.asked.most = c.opt.MaxAsked
	return c
}

var (
	errNoPublish = errors.New("avatar: nothing to publish with")
	errNoWatch   = errors.New("avatar: nothing to watch")
)

// Encode makes an image of the type that everybody must understand (XEP-0084 §4.1).
func Encode(m image.Image) (Image, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return Image{}, err
	}
	return Image{b.Bytes(), "image/png", m.Bounds().Dx(), m.Bounds().Dy()}, nil
}

// Publish makes an image the avatar of the own account and returns its ID: data first,
// and metadata when that has succeeded (XEP-0084 §3.1). It must be a PNG, see [Encode];
// others are forms of it that are elsewhere, with their URLs. access is who may see it,
// such as open or presence; empty for whoever may see what is there.
func (c *Client) Publish(ctx context.Context, m Image, access string, others ...Info) (id string, err error) {
	switch {
	case c.opt.Publish == nil:
		return "", errNoPublish
	case mediaType("", m.Data) != "image/png":
		return "", ErrType
	case len(m.Data) > c.opt.MaxBytes:
		return "", ErrTooLarge
	}
	for _, o := range others {
		if !secure(o.URL) {
			return "", ErrURL
		}
	}
	id = Hash(m.Data)
	if err := c.opt.Publish(ctx, NSData, id, dataOf(m.Data), access); err != nil {
		return "", err
	}
	info := Info{ID: id, Type: "image/png", Bytes: len(m.Data), Width: m.Width, Height: m.Height}
	if err := c.opt.Publish(ctx, NSMetadata, id, &Metadata{Infos: append([]Info{info}, others...)}, access); err != nil {
		return "", err
	}
	m.Type = "image/png"
	c.opt.Cache.Put(id, m)
	return id, nil
}

// Disable switches the avatar of the own account off (XEP-0084 §3.5).
func (c *Client) Disable(ctx context.Context, access string) error {
	if c.opt.Publish == nil {
		return errNoPublish
	}
	return c.opt.Publish(ctx, NSMetadata, "", &Metadata{}, access)
}

// Metadata reads what an account says of its avatar. Clients that are told by events need
// not ask. Without any the error is ErrNone.
func (c *Client) Metadata(ctx context.Context, of jid.JID) (Metadata, error) {
	if c.opt.Item == nil {
		return Metadata{}, ErrNone
	}
	payload, err := c.opt.Item(ctx, of, NSMetadata, "")
	if err != nil {
		return Metadata{}, err
	}
	if payload == "" {
		return Metadata{}, ErrNone
	}
	return parseMetadata(string(payload))
}

// Watch has the avatars of contacts and of the own account told when they are others than
// before, as metadata that [Client.Fetch] finds the image of, until stop is called. It needs
// Nodes. handle may wait; for one account it is called for one after another.
func (c *Client) Watch(handle func(ctx context.Context, of jid.JID, m Metadata)) (stop func(), err error) {
	if c.opt.Nodes == nil {
		return nil, errNoWatch
	}
	return c.opt.Nodes.WatchContacts(NSMetadata, metadataName, func(ctx context.Context, of jid.JID, payload mux.Raw) {
		var m Metadata
		if payload != "" {
			var err error
			if m, err = parseMetadata(string(payload)); err != nil {
				return
			}
		}
		handle(ctx, of, m)
	})
}

// secure reports whether an address is one of https, without a password in it.
func secure(url string) bool {
	rest, ok := cutPrefixFold(url, "https://")
	if !ok {
		return false
	}
	host, _, _ := strings.Cut(rest, "/")
	return host != "" && !strings.ContainsAny(host, "@\\ \t\r\n") && !strings.ContainsAny(rest, "\r\n")
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
