package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
)

// raw opens a file without any of this package's care.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", source(path))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func run(t *testing.T, path, query string) {
	t.Helper()
	db := raw(t, path)
	_, err := db.Exec(query)
	must(t, err)
	must(t, db.Close())
}

// TestVersion1 opens a database as the first release left it.
func TestVersion1(t *testing.T) {
	t.Parallel()
	dump, err := os.ReadFile(filepath.Join("testdata", "version1.sql"))
	must(t, err)
	path := filepath.Join(t.TempDir(), "test.db")
	run(t, path, string(dump))
	d := reopen(t, path, nil)
	c, err := d.Accounts().Credentials(t.Context(), "juliet@example.net")
	must(t, err)
	if k, ok := c.Strongest(); c.Generation != 7 || !c.Disabled || !ok || k.Iterations != 4096 || string(k.Salt) != "saltsalt" {
		t.Errorf("credentials %+v", c)
	}
	r, err := d.Rosters().Load(t.Context(), mux.MustParseAddress("juliet@example.net"))
	must(t, err)
	if len(r.Items) != 1 || len(r.Removed) != 1 || r.Ver != 5 {
		t.Fatalf("roster %+v", r)
	}
	if i := r.Items[0]; !i.Asked.IsZero() || i.Name != "Romeo" || i.Subscription != roster.Both || !i.Listed || len(i.Groups) != 2 || i.Groups[1] != "b" {
		t.Errorf("item %+v", i)
	}
	all, err := d.Sessions().Load(t.Context())
	must(t, err)
	if len(all) != 1 || !all[0].Until.Equal(time.UnixMicro(1700000000000000)) || string(all[0].Data) != "data" {
		t.Errorf("sessions %+v", all)
	}
	if _, err := d.Secret(t.Context(), "a", 16); err != nil {
		t.Error(err)
	}
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	d := temp(t, nil)
	must(t, d.Close())
	run(t, d.path, "INSERT INTO migration VALUES (99, '0099_future.sql', 0)")
	for range 2 { // the first left no lock
		if _, err := Open(t.Context(), d.path, nil); !errors.Is(err, ErrNewer) {
			t.Errorf("got error %v, want %v", err, ErrNewer)
		}
	}
}

func TestForeignDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	run(t, path, "CREATE TABLE session (x)")
	if _, err := Open(t.Context(), path, nil); err == nil {
		t.Error("opened another program's database")
	}
}

// TestMigrate goes beyond the migrations there are.
func TestMigrate(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	names, err := fs.Glob(migrations, "migrations/*")
	must(t, err)
	for _, name := range names {
		text, err := migrations.ReadFile(name)
		must(t, err)
		files[name] = &fstest.MapFile{Data: text}
	}
	last := len(names)
	d := temp(t, nil)
	must(t, d.Close())
	db := raw(t, d.path)
	c, err := db.Conn(t.Context())
	must(t, err)
	defer func() { must(t, c.Close()) }()
	version := func() int {
		t.Helper()
		v, err := schemaVersion(t.Context(), c)
		must(t, err)
		return v
	}
	// add adds the nth migration behind those there are.
	add := func(n int, what, text string) {
		files[fmt.Sprintf("migrations/%04d_%s.sql", last+n, what)] = &fstest.MapFile{Data: []byte(text)}
	}

	add(1, "two", "CREATE TABLE two (x) STRICT") // x has no type
	if err := migrate(t.Context(), c, files); err == nil || version() != last {
		t.Errorf("failed step: error %v, version %d", err, version())
	}
	add(1, "two", "CREATE TABLE two (x); INSERT INTO two VALUES (2);\n")
	add(2, "three", "CREATE TABLE three (x);\n-- half\nINSERT INTO nowhere VALUES (1);")
	if err := migrate(t.Context(), c, files); err == nil || version() != last+1 {
		t.Errorf("second step fails: error %v, version %d", err, version())
	}
	add(2, "three", "CREATE TABLE three (x); UPDATE two SET x = 3;")
	must(t, migrate(t.Context(), c, files))
	must(t, migrate(t.Context(), c, files))
	var x int
	must(t, c.QueryRowContext(t.Context(), "SELECT x FROM two").Scan(&x))
	if version() != last+2 || x != 3 {
		t.Errorf("version %d, x %d", version(), x)
	}
	add(4, "five", "CREATE TABLE five (x)")
	if err := migrate(t.Context(), c, files); err == nil || version() != last+2 {
		t.Errorf("gap: error %v, version %d", err, version())
	}
	if err := migrate(t.Context(), c, migrations); !errors.Is(err, ErrNewer) {
		t.Errorf("got error %v, want %v", err, ErrNewer)
	}
}
