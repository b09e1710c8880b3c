package vcard4

import (
	"encoding/xml"
	"slices"
	"strings"
)

// pair is a part of a structured property, by its names in both forms.
type pair struct{ temp, four string }

// property says how a property is mapped (XEP-0292 §11). What none of these is about has
// no counterpart.
type property struct {
	pair
	value string // the element of a value in vCard4: text, uri or date
	parts []pair // of a structured one, in the order of vCard4
	list  string // the element of each value in vcard-temp, if there are several; "," for a list in the text
	types []pair
	write func(text string) (value, out string) // of a value, where it is not the text itself
	read  func(value, text string) (out string, ok bool)
}

var (
	homeWork = []pair{{"HOME", "home"}, {"WORK", "work"}}
	telTypes = append(slices.Clone(homeWork), pair{"VOICE", "voice"}, pair{"FAX", "fax"}, pair{"PAGER", "pager"}, pair{"CELL", "cell"}, pair{"VIDEO", "video"})
)

var properties = []*property{
	{pair: pair{"FN", "fn"}, value: "text"},
	{pair: pair{"N", "n"}, parts: []pair{{"FAMILY", "surname"}, {"GIVEN", "given"}, {"MIDDLE", "additional"}, {"PREFIX", "prefix"}, {"SUFFIX", "suffix"}}},
	{pair: pair{"NICKNAME", "nickname"}, value: "text", list: ","},
	{pair: pair{"BDAY", "bday"}, value: "date", write: writeDate},
	{pair: pair{"ADR", "adr"}, types: homeWork, parts: []pair{{"POBOX", "pobox"}, {"EXTADD", "ext"}, {"STREET", "street"}, {"LOCALITY", "locality"},
		{"REGION", "region"}, {"PCODE", "code"}, {"CTRY", "country"}}},
	{pair: pair{"TEL", "tel"}, value: "uri", types: telTypes, parts: []pair{{"NUMBER", ""}}, write: writeTel, read: readScheme("tel:", true)},
	{pair: pair{"EMAIL", "email"}, value: "text", types: homeWork, parts: []pair{{"USERID", ""}}},
	{pair: pair{"JABBERID", "impp"}, value: "uri", write: writeScheme("xmpp:"), read: readScheme("xmpp:", false)},
	{pair: pair{"TITLE", "title"}, value: "text"},
	{pair: pair{"ROLE", "role"}, value: "text"},
	{pair: pair{"ORG", "org"}, value: "text", list: "ORGNAME ORGUNIT"},
	{pair: pair{"CATEGORIES", "categories"}, value: "text", list: "KEYWORD KEYWORD"},
	{pair: pair{"DESC", "note"}, value: "text"},
	{pair: pair{"NOTE", "note"}, value: "text"},
	{pair: pair{"URL", "url"}, value: "uri"},
	{pair: pair{"TZ", "tz"}, value: "text"},
}

func byTemp(local string) *property {
	return find(func(p *property) bool { return p.temp == local })
}

func byFour(local string) *property {
	return find(func(p *property) bool { return p.four == local })
}

func find(f func(p *property) bool) *property {
	if i := slices.IndexFunc(properties, f); i >= 0 {
		return properties[i]
	}
	return nil
}

// writeDate: what is no date stays a text (RFC 6350 §6.2.5).
func writeDate(text string) (value, out string) {
	if text != "" && strings.Trim(text, "0123456789-") == "" {
		return "date", text
	}
	return "text", text
}

// writeTel: what is no number stays a text (RFC 6350 §6.4.1).
func writeTel(text string) (value, out string) {
	if text != "" && strings.Trim(text, "+0123456789-.()*#") == "" {
		return "uri", "tel:" + text
	}
	return "text", text
}

func writeScheme(scheme string) func(text string) (value, out string) {
	return func(text string) (value, out string) { return "uri", scheme + text }
}

// readScheme reads addresses of a scheme; texts, too, if anything else is as good.
func readScheme(scheme string, any bool) func(value, text string) (out string, ok bool) {
	return func(_, text string) (out string, ok bool) {
		if len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			return text[len(scheme):], true
		}
		return text, any
	}
}

func temp(local string) xml.Name { return xml.Name{Space: nsTemp, Local: local} }

func four(local string) xml.Name { return xml.Name{Space: NS, Local: local} }
