package pep

import (
	"slices"
	"strconv"
	"strings"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// Config is how a node behaves (XEP-0060 §16.4.4). Its values are those of the
// protocol, so that it is kept as it is shown.
type Config struct {
	Title, Description, Type, Language string
	Access                             string   // access_model: presence, open, roster, whitelist, authorize
	Groups                             []string // roster_groups_allowed
	Publish                            string   // publish_model: publishers, subscribers, open
	Persist                            bool
	MaxItems                           int    // Max for as many as the server allows
	SendLast                           string // never, on_sub, on_sub_and_presence
	Notify, Payloads                   bool   // deliver_notifications, deliver_payloads
	MessageType                        string // notification_type: headline, normal
	ItemReply                          string // none, owner, publisher
	NotifyRetract, NotifyDelete        bool
	NotifyConfig, NotifySub            bool
	Expire                             int    // item_expire in seconds, Max for never
	MaxPayload                         int    // max_payload_size in octets
	NodeFull                           string // publish_node_full: retract-oldest, discard-oldest, reject
	PresenceBased                      bool   // presence_based_delivery
	Subscribe                          bool
}

// Max stands for what the server allows, whatever that is (XEP-0060 §16.4.4: max).
const Max = -1

// Access models.
const (
	accessPresence  = "presence"
	accessOpen      = "open"
	accessRoster    = "roster"
	accessWhitelist = "whitelist"
	accessAuthorize = "authorize"
)

// Values of send_last_published_item.
const (
	lastNever    = "never"
	lastOnSub    = "on_sub"
	lastPresence = "on_sub_and_presence"
)

// defaultConfig is that of nodes of which nothing else is said (XEP-0163 §5).
func defaultConfig() Config {
	return Config{
		Access: accessPresence, Publish: "publishers", Persist: true, MaxItems: 1, SendLast: lastPresence, Notify: true, Payloads: true,
		MessageType: "headline", ItemReply: "none", NotifyRetract: true, NotifyDelete: true, Expire: Max, MaxPayload: 256 << 10,
		NodeFull: "retract-oldest", Subscribe: true,
	}
}

// private nodes are for their owners whatever anybody says (XEP-0223, XEP-0411 §5):
// fields that beat both default and request.
var forced = map[string]map[string][]string{
	"urn:xmpp:bookmarks:1":     {"access_model": {accessWhitelist}},
	"urn:xmpp:mds:displayed:0": {"access_model": {accessWhitelist}},
	"storage:bookmarks":        {"access_model": {accessWhitelist}},
	"urn:xmpp:contacts":        {"access_model": {accessWhitelist}},
}

// known are defaults of well-known nodes, which requests beat.
var known = map[string]map[string][]string{
	"urn:xmpp:bookmarks:1":     {"max_items": {"max"}, "send_last_published_item": {lastNever}},
	"urn:xmpp:mds:displayed:0": {"max_items": {"max"}, "send_last_published_item": {lastNever}},
	"urn:xmpp:contacts":        {"max_items": {"max"}, "send_last_published_item": {lastNever}},
	"urn:xmpp:vcard4":          {"access_model": {accessOpen}, "send_last_published_item": {lastNever}},
	"urn:xmpp:omemo:2:devices": {"access_model": {accessOpen}},
	"urn:xmpp:omemo:2:bundles": {"access_model": {accessOpen}, "max_items": {"max"}},
}

type fieldType uint8

const (
	textField fieldType = iota
	boolField
	numberField
	listField
	listMultiField
)

var formTypes = [...]string{"text-single", "boolean", "text-single", "list-single", "list-multi"}

// field is one field of a node's configuration.
type field struct {
	name  string
	typ   fieldType
	label string
	list  []string
	text  func(c *Config) *string
	flag  func(c *Config) *bool
	num   func(c *Config) *int
	max   bool // max is a number too
}

// nodeFields are all that are known, in the order of forms.
var nodeFields = []field{
	{name: "title", label: "Name", text: func(c *Config) *string { return &c.Title }},
	{name: "description", label: "Description", text: func(c *Config) *string { return &c.Description }},
	{name: "type", label: "Type of what is published", text: func(c *Config) *string { return &c.Type }},
	{name: "language", label: "Language", text: func(c *Config) *string { return &c.Language }},
	{name: "access_model", typ: listField, label: "Who may subscribe and read",
		list: []string{accessAuthorize, accessOpen, accessPresence, accessRoster, accessWhitelist}, text: func(c *Config) *string { return &c.Access }},
	{name: "roster_groups_allowed", typ: listMultiField, label: "Groups that may subscribe and read"},
	{name: "publish_model", typ: listField, label: "Who may publish",
		list: []string{"publishers", "subscribers", "open"}, text: func(c *Config) *string { return &c.Publish }},
	{name: "persist_items", typ: boolField, label: "Keep items", flag: func(c *Config) *bool { return &c.Persist }},
	{name: "max_items", typ: numberField, max: true, label: "Most items that are kept", num: func(c *Config) *int { return &c.MaxItems }},
	{name: "item_expire", typ: numberField, max: true, label: "Seconds after which items go", num: func(c *Config) *int { return &c.Expire }},
	{name: "max_payload_size", typ: numberField, label: "Most octets of an item", num: func(c *Config) *int { return &c.MaxPayload }},
	{name: "send_last_published_item", typ: listField, label: "When the last item is sent",
		list: []string{lastNever, lastOnSub, lastPresence}, text: func(c *Config) *string { return &c.SendLast }},
	{name: "deliver_notifications", typ: boolField, label: "Send events", flag: func(c *Config) *bool { return &c.Notify }},
	{name: "deliver_payloads", typ: boolField, label: "Send items with events", flag: func(c *Config) *bool { return &c.Payloads }},
	{name: "notification_type", typ: listField, label: "Type of messages",
		list: []string{"headline", "normal"}, text: func(c *Config) *string { return &c.MessageType }},
	{name: "itemreply", typ: listField, label: "Whom replies go to",
		list: []string{"none", "owner", "publisher"}, text: func(c *Config) *string { return &c.ItemReply }},
	{name: "notify_retract", typ: boolField, label: "Tell of items that go", flag: func(c *Config) *bool { return &c.NotifyRetract }},
	{name: "notify_delete", typ: boolField, label: "Tell of the end of the node", flag: func(c *Config) *bool { return &c.NotifyDelete }},
	{name: "notify_config", typ: boolField, label: "Tell of another configuration", flag: func(c *Config) *bool { return &c.NotifyConfig }},
	{name: "notify_sub", typ: boolField, label: "Tell the owner of subscribers", flag: func(c *Config) *bool { return &c.NotifySub }},
	{name: "publish_node_full", typ: listField, label: "What happens when the node is full",
		list: []string{"retract-oldest", "discard-oldest", "reject"}, text: func(c *Config) *string { return &c.NodeFull }},
	{name: "presence_based_delivery", typ: boolField, label: "Tell only who is available", flag: func(c *Config) *bool { return &c.PresenceBased }},
	{name: "subscribe", typ: boolField, label: "Allow subscriptions", flag: func(c *Config) *bool { return &c.Subscribe }},
}

// fixedFields have one value only: nothing else is implemented.
var fixedFields = map[string]string{
	"node_type": "leaf", "collection": "", "purge_offline": "0", "tempsub": "0",
}

// What the names of fields begin with.
const (
	varPrefix = "pubsub#"
	nsPrefix  = NS + "#" // of form types and features
)

func findField(name string) *field {
	for i := range nodeFields {
		if nodeFields[i].name == name {
			return &nodeFields[i]
		}
	}
	return nil
}

// values are those of a field.
func (f *field) values(c *Config) []string {
	switch {
	case f.typ == listMultiField:
		return c.Groups
	case f.text != nil:
		return []string{*f.text(c)}
	case f.flag != nil:
		if *f.flag(c) {
			return []string{"1"}
		}
		return []string{"0"}
	case *f.num(c) == Max:
		return []string{"max"}
	}
	return []string{strconv.Itoa(*f.num(c))}
}

// limits bound what a node may say.
type limits struct{ items, payload int }

// unlimited is for what was allowed once.
var unlimited = limits{1<<31 - 1, 1<<31 - 1}

// set gives a field its value, or says what is wrong with it.
func (f *field) set(c *Config, v []string, l limits) error {
	if f.typ == listMultiField {
		if len(v) > 100 || slices.ContainsFunc(v, func(s string) bool { return len(s) > maxName || !xmlwrite.ValidText(s) }) {
			return errOutOfRange
		}
		c.Groups = slices.Clone(v)
		slices.Sort(c.Groups)
		c.Groups = slices.Compact(c.Groups)
		return nil
	}
	if len(v) > 1 {
		return errBadRequest
	}
	s := ""
	if len(v) == 1 {
		s = v[0]
	}
	switch f.typ {
	case textField:
		if len(s) > maxText || !xmlwrite.ValidText(s) {
			return errOutOfRange
		}
		*f.text(c) = s
	case boolField:
		b, ok := parseBool(s)
		if !ok {
			return errBadRequest
		}
		*f.flag(c) = b
	case listField:
		if !slices.Contains(f.list, s) {
			if f.name == "access_model" {
				return errAccessModel
			}
			return errOutOfRange
		}
		*f.text(c) = s
	case numberField:
		n, err := f.number(s)
		if err != nil {
			return err
		}
		if f.name == "max_items" && n > l.items || f.name == "max_payload_size" && n > l.payload {
			return errOutOfRange
		}
		*f.num(c) = n
	}
	return nil
}

func (f *field) number(s string) (int, error) {
	if f.max && s == "max" {
		return Max, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		if len(s) > 0 && strings.Trim(s, "0123456789") == "" {
			return 0, errOutOfRange
		}
		return 0, errBadRequest
	}
	return int(n), nil
}

// parseBool reads a boolean (XEP-0004 §3.3).
func parseBool(s string) (v, ok bool) {
	switch s {
	case "1", "true":
		return true, true
	case "0", "false":
		return false, true
	}
	return false, false
}

// fixed checks a field that has one value only: is it one, and does it have that.
func fixed(name string, v []string) (is, same bool, err error) {
	want, is := fixedFields[name]
	if !is {
		return false, false, nil
	}
	s := strings.Join(v, "")
	if want != "0" {
		return true, s == want, nil
	}
	b, ok := parseBool(s)
	if !ok {
		return true, false, errBadRequest
	}
	return true, !b, nil
}

// apply sets the fields of a form. Those of others are ignored (XEP-0004 §3.5);
// unknown ones of pubsub are refused.
func (c *Config) apply(fields []formField, l limits, unknown error) error {
	for _, ff := range fields {
		name, ours := cutField(ff.Var)
		if !ours {
			continue
		}
		if is, same, err := fixed(name, ff.Values); is {
			if err == nil && !same {
				err = errOutOfRange
			}
			if err != nil {
				return err
			}
			continue
		}
		f := findField(name)
		if f == nil {
			return unknown
		}
		if err := f.set(c, ff.Values, l); err != nil {
			return err
		}
	}
	return nil
}

// presets are the fields of tables as a form.
func presets(m map[string][]string) []formField {
	var l []formField
	for name, v := range m {
		l = append(l, formField{Var: varPrefix + name, Values: v})
	}
	return l
}

// differs names the first field of a form that is not as in the configuration
// (XEP-0060 §7.1.5), empty if there is none.
func (c *Config) differs(fields []formField) (string, error) {
	for _, ff := range fields {
		name, ours := cutField(ff.Var)
		f := findField(name)
		is, same, err := fixed(name, ff.Values)
		switch {
		case !ours, is && same:
			continue
		case err != nil:
			return "", err
		case is:
			return name, nil
		case f == nil:
			return "", errInvalidOptions
		}
		want := *c
		if err := f.set(&want, ff.Values, unlimited); err != nil {
			return "", err
		}
		if !slices.Equal(f.values(c), f.values(&want)) {
			return name, nil
		}
	}
	return "", nil
}

// DefaultConfig is the configuration of nodes of which nothing else is said (XEP-0163
// §5).
func DefaultConfig() Config { return defaultConfig() }
