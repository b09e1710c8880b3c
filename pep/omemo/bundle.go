package omemo

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/pep"
)

// Bundle is what others need to begin a session with a device (XEP-0384 §5.3.2): public
// keys, as a library for the cryptography gives them.
type Bundle struct {
	SignedPreKeyID uint32
	SignedPreKey   []byte
	Signature      []byte // of the signed prekey
	IdentityKey    []byte
	PreKeys        []PreKey
}

// PreKey is one of the keys that are used once.
type PreKey struct {
	ID  uint32
	Key []byte
}

// keyXML is a key in base64, as text.
type keyXML struct {
	ID   uint32 `xml:"id,attr,omitempty"`
	Text string `xml:",chardata"`
}

// bundleXML is the form of the document.
type bundleXML struct {
	XMLName      xml.Name `xml:"urn:xmpp:omemo:2 bundle"`
	SignedPreKey keyXML   `xml:"spk"`
	Signature    keyXML   `xml:"spks"`
	IdentityKey  keyXML   `xml:"ik"`
	PreKeys      []keyXML `xml:"prekeys>pk"`
}

// legacyXML is the older one.
type legacyXML struct {
	XMLName      xml.Name    `xml:"eu.siacs.conversations.axolotl bundle"`
	SignedPreKey signedXML   `xml:"signedPreKeyPublic"`
	Signature    keyXML      `xml:"signedPreKeySignature"`
	IdentityKey  keyXML      `xml:"identityKey"`
	PreKeys      []preKeyXML `xml:"prekeys>preKeyPublic"`
}

type signedXML struct {
	ID   uint32 `xml:"signedPreKeyId,attr"`
	Text string `xml:",chardata"`
}

type preKeyXML struct {
	ID   uint32 `xml:"preKeyId,attr"`
	Text string `xml:",chardata"`
}

func encodeKey(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

// decoder decodes keys until one is none.
type decoder struct{ err error }

func (d *decoder) key(text string) []byte {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err == nil && len(b) == 0 {
		err = errors.New("omemo: a key is missing")
	}
	if err != nil && d.err == nil {
		d.err = err
	}
	return b
}

func (b *Bundle) document() bundleXML {
	x := bundleXML{
		SignedPreKey: keyXML{b.SignedPreKeyID, encodeKey(b.SignedPreKey)},
		Signature:    keyXML{Text: encodeKey(b.Signature)}, IdentityKey: keyXML{Text: encodeKey(b.IdentityKey)},
	}
	for _, p := range b.PreKeys {
		x.PreKeys = append(x.PreKeys, keyXML{p.ID, encodeKey(p.Key)})
	}
	return x
}

func (x *bundleXML) read() (*Bundle, error) {
	var d decoder
	b := &Bundle{SignedPreKeyID: x.SignedPreKey.ID, SignedPreKey: d.key(x.SignedPreKey.Text), Signature: d.key(x.Signature.Text), IdentityKey: d.key(x.IdentityKey.Text)}
	for _, p := range x.PreKeys {
		b.PreKeys = append(b.PreKeys, PreKey{p.ID, d.key(p.Text)})
	}
	return b, d.err
}

func (b *Bundle) legacy() legacyXML {
	x := legacyXML{
		SignedPreKey: signedXML{b.SignedPreKeyID, encodeKey(b.SignedPreKey)},
		Signature:    keyXML{Text: encodeKey(b.Signature)}, IdentityKey: keyXML{Text: encodeKey(b.IdentityKey)},
	}
	for _, p := range b.PreKeys {
		x.PreKeys = append(x.PreKeys, preKeyXML{p.ID, encodeKey(p.Key)})
	}
	return x
}

func (x *legacyXML) read() (*Bundle, error) {
	var d decoder
	b := &Bundle{SignedPreKeyID: x.SignedPreKey.ID, SignedPreKey: d.key(x.SignedPreKey.Text), Signature: d.key(x.Signature.Text), IdentityKey: d.key(x.IdentityKey.Text)}
	for _, p := range x.PreKeys {
		b.PreKeys = append(b.PreKeys, PreKey{p.ID, d.key(p.Text)})
	}
	return b, d.err
}

// bundles is the node of a device's bundle in the document's form: one for all.
func (s *Store) bundles() *pep.Typed[bundleXML] {
	return pep.NewTyped(s.c, NS+":bundles", xml.Name{Space: NS, Local: "bundle"}, &pep.TypedOptions[bundleXML]{Node: open(pep.Max)})
}

// legacyBundle is that of the older form: one for each device.
func (s *Store) legacyBundle(device uint32) *pep.Typed[legacyXML] {
	return pep.NewTyped(s.c, s.legacyNode(device), xml.Name{Space: NSLegacy, Local: "bundle"}, &pep.TypedOptions[legacyXML]{Node: open(0)})
}

func (s *Store) legacyNode(device uint32) string { return NSLegacy + ".bundles:" + itoa(device) }

// PublishBundle publishes the bundle of the own device, in place of the one before. It
// should be there before the device is announced. Errors are those of [pep.Client].
func (s *Store) PublishBundle(ctx context.Context, b *Bundle) error {
	var err error
	if s.opt.Legacy {
		_, err = s.legacyBundle(s.device).Put(ctx, current, b.legacy())
	} else {
		_, err = s.bundles().Put(ctx, itoa(s.device), b.document())
	}
	return err
}

// Bundle reads the bundle of a device of an account, the zero JID being the own one.
// Without it the error is [pep.ErrNoItem]; [pep.ErrPayload] says that keys are missing or
// cannot be read.
func (s *Store) Bundle(ctx context.Context, of jid.JID, device uint32) (*Bundle, error) {
	var b *Bundle
	var err error
	if s.opt.Legacy {
		var v pep.Value[legacyXML]
		if v, err = s.legacyBundle(device).Newest(ctx, of); err == nil {
			b, err = v.Value.read()
			err = wrong(err)
		}
	} else {
		var v pep.Value[bundleXML]
		if v, err = s.bundles().Get(ctx, of, itoa(device)); err == nil {
			b, err = v.Value.read()
			err = wrong(err)
		}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", pep.ErrPayload, err)
}

// removeBundle removes the bundle of a device of the own account, if there is one.
func (s *Store) removeBundle(ctx context.Context, device uint32) error {
	if !s.opt.Legacy {
		return s.bundles().Delete(ctx, itoa(device))
	}
	err := s.c.DeleteNode(ctx, s.legacyNode(device))
	if errors.Is(err, stanza.Error{Condition: stanza.ItemNotFound}) {
		return nil
	}
	return err
}
