package archive

import (
	"encoding/xml"
	"strconv"
	"strings"
	"time"

	"github.com/propolis-im/propolis/mux"
)

const (
	nsForm = "jabber:x:data"
	nsRSM  = "http://jabber.org/protocol/rsm"
)

// request is a query as the client has written it.
type request struct {
	Query
	queryID string
	flip    bool
}

// queryXML is the element query (XEP-0313 §4).
type queryXML struct {
	Node    string    `xml:"node,attr"`
	QueryID string    `xml:"queryid,attr"`
	Form    *formXML  `xml:"jabber:x:data x"`
	Set     *rsmXML   `xml:"http://jabber.org/protocol/rsm set"`
	Flip    *struct{} `xml:"urn:xmpp:mam:2 flip-page"`
}

type formXML struct {
	Type   string     `xml:"type,attr"`
	Fields []fieldXML `xml:"jabber:x:data field"`
}

type fieldXML struct {
	Var    string   `xml:"var,attr"`
	Values []string `xml:"jabber:x:data value"`
}

// rsmXML is what of XEP-0059 there is in requests and answers.
type rsmXML struct {
	XMLName xml.Name `xml:"http://jabber.org/protocol/rsm set"`
	Max     *string  `xml:"max"`
	After   *string  `xml:"after"`
	Before  *string  `xml:"before"`
	Index   *string  `xml:"index"`
	Count   *string  `xml:"count"`
	First   *string  `xml:"first"`
	Last    *string  `xml:"last"`
}

// parseQuery reads a query. The error is a stanza error.
func (x *Extension) parseQuery(c mux.Child) (request, error) {
	var q queryXML
	if err := c.Decode(&q); err != nil {
		return request{}, errBadRequest
	}
	if q.Node != "" {
		return request{}, errNotFound // XEP-0313 §6.1.3: of pubsub services
	}
	r := request{queryID: q.QueryID, flip: q.Flip != nil}
	r.Max, r.Bytes = x.opt.Page, x.opt.PageBytes
	if err := r.readSet(q.Set, x.opt.MaxPage); err != nil {
		return request{}, err
	}
	if q.Form != nil {
		if err := r.readForm(q.Form, x.opt.MaxPage); err != nil {
			return request{}, err
		}
	}
	return r, nil
}

// readSet reads how much is wanted, and from where (XEP-0059 §2).
func (r *request) readSet(s *rsmXML, most int) error {
	if s == nil {
		return nil
	}
	if s.Index != nil {
		return errNotImplemented // XEP-0059 §2.4
	}
	if s.Max != nil {
		n, err := strconv.ParseUint(strings.TrimSpace(*s.Max), 10, 63)
		if err != nil {
			return errBadRequest
		}
		r.Max = int(min(n, uint64(most)))
	}
	if s.After != nil {
		r.PageAfter = *s.After
	}
	if s.Before != nil {
		r.PageBefore, r.Backward = *s.Before, true // empty for the last page
	}
	return nil
}

// readForm reads the conditions (XEP-0313 §4.1).
func (r *request) readForm(f *formXML, most int) error {
	if f.Type != "submit" {
		return errBadRequest
	}
	typ := ""
	seen := make(map[string]bool, len(f.Fields))
	for _, field := range f.Fields {
		if seen[field.Var] {
			return errBadRequest
		}
		seen[field.Var] = true
		if field.Var == "FORM_TYPE" {
			typ = field.one()
			continue
		}
		if err := r.readField(field, most); err != nil {
			return err
		}
	}
	if typ != NS {
		return errBadRequest
	}
	return nil
}

func (f *fieldXML) one() string {
	if len(f.Values) == 0 {
		return ""
	}
	return f.Values[0]
}

// readField reads one condition; one without a value is none.
func (r *request) readField(f fieldXML, most int) (err error) {
	v := f.one()
	if len(f.Values) > 1 && f.Var != "ids" {
		return errBadRequest
	}
	switch f.Var {
	case "with":
		if v != "" {
			if r.With, err = mux.ParseAddress(v); err != nil {
				return errMalformed
			}
		}
	case "start":
		r.Start, err = parseTime(v)
	case "end":
		r.End, err = parseTime(v)
	case "before-id":
		r.BeforeID = v
	case "after-id":
		r.AfterID = v
	case "ids":
		if len(f.Values) > most {
			return errTooMuch
		}
		r.IDs = f.Values
	case "include-groupchat":
		switch v {
		case "", "0", "1", "true", "false": // there are none, whatever is said
		default:
			return errBadRequest
		}
	default:
		return errNotImplemented // XEP-0313 §4.1.5
	}
	return err
}

// parseTime reads a DateTime of XEP-0082 §3.2. That is RFC 3339 in a narrower form:
// with capital letters, and seconds.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if !strings.Contains(text, "T") || strings.ContainsAny(text, "tz ,") {
		return time.Time{}, errBadRequest
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1 {
		return time.Time{}, errBadRequest
	}
	if t.IsZero() {
		t = t.Add(1) // said, after all
	}
	return t, nil
}
