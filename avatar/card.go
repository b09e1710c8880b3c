package avatar

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"strings"

	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

var errInternal = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}

func vcardName(local string) xml.Name { return xml.Name{Space: nsVCard, Local: local} }

// picture is the PHOTO of a card.
type picture struct {
	there bool   // it says anything
	image []byte // nil if it is none that can be converted
	typ   string
}

// pictureIn finds the PHOTO of a card: the first that says anything.
func pictureIn(card *mux.Stanza) (p picture) {
	for _, c := range card.Children() {
		if c.Name != vcardName("PHOTO") {
			continue
		}
		el, err := c.Element()
		if err != nil || len(el.Children()) == 0 {
			continue
		}
		typ, binval := childText(el, "TYPE"), childText(el, "BINVAL")
		if strings.TrimSpace(binval) == "" && childText(el, "EXTVAL") == "" {
			continue
		}
		p.there = true
		if image, err := decode(binval); err == nil {
			if p.typ = mediaType(typ, image); p.typ != "" {
				p.image = image
			}
		}
		return p
	}
	return p
}

func childText(el *mux.Stanza, local string) string {
	c, _ := el.Child(vcardName(local))
	return c.Text()
}

// cardSays is what presence says of a card's PHOTO as it is kept.
func cardSays(card mux.Raw) *photo {
	if card == "" {
		return &photo{known: true}
	}
	el, err := mux.Parse([]byte(card))
	if err != nil {
		return new(photo)
	}
	switch p := pictureIn(el); {
	case p.image != nil:
		return &photo{true, Hash(p.image)}
	case p.there:
		return new(photo)
	}
	return &photo{known: true}
}

// withPicture is a card with another PHOTO, or with none if there is no image.
func withPicture(card mux.Raw, typ string, image []byte) (mux.Raw, error) {
	if card == "" {
		if image == nil {
			return "", nil
		}
		card = "<vCard xmlns='" + nsVCard + "'/>"
	}
	el, err := mux.Parse([]byte(card))
	if err != nil {
		return "", err
	}
	plain := el.Without(func(c mux.Child) bool { return c.Name == vcardName("PHOTO") })
	if plain == el && image == nil {
		return card, nil
	}
	if el = plain; image != nil {
		b := append([]byte("<PHOTO xmlns='"+nsVCard+"'><TYPE>"), xmlwrite.AppendText(nil, typ)...)
		b = append(b, "</TYPE><BINVAL>"...)
		b = base64.StdEncoding.AppendEncode(b, image)
		el = el.With(mux.RawChild(vcardName("PHOTO"), string(append(b, "</BINVAL></PHOTO>"...))))
	}
	if len(el.Children()) == 0 {
		return "", nil
	}
	return mux.Raw(el.Append(nil, "")), nil
}

// Show is package vcard's Options.Show: it gives the card of e's account the PHOTO of the
// avatar, if the sender of e.Stanza may see that (XEP-0398 §3.1, §5.2, §7).
func (x *Extension) Show(ctx context.Context, e *mux.Event) func(ctx context.Context, card mux.Raw) (mux.Raw, error) {
	m, err := x.metadata(ctx, e)
	if err == nil && !m.there {
		return nil
	}
	who := e.Stanza.From()
	fail := plain
	if who.Bare() == e.Account {
		fail = unread
	}
	if err != nil {
		return fail
	}
	if m.id == "" || !x.opt.Nodes.Readable(ctx, e, NSData, who) || !x.opt.Nodes.Readable(ctx, e, NSMetadata, who) {
		return plain
	}
	read, err := x.opt.Nodes.Find(ctx, e, NSData, m.id)
	switch {
	case err != nil:
		return fail
	case read == nil:
		return plain
	}
	account, id, typ := e.Account, m.id, m.typ
	return func(ctx context.Context, card mux.Raw) (mux.Raw, error) {
		payload, err := read(ctx)
		if err != nil {
			x.failed(ctx, account, err)
			return fail(ctx, card)
		}
		image, _, ok := matches(id, payload)
		if !ok {
			return plain(ctx, card)
		}
		if typ == "" {
			typ = mediaType("image/png", image) // XEP-0084 §4.1
		}
		return withPicture(card, typ, image)
	}
}

// unread is the own card whose image cannot be read now. Without it, it would be set by
// clients that change something else, which would switch the avatar off.
func unread(context.Context, mux.Raw) (mux.Raw, error) { return "", errInternal }

// plain is a card without PHOTO.
func plain(_ context.Context, card mux.Raw) (mux.Raw, error) { return withPicture(card, "", nil) }

// Keep is package vcard's Options.Keep: it publishes the image of a card that is set, or
// switches the avatar off if there is none (XEP-0398 §3.2).
func (x *Extension) Keep(ctx context.Context, e *mux.Event, card mux.Raw) (mux.Raw, error) {
	if x.opt.Publish == nil {
		return card, nil
	}
	var p picture
	if card != "" {
		el, err := mux.Parse([]byte(card))
		if err != nil {
			return "", errInternal
		}
		p = pictureIn(el)
	}
	if err := x.load(ctx, e); err != nil {
		x.failed(ctx, e.Account, err)
		return "", errInternal
	}
	kept, err := withPicture(card, "", nil)
	if err != nil {
		return "", errInternal
	}
	if p.image == nil && p.there {
		kept = card
	}
	if err := x.publish(ctx, e, p); err != nil {
		return "", err
	}
	x.accounts.Of(e).card = cardSays(kept)
	x.update(ctx, e)
	return kept, nil
}

// publish publishes what a card says, unless the nodes say it already.
func (x *Extension) publish(ctx context.Context, e *mux.Event, p picture) error {
	a := x.accounts.Of(e)
	switch {
	case p.image == nil && (p.there || !a.meta.there || !a.photo.known || a.meta.off):
		return nil // also where the card could not show what there is
	case p.image == nil:
		return x.opt.Publish(ctx, e, NSMetadata, "", (&Metadata{}).raw())
	}
	hash := Hash(p.image)
	if a.meta.there && a.photo == (photo{true, hash}) {
		return nil
	}
	if err := x.opt.Publish(ctx, e, NSData, hash, dataOf(p.image)); err != nil {
		return err
	}
	md := Metadata{Infos: []Info{{ID: hash, Type: p.typ, Bytes: len(p.image)}}}
	return x.opt.Publish(ctx, e, NSMetadata, hash, md.raw())
}
