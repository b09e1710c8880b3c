package roster

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// maxText is longer than any address or version may be, in octets.
const maxText = 3*1023 + 2

// change is what a roster set asks for.
type change struct {
	jid    mux.Address
	name   string
	groups []string
	remove bool
}

// parseSet reads the payload of a roster set (RFC 6121 §2.3.3). Errors are those
// to answer with.
func parseSet(r xml.TokenReader, o *Options) (change, error) {
	d := xml.NewTokenDecoder(r)
	if t, err := d.Token(); err != nil {
		return change{}, errBadRequest
	} else if start, ok := t.(xml.StartElement); !ok || start.Name != queryName {
		return change{}, errBadRequest
	}
	var c change
	items := 0
	for {
		t, err := d.Token()
		if err != nil {
			return change{}, errBadRequest
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name.Space != NS || t.Name.Local != "item" {
				if err := d.Skip(); err != nil {
					return change{}, errBadRequest
				}
				continue
			}
			if items++; items > 1 {
				return change{}, errBadRequest
			}
			if c, err = parseItem(d, t, o); err != nil {
				return change{}, err
			}
		case xml.EndElement:
			if items != 1 {
				return change{}, errBadRequest
			}
			return c, nil
		}
	}
}

// parseItem reads an item up to its end. What the server alone decides is
// ignored: ask, approved, and each subscription but remove (RFC 6121 §2.1.2).
func parseItem(d *xml.Decoder, start xml.StartElement, o *Options) (c change, err error) {
	text := ""
	for _, a := range start.Attr {
		if a.Name.Space != "" {
			continue
		}
		switch a.Name.Local {
		case "jid":
			text = a.Value
		case "name":
			c.name = a.Value
		case "subscription":
			c.remove = a.Value == "remove"
		}
	}
	switch {
	case text == "":
		return c, errBadRequest
	case len(text) > maxText:
		return c, errMalformed
	}
	if c.jid, err = mux.ParseAddress(text); err != nil {
		return c, errMalformed
	}
	if c.groups, err = parseGroups(d); err != nil {
		return c, err
	}
	sorted := slices.Sorted(slices.Values(c.groups))
	switch {
	case !c.jid.IsBare(), len(slices.Compact(sorted)) != len(c.groups):
		return c, errBadRequest
	case c.remove:
		return c, nil
	case slices.Contains(c.groups, ""), len(c.groups) > o.MaxGroups, len(c.name) > o.MaxName,
		slices.ContainsFunc(c.groups, func(g string) bool { return len(g) > o.MaxName }):
		return c, errNotAcceptable
	}
	return c, nil
}

// parseGroups reads what is inside an item.
func parseGroups(d *xml.Decoder) (groups []string, err error) {
	for {
		t, err := d.Token()
		if err != nil {
			return nil, errBadRequest
		}
		switch t := t.(type) {
		case xml.EndElement:
			return groups, nil
		case xml.StartElement:
			if t.Name.Space != NS || t.Name.Local != "group" {
				if err := d.Skip(); err != nil {
					return nil, errBadRequest
				}
				continue
			}
			g, err := parseText(d)
			if err != nil {
				return nil, errBadRequest
			}
			groups = append(groups, g)
		}
	}
}

// parseText reads the text of an element up to its end.
func parseText(d *xml.Decoder) (string, error) {
	var b strings.Builder
	for {
		t, err := d.Token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			if err := d.Skip(); err != nil {
				return "", err
			}
		case xml.EndElement:
			return b.String(), nil
		}
	}
}

// knownVersion reads the ver attribute of a roster get; ok says that there is one.
func knownVersion(query mux.Child) (ver string, ok bool) {
	if ver = query.Attr("ver"); ver != "" || !strings.Contains(query.Raw(), "ver") {
		return ver, ver != ""
	}
	// There may be one that is empty, which is not the same as none.
	t, err := query.TokenReader().Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false
	}
	start, _ := t.(xml.StartElement)
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == "ver" {
			return a.Value, true
		}
	}
	return "", false
}

// version is the text of a version; the epoch keeps rosters of another history
// apart.
func version(epoch string, ver uint64) string { return epoch + ":" + strconv.FormatUint(ver, 10) }

// parseVersion reads the text of a version of that epoch.
func parseVersion(text, epoch string) (ver uint64, ok bool) {
	if len(text) > maxText {
		return 0, false
	}
	rest, ok := strings.CutPrefix(text, epoch+":")
	if !ok {
		return 0, false
	}
	ver, err := strconv.ParseUint(rest, 10, 64)
	return ver, err == nil && strconv.FormatUint(ver, 10) == rest
}

func appendAttr(b []byte, name, value string) []byte {
	b = append(append(append(b, ' '), name...), "='"...)
	return append(xmlwrite.AppendAttrValue(b, value), '\'')
}

// appendQuery opens a query, with a version if it is not empty.
func appendQuery(b []byte, ver string) []byte {
	b = append(b, "<query xmlns='"+NS+"'"...)
	if ver != "" {
		b = appendAttr(b, "ver", ver)
	}
	return append(b, '>')
}

const queryEnd = "</query>"

var subscriptionNames = [4]string{None: "none", To: "to", From: "from", Both: "both"}

// appendItem writes an item as clients see it (RFC 6121 §2.1.2, App. A.1): that
// the contact waits for an answer never shows. One that they do not see is
// removed.
func appendItem(b []byte, i *Item) []byte {
	b = appendAttr(append(b, "<item"...), "jid", i.JID.String())
	if !i.Listed {
		return append(b, " subscription='remove'/>"...)
	}
	if i.Name != "" {
		b = appendAttr(b, "name", i.Name)
	}
	b = appendAttr(b, "subscription", subscriptionNames[i.Subscription&Both])
	if i.Ask {
		b = append(b, " ask='subscribe'"...)
	}
	if i.Approved {
		b = append(b, " approved='true'"...)
	}
	if len(i.Groups) == 0 {
		return append(b, "/>"...)
	}
	b = append(b, '>')
	for _, g := range i.Groups {
		b = append(xmlwrite.AppendText(append(b, "<group>"...), g), "</group>"...)
	}
	return append(b, "</item>"...)
}
