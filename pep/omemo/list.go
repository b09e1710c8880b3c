package omemo

import (
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmlstream"

	"github.com/propolis-im/propolis/internal/document"
	"github.com/propolis-im/propolis/pep"
)

// Device is a device as a list has it.
type Device struct {
	ID uint32
	// Label is to be shown only if LabelSig signs it with the identity key of the
	// device (XEP-0384 §5.3.1).
	Label, LabelSig string
}

// list is a list, with what others have written into it.
type list struct{ doc document.Document }

// UnmarshalXML implements [xml.Unmarshaler].
func (l *list) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	return l.doc.UnmarshalXML(d, start)
}

func encodeList(l *list) (xmlstream.Marshaler, error) { return &l.doc, nil }

func decodeList(p pep.Published) (*list, error) {
	l := new(list)
	return l, p.Decode(l)
}

// maxDevices bounds the devices of an account that are looked at.
const maxDevices = 1000

// devices are those in the list, each once; what is no device is left out.
func (l *list) devices() []Device {
	var all []Device
	for _, p := range l.doc.Parts {
		d, ok := l.device(p)
		if ok && len(all) < maxDevices && !slices.ContainsFunc(all, func(o Device) bool { return o.ID == d.ID }) {
			all = append(all, d)
		}
	}
	return all
}

func (l *list) device(p document.Part) (Device, bool) {
	if p.Name.Space != l.doc.Name.Space || p.Name.Local != "device" {
		return Device{}, false
	}
	var v struct {
		ID       string `xml:"id,attr"`
		Label    string `xml:"label,attr"`
		LabelSig string `xml:"labelsig,attr"`
	}
	if err := p.Decode(&v); err != nil {
		return Device{}, false
	}
	id, err := strconv.ParseUint(strings.TrimSpace(v.ID), 10, 32)
	if err != nil || id == 0 {
		return Device{}, false
	}
	d := Device{ID: uint32(id), Label: v.Label, LabelSig: v.LabelSig}
	if d.Label == "" || d.LabelSig == "" {
		d.Label, d.LabelSig = "", "" // MUST be ignored without
	}
	return d, true
}

// put puts a device in place of what the list says of it.
func (l *list) put(name xml.Name, d Device) error {
	start := xml.StartElement{Name: xml.Name{Space: name.Space, Local: "device"}, Attr: []xml.Attr{{Name: xml.Name{Local: "id"}, Value: itoa(d.ID)}}}
	if d.Label != "" {
		start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: "label"}, Value: d.Label}, xml.Attr{Name: xml.Name{Local: "labelsig"}, Value: d.LabelSig})
	}
	p, err := document.NewPart(xmlstream.Wrap(nil, start))
	if err != nil {
		return err
	}
	l.remove([]uint32{d.ID})
	l.doc.Parts = append(l.doc.Parts, p)
	return nil
}

// remove reports whether any was there.
func (l *list) remove(devices []uint32) bool {
	n := len(l.doc.Parts)
	l.doc.Parts = slices.DeleteFunc(l.doc.Parts, func(p document.Part) bool {
		d, ok := l.device(p)
		return ok && slices.Contains(devices, d.ID)
	})
	return len(l.doc.Parts) != n
}
