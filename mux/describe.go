package mux

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Describe prints what is registered, in the order in which it takes part.
func (m *Mux) Describe(w io.Writer) {
	for p := range points {
		for i, k := range kinds {
			m.describeList(w, p, k, "guard", m.guards[p][i])
			m.describeList(w, p, k, "modify", m.modifiers[p][i])
			m.describeList(w, p, k, "observe", m.observers[p][i])
		}
	}
	for i, k := range kinds {
		if names := owners(m.leftovers[i]); names != "" {
			fmt.Fprintf(w, "leftover %s: %s\n", k, names)
		}
		if names := owners(m.undelivered[i]); names != "" {
			fmt.Fprintf(w, "Undelivered %s: %s\n", k, names)
		}
	}
	for _, k := range m.iqOrder {
		fmt.Fprintf(w, "%s iq %s {%s}%s: %s\n", k.scope, k.typ, k.payload.Space, k.payload.Local, m.iqs[k].ext)
	}
	m.describeNames(w)
	for l := range layers {
		for _, b := range m.inbound[l] {
			fmt.Fprintf(w, "Inbound %s: %s\n", l, b.ext)
		}
		for _, b := range m.outbound[l] {
			fmt.Fprintf(w, "Outbound %s: %s\n", l, b.ext)
		}
	}
	var names []string
	for _, l := range m.lifecycles {
		names = append(names, l.ext)
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "Lifecycle: %s\n", strings.Join(names, ", "))
	}
	for _, d := range m.discos {
		fmt.Fprintf(w, "Disco %s: %s\n", d.scope, d.ext)
	}
	for _, f := range m.features {
		fmt.Fprintf(w, "Feature %s: %s\n", f.Name, f.ext)
	}
	for _, i := range m.inlines {
		if i.Name.Local == "" {
			fmt.Fprintf(w, "Inline, each Bind 2: %s\n", i.ext)
			continue
		}
		fmt.Fprintf(w, "Inline {%s}%s: %s\n", i.Name.Space, i.Name.Local, i.ext)
	}
}

func (m *Mux) describeNames(w io.Writer) {
	var lines []string
	for d, x := range m.entities {
		lines = append(lines, fmt.Sprintf("Entity %s: %s\n", d, x.ext))
	}
	for n, x := range m.nonzas {
		lines = append(lines, fmt.Sprintf("Nonza {%s}%s: %s\n", n.Space, n.Local, x.ext))
	}
	for n, x := range m.remotes {
		lines = append(lines, fmt.Sprintf("Remote {%s}: %s\n", n, x.ext))
	}
	slices.Sort(lines)
	for _, l := range lines {
		fmt.Fprint(w, l)
	}
}

func (m *Mux) describeList(w io.Writer, p Point, k Kind, phase string, list []entry) {
	if names := owners(list); names != "" {
		fmt.Fprintf(w, "%s %s %s: %s\n", p, k, phase, names)
	}
}

func owners(list []entry) string {
	var names []string
	for _, x := range list {
		names = append(names, x.ext)
	}
	return strings.Join(names, ", ")
}
