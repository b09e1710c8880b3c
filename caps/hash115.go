package caps

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const formType = "FORM_TYPE"

// form115 is a form that counts in the verification string.
type form115 struct {
	typ    string
	fields []string // each with its values, as written there
}

// string115 is the verification string S of XEP-0115 §5.1 before it is hashed. Go
// compares strings octet by octet, as i;octet does. The error says which rule of §5.4
// is broken.
//
// Of what the separator < is part nobody can tell how others write it (§5.1, note on
// "&lt;"), and it would make one thing look like two; so it counts as ill-formed.
func (i *Info) string115() (string, error) {
	if err := i.unambiguous(); err != nil {
		return "", err
	}
	ids := slices.Clone(i.Identities)
	slices.SortFunc(ids, compareIdentities)
	for k := 1; k < len(ids); k++ {
		if ids[k] == ids[k-1] {
			return "", fmt.Errorf("%w: identity twice", ErrMalformed)
		}
	}
	features := slices.Clone(i.Features)
	slices.Sort(features)
	for k := 1; k < len(features); k++ {
		if features[k] == features[k-1] {
			return "", fmt.Errorf("%w: feature twice", ErrMalformed)
		}
	}
	forms, err := i.forms115()
	if err != nil {
		return "", err
	}
	var s strings.Builder
	for _, id := range ids {
		s.WriteString(id.Category + "/" + id.Type + "/" + id.Lang + "/" + id.Name + "<")
	}
	for _, f := range features {
		s.WriteString(f + "<")
	}
	for _, f := range forms {
		s.WriteString(f.typ + "<")
		for _, field := range f.fields {
			s.WriteString(field)
		}
	}
	return s.String(), nil
}

// compareIdentities orders by category, type, language and name.
func compareIdentities(a, b Identity) int {
	return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Lang, b.Lang), cmp.Compare(a.Name, b.Name))
}

// forms115 are the forms that have a hidden FORM_TYPE, sorted by that (XEP-0115 §5.4).
func (i *Info) forms115() (list []form115, err error) {
	for k := range i.Forms {
		f := &i.Forms[k]
		typ, err := f.formType()
		if err != nil {
			return nil, err
		}
		if typ == "" {
			continue
		}
		list = append(list, form115{typ, f.fields115()})
	}
	slices.SortFunc(list, func(a, b form115) int { return cmp.Compare(a.typ, b.typ) })
	for k := 1; k < len(list); k++ {
		if list[k].typ == list[k-1].typ {
			return nil, fmt.Errorf("%w: form twice", ErrMalformed)
		}
	}
	return list, nil
}

// formType is the FORM_TYPE of a form (XEP-0068), empty if there is none that counts.
// Differing values are an error (XEP-0115 §5.4).
func (f *Form) formType() (typ string, err error) {
	found := false
	for _, field := range f.Fields {
		if field.Var != formType {
			continue
		}
		for _, v := range field.Values {
			if found && v != typ {
				return "", fmt.Errorf("%w: form of two types", ErrMalformed)
			}
			typ, found = v, true
		}
		if field.Type != "hidden" {
			return "", nil
		}
	}
	return typ, nil
}

// fields115 are the fields with their values, both sorted.
func (f *Form) fields115() (list []string) {
	fields := slices.DeleteFunc(slices.Clone(f.Fields), func(x Field) bool { return x.Var == formType })
	for k := range fields {
		fields[k].Values = slices.Sorted(slices.Values(fields[k].Values))
	}
	slices.SortStableFunc(fields, func(a, b Field) int {
		return cmp.Or(cmp.Compare(a.Var, b.Var), slices.Compare(a.Values, b.Values))
	})
	for _, x := range fields {
		list = append(list, x.Var+"<"+joined(x.Values, "<"))
	}
	return list
}

// joined is each text with an end mark.
func joined(texts []string, end string) string {
	var b strings.Builder
	for _, t := range texts {
		b.WriteString(t + end)
	}
	return b.String()
}

// unambiguous refuses texts with the separator in them.
func (i *Info) unambiguous() error {
	bad := slices.ContainsFunc(i.Features, separated) ||
		slices.ContainsFunc(i.Identities, func(id Identity) bool {
			return separated(id.Category) || separated(id.Type) || separated(id.Lang) || separated(id.Name)
		}) ||
		slices.ContainsFunc(i.Forms, func(f Form) bool {
			return slices.ContainsFunc(f.Fields, func(x Field) bool { return separated(x.Var) || slices.ContainsFunc(x.Values, separated) })
		})
	if bad {
		return fmt.Errorf("%w: separator in a text", ErrMalformed)
	}
	return nil
}

func separated(s string) bool { return strings.Contains(s, "<") }
