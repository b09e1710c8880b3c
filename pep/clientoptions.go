package pep

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Access models (XEP-0060 §4.5).
const (
	AccessPresence  = accessPresence  // who gets the presence of the account
	AccessOpen      = accessOpen      // everybody
	AccessRoster    = accessRoster    // contacts in some groups
	AccessWhitelist = accessWhitelist // the account, and whom it lists
	AccessAuthorize = accessAuthorize // whom it approves
)

// Values of send_last_published_item.
const (
	LastNever    = lastNever
	LastOnSub    = lastOnSub
	LastPresence = lastPresence
)

// Flag is a yes or no that need not be said.
type Flag uint8

// The flags.
const (
	Unsaid Flag = iota
	Yes
	No
)

// Repair is what [Client.Publish] does about a node that is configured in another way
// than it should be.
type Repair uint8

// The repairs. Two programs that want different things of a node must not repair it
// both: each would undo the other's.
const (
	// NoRepair returns the error.
	NoRepair Repair = iota
	// RepairNode changes the fields that differ, as long as nobody can see or do more
	// by that, and publishes once more.
	RepairNode
	// RepairOpening does so also if more people can, such as for nodes that others have
	// to read.
	RepairOpening
)

// NodeOptions say how a node is to be configured (XEP-0060 §16.4.4): what is zero is not
// said. With a publication they are conditions, and the configuration of a node that comes
// to be by it (§7.1.5).
type NodeOptions struct {
	Access   string   // access_model
	Groups   []string // roster_groups_allowed
	Persist  Flag     // persist_items
	MaxItems int      // Max for as many as the server allows
	SendLast string   // send_last_published_item
	Notify   Flag     // deliver_notifications
	Payloads Flag     // deliver_payloads

	NotifyRetract, NotifyDelete, NotifyConfig, NotifySub Flag

	// Fields are others, by their names without pubsub#; they win.
	Fields Fields
	// Repair says what to do if the node is configured in another way.
	Repair Repair
}

// Private are the options of what is nobody else's business (XEP-0223 §2), all of which
// is kept.
func Private() *NodeOptions {
	return &NodeOptions{Access: AccessWhitelist, Persist: Yes, MaxItems: Max, SendLast: LastNever}
}

// Public are the options of what everybody may read (XEP-0222 §2), all of which is kept.
func Public() *NodeOptions {
	return &NodeOptions{Access: AccessOpen, Persist: Yes, MaxItems: Max, SendLast: LastNever}
}

// Fields are fields of a configuration by their names without pubsub#, such as
// access_model.
type Fields map[string][]string

// Get is the first value of a field, empty if there is none.
func (f Fields) Get(name string) string {
	if v := f[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Bool reports whether a field says yes.
func (f Fields) Bool(name string) bool {
	yes, _ := parseBool(strings.TrimSpace(f.Get(name)))
	return yes
}

// fields are what is said.
func (o *NodeOptions) fields() Fields {
	m := make(Fields)
	text := func(name, value string) {
		if value != "" {
			m[name] = []string{value}
		}
	}
	text("access_model", o.Access)
	text("send_last_published_item", o.SendLast)
	if len(o.Groups) > 0 {
		m["roster_groups_allowed"] = o.Groups
	}
	switch {
	case o.MaxItems == Max:
		text("max_items", "max")
	case o.MaxItems > 0:
		text("max_items", strconv.Itoa(o.MaxItems))
	}
	for name, f := range map[string]Flag{
		"persist_items": o.Persist, "deliver_notifications": o.Notify, "deliver_payloads": o.Payloads, "notify_retract": o.NotifyRetract,
		"notify_delete": o.NotifyDelete, "notify_config": o.NotifyConfig, "notify_sub": o.NotifySub,
	} {
		switch f {
		case Yes:
			text(name, "true")
		case No:
			text(name, "false")
		}
	}
	maps.Copy(m, o.Fields)
	return m
}

// private reports whether fewer people may see a node than if nothing was said.
func (f Fields) private() bool {
	m := f.Get("access_model")
	return m != "" && openness(m) < openness(AccessPresence)
}

// appendForm writes fields as a form that is submitted.
func (f Fields) appendForm(b []byte, formType string) []byte {
	b = appendFormStart(b, "submit", formType)
	for _, name := range sortedKeys(f) {
		b = appendField(b, name, f[name])
	}
	return append(b, "</x>"...)
}

// differing are those fields that a node has and that are not as they should be, compared
// by what they mean.
func (f Fields) differing(now Fields) Fields {
	d := make(Fields)
	for name, want := range f {
		if is, ok := now[name]; ok && !slices.Equal(meaning(name, want), meaning(name, is)) {
			d[name] = want
		}
	}
	return d
}

// meaning is the same for values that mean the same (XEP-0004 §3.3).
func meaning(name string, values []string) []string {
	known := findField(name)
	if known == nil {
		return values
	}
	switch known.typ {
	case boolField:
		if len(values) == 1 {
			if yes, ok := parseBool(values[0]); ok {
				return []string{strconv.FormatBool(yes)}
			}
		}
	case numberField:
		if len(values) == 1 {
			if n, err := strconv.ParseUint(values[0], 10, 64); err == nil {
				return []string{strconv.FormatUint(n, 10)}
			}
		}
	case listMultiField:
		values = slices.Sorted(slices.Values(values))
		return slices.Compact(values)
	}
	if len(values) == 1 && values[0] == "" {
		return nil // as if it was not there
	}
	return values
}

// openness orders access and publish models by how many people may: those that are not
// known could be any.
func openness(model string) int {
	switch model {
	case AccessWhitelist, "publishers":
		return 0
	case AccessAuthorize:
		return 1
	case AccessRoster, "subscribers":
		return 2
	case AccessPresence:
		return 3
	case AccessOpen:
		return 4
	}
	return -1
}

// opens reports whether people may see or do more by a change.
func (f Fields) opens(now Fields) bool {
	for _, name := range []string{"access_model", "publish_model"} {
		if _, changes := f[name]; !changes {
			continue
		}
		to, from := openness(f.Get(name)), openness(now.Get(name))
		if to < 0 || from < 0 || to > from {
			return true
		}
	}
	for _, group := range f["roster_groups_allowed"] {
		if !slices.Contains(now["roster_groups_allowed"], group) {
			return true
		}
	}
	return false
}
