package roster

// Step is the pure subscription state machine: what a stanza of that type makes
// of an item, and whether it is routed or delivered and answered by the server.
func Step(i Item, outward bool, typ, request string) (now Item, route_, deliver_, auto, changed bool) {
	m, _ := moveOf(typ)
	c := inward(i.state(), i.Approved, m)
	if outward {
		c = out[i.state()][m]
	}
	now = i.become(m, c, request)
	return now, c.do&route != 0, c.do&deliver != 0, c.do&reply != 0, !i.same(&now)
}

// ParseSet parses a roster set with the default limits.
var ParseSet = parseSet

// Defaults are the default options.
func Defaults() *Options {
	o := (*Options)(nil).withDefaults()
	return &o
}

// Fields of a parsed roster set.
func (c change) Fields() (jid, name string, groups []string, remove bool) {
	return c.jid.String(), c.name, c.groups, c.remove
}

// AppendItem renders an item.
var AppendItem = appendItem
