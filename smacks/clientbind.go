package smacks

import (
	"encoding/xml"
	"fmt"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// bind binds a resource (RFC 6120 §7).
func (l *login) bind(resource string) error {
	id := stanzaID()
	b := []byte("<iq type='set' id='" + id + "'><bind xmlns='" + nsBind + "'>")
	if resource != "" {
		b = append(b, "<resource>"...)
		b = append(xmlwrite.AppendText(b, resource), "</resource>"...)
	}
	if err := l.write(append(b, "</bind></iq>"...)); err != nil {
		return err
	}
	el, err := l.el.element()
	if err != nil {
		return err
	}
	if el.Kind() != mux.IQ || el.ID() != id {
		return fmt.Errorf("%w to bind: %s", errSM, el.Name().Local)
	}
	if el.Type() != "result" {
		return bindError(el)
	}
	for _, c := range el.Children() {
		d, err := c.Element()
		if err != nil {
			return err
		}
		if j, ok := d.Child(xml.Name{Space: nsBind, Local: "jid"}); ok {
			l.jid, err = jid.Parse(j.Text())
			return err
		}
	}
	return fmt.Errorf("%w to bind", errSM)
}

func bindError(el *mux.Stanza) error {
	var e struct {
		Error stanza.Error `xml:"error"`
	}
	if err := xml.Unmarshal(el.Append(nil, mux.NSClient), &e); err != nil {
		return err
	}
	return e.Error
}
