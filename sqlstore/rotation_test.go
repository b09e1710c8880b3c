package sqlstore

import (
	"slices"
	"testing"
	"time"
)

// TestRotateSecret: auth-register PW-15, what was there before is kept until it is dropped,
// also if the DB is opened again, and is nothing of another secret.
func TestRotateSecret(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	if err := d.RotateSecret(t.Context(), "a"); err == nil {
		t.Error("no error without a secret")
	}
	read := func(name string) []byte {
		t.Helper()
		v, err := d.Secret(t.Context(), name, 32)
		must(t, err)
		return v
	}
	earlier := func(name string) []EarlierSecret {
		t.Helper()
		list, err := d.EarlierSecrets(t.Context(), name)
		must(t, err)
		return list
	}
	first, b := read("a"), read("a/1")
	if n := len(earlier("a")); n != 0 {
		t.Errorf("%d earlier ones", n)
	}
	before := time.Now().Add(-time.Microsecond)
	must(t, d.RotateSecret(t.Context(), "a"))
	second := read("a")
	must(t, d.RotateSecret(t.Context(), "a/1"))
	must(t, d.RotateSecret(t.Context(), "a"))
	third := read("a")
	if slices.Equal(first, second) || slices.Equal(second, third) || slices.Equal(first, third) {
		t.Error("a secret came again")
	}
	must(t, d.Close())
	d = reopen(t, d.path, nil)
	list := earlier("a")
	if len(list) != 2 || !slices.Equal(list[0].Value, first) || !slices.Equal(list[1].Value, second) || list[0].Until.Before(before) ||
		!list[1].Until.After(list[0].Until) || list[1].Until.After(time.Now()) {
		t.Errorf("got %v", list)
	}
	if got := earlier("a/1"); len(got) != 1 || !slices.Equal(got[0].Value, b) {
		t.Errorf("got %v", got)
	}
	if !slices.Equal(read("a"), third) {
		t.Error("not the last one")
	}
	must(t, d.DropSecrets(t.Context(), "a"))
	if a, b := len(earlier("a")), len(earlier("a/1")); a != 0 || b != 1 || !slices.Equal(read("a"), third) {
		t.Errorf("%d and %d left", a, b)
	}
}
