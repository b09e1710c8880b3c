package caps

import (
	"fmt"
	"slices"
	"strings"
)

// Separators of XEP-0390 §4.1. No text of XML 1.0 can contain them, so that what is
// joined by them can be taken apart in one way only.
const (
	sepPart = "\x1f" // behind each text
	sepItem = "\x1e" // behind each identity and field
	sepForm = "\x1d" // behind each form
	sepList = "\x1c" // behind features, identities and forms
)

// input390 is what is hashed (XEP-0390 §4.1); lang is what identities without a language
// inherit.
func (i *Info) input390(lang string) ([]byte, error) {
	if i.Other {
		return nil, fmt.Errorf("%w: not identities, features and forms alone", ErrMalformed)
	}
	features := make([]string, 0, len(i.Features))
	for _, f := range i.Features {
		features = append(features, f+sepPart)
	}
	ids := make([]string, 0, len(i.Identities))
	for _, id := range i.Identities {
		if id.Lang == "" {
			id.Lang = lang
		}
		ids = append(ids, joined([]string{id.Category, id.Type, id.Lang, id.Name}, sepPart)+sepItem)
	}
	forms := make([]string, 0, len(i.Forms))
	for k := range i.Forms {
		f, err := i.Forms[k].string390()
		if err != nil {
			return nil, err
		}
		forms = append(forms, f)
	}
	var b []byte
	for _, list := range [][]string{features, ids, forms} {
		slices.Sort(list)
		b = append(b, strings.Join(list, "")...)
		b = append(b, sepList...)
	}
	return b, nil
}

// string390 is one form. It must follow XEP-0068, and be no table.
func (f *Form) string390() (string, error) {
	if typ, err := f.formType(); err != nil || typ == "" || f.Table {
		return "", fmt.Errorf("%w: form without a type, or a table", ErrMalformed)
	}
	fields := make([]string, 0, len(f.Fields))
	for _, x := range f.Fields {
		values := slices.Sorted(slices.Values(x.Values))
		fields = append(fields, x.Var+sepPart+joined(values, sepPart)+sepItem)
	}
	slices.Sort(fields)
	return strings.Join(fields, "") + sepForm, nil
}
