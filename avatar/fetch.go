package avatar

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// maxDownloads is how many addresses are tried: metadata may name thousands, each of which
// somebody would be asked.
const maxDownloads = 4

// Fetch finds the avatar that an account's metadata names: in the cache, at the data
// node, at the first addresses it names, and last in the account's card. Each is checked
// against its ID and size (XEP-0084 §3.4). The error is ErrNone if the metadata says that
// there is no avatar, else all that has stood in the way.
func (c *Client) Fetch(ctx context.Context, of jid.JID, m Metadata) (Image, error) {
	if len(m.Infos) == 0 {
		return Image{}, ErrNone
	}
	for _, i := range m.Infos {
		if im, ok := c.cached(i.ID); ok {
			return im, nil
		}
	}
	var errs []error
	try := func(im Image, err error) bool {
		if err != nil {
			errs = append(errs, err)
		}
		return err == nil && im.Data != nil
	}
	if i, ok := m.Stored(); ok && c.opt.Item != nil {
		if im, err := c.fromNode(ctx, of, i); try(im, err) {
			return im, nil
		}
	}
	tries := 0
	for _, i := range m.Infos {
		if i.URL == "" || c.opt.Get == nil {
			continue
		}
		if tries++; tries > maxDownloads || ctx.Err() != nil {
			break
		}
		if im, err := c.download(ctx, i); try(im, err) {
			return im, nil
		}
	}
	if c.opt.Card != nil && ctx.Err() == nil {
		im, err := c.fromCard(ctx, of.Bare())
		if err == nil && !slices.ContainsFunc(m.Infos, func(i Info) bool { return strings.EqualFold(i.ID, Hash(im.Data)) }) {
			err = ErrMismatch
		}
		if try(im, err) {
			return im, nil
		}
	}
	if len(errs) == 0 {
		return Image{}, ErrNone
	}
	return Image{}, errors.Join(errs...)
}

// cached looks into the cache, which may be shared with others and is not trusted.
func (c *Client) cached(id string) (Image, bool) {
	id = strings.ToLower(id)
	if !isHash(id) {
		return Image{}, false
	}
	im, ok := c.opt.Cache.Get(id)
	return im, ok && Hash(im.Data) == id
}

// checked is an image that was found if it is what an info says; it is kept then.
func (c *Client) checked(data []byte, i Info, typ string) (Image, error) {
	switch {
	case len(data) > c.opt.MaxBytes:
		return Image{}, ErrTooLarge
	case !strings.EqualFold(Hash(data), i.ID), i.Bytes > 0 && i.Bytes != len(data):
		return Image{}, ErrMismatch
	}
	im := Image{data, typ, i.Width, i.Height}
	c.opt.Cache.Put(strings.ToLower(i.ID), im)
	return im, nil
}

func (c *Client) fromNode(ctx context.Context, of jid.JID, i Info) (Image, error) {
	if i.Bytes > c.opt.MaxBytes {
		return Image{}, ErrTooLarge
	}
	payload, err := c.opt.Item(ctx, of, NSData, i.ID)
	if err != nil {
		return Image{}, err
	}
	if payload == "" {
		return Image{}, ErrNone
	}
	data, err := parseData(string(payload))
	if err != nil {
		return Image{}, err
	}
	typ := mediaType(i.Type, data)
	if typ == "" {
		return Image{}, ErrType
	}
	return c.checked(data, i, typ)
}

func (c *Client) download(ctx context.Context, i Info) (Image, error) {
	switch {
	case !secure(i.URL):
		return Image{}, ErrURL
	case i.Bytes > c.opt.MaxBytes:
		return Image{}, ErrTooLarge
	}
	typ, body, err := c.opt.Get(ctx, i.URL)
	if err != nil {
		return Image{}, err
	}
	defer body.Close()
	typ, _, _ = strings.Cut(typ, ";")
	if typ = mediaType(typ, nil); !slices.Contains(c.opt.Types, typ) {
		return Image{}, ErrType
	}
	data, err := io.ReadAll(io.LimitReader(body, int64(c.opt.MaxBytes)+1))
	if err != nil {
		return Image{}, err
	}
	return c.checked(data, i, typ)
}

// fromCard is the PHOTO of an account's card, whatever it is; it is kept.
func (c *Client) fromCard(ctx context.Context, of jid.JID) (Image, error) {
	var v struct {
		Photo []struct {
			Type   string `xml:"vcard-temp TYPE"`
			Binval string `xml:"vcard-temp BINVAL"`
		} `xml:"vcard-temp PHOTO"`
	}
	err := c.opt.Card(ctx, of, &v)
	switch {
	case errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}), errors.Is(err, stanza.Error{Condition: stanza.ServiceUnavailable}):
		return Image{}, ErrNone // XEP-0054 §3.1, §3.3
	case err != nil:
		return Image{}, err
	}
	for _, p := range v.Photo {
		data, err := decode(p.Binval)
		if err != nil {
			continue
		}
		typ := mediaType(p.Type, data)
		switch {
		case len(data) > c.opt.MaxBytes:
			return Image{}, ErrTooLarge
		case !slices.Contains(c.opt.Types, typ):
			return Image{}, ErrType
		}
		im := Image{Data: data, Type: typ}
		c.opt.Cache.Put(Hash(data), im)
		return im, nil
	}
	return Image{}, ErrNone
}
