package avatar

import (
	"crypto/sha1" // the protocol's name for images, XEP-0084 §4.2; nothing secret depends on it
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"strconv"
	"strings"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Info describes one form of an avatar (XEP-0084 §4.2).
type Info struct {
	// ID is the SHA-1 of the image in hexadecimal digits, and the item's where the image is
	// in the data node.
	ID   string
	Type string // such as image/png
	// Bytes is the size of the image, 0 if it is not told; so are Width and Height, in
	// pixels.
	Bytes, Width, Height int
	// URL is where the image is, empty if it is in the data node.
	URL string
}

// Metadata is what the metadata node says: that of an avatar in one or more forms, or
// that there is none.
type Metadata struct {
	Infos []Info
	// Pointer says that there are pointers to what is elsewhere (XEP-0084 §4.2.2).
	Pointer bool
}

var metadataName = xml.Name{Space: NSMetadata, Local: "metadata"}

var (
	errMetadata = errors.New("avatar: no metadata")
	errImage    = errors.New("avatar: no image data")
)

// Off reports whether there is no avatar.
func (m *Metadata) Off() bool { return len(m.Infos) == 0 && !m.Pointer }

// Stored is the form whose image is in the data node (XEP-0398 §3.1).
func (m *Metadata) Stored() (info Info, ok bool) {
	for _, i := range m.Infos {
		if i.URL == "" {
			return i, true
		}
	}
	return Info{}, false
}

// UnmarshalXML implements [xml.Unmarshaler]. Infos without an id, or with numbers that are
// none, count as pointers: there is something, but nothing that could be used.
func (m *Metadata) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	*m = Metadata{}
	if start.Name != metadataName {
		return errMetadata
	}
	for {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			m.add(t)
			if err := d.Skip(); err != nil {
				return err
			}
		}
	}
}

// add takes a child of the metadata. The old stop, by which avatars were switched off, says
// nothing.
func (m *Metadata) add(el xml.StartElement) {
	if el.Name.Space != NSMetadata {
		return
	}
	switch el.Name.Local {
	case "pointer":
		m.Pointer = true
	case "info":
		if i, ok := infoOf(el.Attr); ok {
			m.Infos = append(m.Infos, i)
		} else {
			m.Pointer = true
		}
	}
}

func infoOf(attrs []xml.Attr) (i Info, ok bool) {
	for _, a := range attrs {
		if a.Name.Space != "" {
			continue
		}
		var err error
		switch a.Name.Local {
		case "id":
			i.ID = a.Value
		case "type":
			i.Type = a.Value
		case "url":
			i.URL = a.Value
		case "bytes":
			i.Bytes, err = number(a.Value)
		case "width":
			i.Width, err = number(a.Value)
		case "height":
			i.Height, err = number(a.Value)
		}
		if err != nil {
			return Info{}, false
		}
	}
	return i, i.ID != ""
}

func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err
}

// parseMetadata reads the payload of an item.
func parseMetadata(payload string) (m Metadata, err error) {
	err = xml.NewDecoder(strings.NewReader(payload)).Decode(&m)
	return m, err
}

// TokenReader implements [xmlstream.Marshaler]; pointers are not written.
func (m *Metadata) TokenReader() xml.TokenReader { return m.raw().TokenReader() }

var _ xmlstream.Marshaler = (*Metadata)(nil)

// raw is the payload of an item.
func (m *Metadata) raw() mux.Raw {
	if len(m.Infos) == 0 {
		return "<metadata xmlns='" + NSMetadata + "'/>"
	}
	b := []byte("<metadata xmlns='" + NSMetadata + "'>")
	for _, i := range m.Infos {
		b = append(b, "<info"...)
		for _, a := range []struct {
			name, value string
			n           int
		}{{"bytes", "", i.Bytes}, {"height", "", i.Height}, {"id", i.ID, 0}, {"type", i.Type, 0}, {"url", i.URL, 0}, {"width", "", i.Width}} {
			if a.n > 0 {
				a.value = strconv.Itoa(a.n)
			}
			if a.value != "" && xmlwrite.ValidText(a.value) {
				b = append(append(append(b, ' '), a.name...), "='"...)
				b = append(xmlwrite.AppendAttrValue(b, a.value), '\'')
			}
		}
		b = append(b, "/>"...)
	}
	return mux.Raw(append(b, "</metadata>"...))
}

// Hash is the SHA-1 of an image as both protocols write it (XEP-0153 §3.1).
func Hash(image []byte) string {
	sum := sha1.Sum(image)
	return hex.EncodeToString(sum[:])
}

// dataOf is the payload of an item of the data node.
func dataOf(image []byte) mux.Raw {
	return mux.Raw("<data xmlns='" + NSData + "'>" + base64.StdEncoding.EncodeToString(image) + "</data>")
}

// parseData is the image in an item of the data node (XEP-0084 §4.1).
func parseData(payload string) ([]byte, error) {
	var d struct {
		XMLName xml.Name `xml:"urn:xmpp:avatar:data data"`
		Text    string   `xml:",chardata"`
	}
	if err := xml.NewDecoder(strings.NewReader(payload)).Decode(&d); err != nil {
		return nil, err
	}
	return decode(d.Text)
}

// decode reads base64, in which line breaks and other white space are accepted.
func decode(text string) ([]byte, error) {
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, text)
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(b) == 0 {
		return nil, errImage
	}
	return b, nil
}

// matches is the image in an item of the data node if it is what the id says, as its
// lower-case hash too (XEP-0398 §3.1).
func matches(id, payload string) (image []byte, hash string, ok bool) {
	image, err := parseData(payload)
	if err != nil {
		return nil, "", false
	}
	hash = Hash(image)
	return image, hash, strings.EqualFold(hash, id)
}

// mediaType is the type of an image: that given if it is one of images, else what it
// begins like; empty for what is no image, as far as can be told.
func mediaType(given string, image []byte) string {
	given = strings.ToLower(strings.TrimSpace(given))
	if sub, ok := strings.CutPrefix(given, "image/"); ok && sub != "" && !strings.ContainsAny(sub, " \t\r\n/<>&'\"") {
		return given
	}
	for _, m := range []struct{ magic, typ string }{
		{"\x89PNG\r\n\x1a\n", "image/png"}, {"\xff\xd8\xff", "image/jpeg"}, {"GIF8", "image/gif"},
	} {
		if strings.HasPrefix(string(image[:min(len(image), 16)]), m.magic) {
			return m.typ
		}
	}
	if len(image) > 12 && string(image[:4]) == "RIFF" && string(image[8:12]) == "WEBP" {
		return "image/webp"
	}
	return ""
}
