package archive

import (
	"context"
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/propolis-im/propolis/internal/asking"
)

// Metadata says what is in an archive; everything is zero if that is empty.
type Metadata struct {
	FirstID, LastID string
	First, Last     time.Time
}

// GetMetadata asks what is in an archive, whose address is zero for the own one;
// servers with the feature [NSExtended] know that. Errors are a [stanza.Error] of the
// archive, [ErrBadAnswer], and those of the session, on which Serve must be running.
func GetMetadata(ctx context.Context, s *xmpp.Session, archive jid.JID) (m Metadata, err error) {
	type end struct {
		ID   string `xml:"id,attr"`
		Time string `xml:"timestamp,attr"`
	}
	var v struct {
		XMLName xml.Name `xml:"urn:xmpp:mam:2 metadata"`
		Start   end      `xml:"start"`
		End     end      `xml:"end"`
	}
	ctx, done := asking.Context(ctx)
	defer done()
	ask := xmlstream.Wrap(nil, xml.StartElement{Name: metadataName})
	if err := s.UnmarshalIQElement(ctx, ask, stanza.IQ{Type: stanza.GetIQ, To: archive}, &v); err != nil {
		return m, err
	}
	m.FirstID, m.LastID = v.Start.ID, v.End.ID
	if m.First, err = parseTime(v.Start.Time); err == nil {
		m.Last, err = parseTime(v.End.Time)
	}
	if err != nil || (m.FirstID == "") != (m.LastID == "") {
		return Metadata{}, ErrBadAnswer
	}
	return m, nil
}

// GetPrefs asks what the server archives of the own account's messages (XEP-0441).
// Errors are as for [GetMetadata].
func GetPrefs(ctx context.Context, s *xmpp.Session) (Prefs, error) {
	return askPrefs(ctx, s, stanza.GetIQ, xmlstream.Wrap(nil, xml.StartElement{Name: prefsName}))
}

// SetPrefs says what the server is to archive of the own account's messages, and
// returns what it will. Errors are as for [GetMetadata].
func SetPrefs(ctx context.Context, s *xmpp.Session, p Prefs) (Prefs, error) {
	return askPrefs(ctx, s, stanza.SetIQ, p.payload().TokenReader())
}

func askPrefs(ctx context.Context, s *xmpp.Session, typ stanza.IQType, payload xml.TokenReader) (Prefs, error) {
	var v struct {
		XMLName xml.Name `xml:"urn:xmpp:mam:2 prefs"`
		Default string   `xml:"default,attr"`
		Always  []string `xml:"always>jid"`
		Never   []string `xml:"never>jid"`
	}
	ctx, done := asking.Context(ctx)
	defer done()
	if err := s.UnmarshalIQElement(ctx, payload, stanza.IQ{Type: typ}, &v); err != nil {
		return Prefs{}, err
	}
	p := Prefs{Default: Default(v.Default)}
	var err error
	if p.Always, err = addresses(v.Always); err == nil {
		p.Never, err = addresses(v.Never)
	}
	if err != nil || p.Default == "" {
		return Prefs{}, ErrBadAnswer
	}
	return p, nil
}
