// Package sqlstore keeps the state of every Propolis extension in one SQLite
// database: credentials (scram.Store, scram.Accounts), rosters (roster.Store),
// last activity (lastactivity.Store), blocklists (blocking.Store), archives
// (archive.Store), messages that wait (offline.Store), nodes (pep.Store), capabilities
// (caps.Store), sessions that survive a restart (mux.SessionStore) and the server's secrets,
// with a [mux.Committer] that makes the changes of many stanzas durable with one
// write to the disk. It implements no protocol of its own.
//
// # Assembling
//
// [Open] makes a [DB], which is the committer and gives the stores:
//
//	db, err := sqlstore.Open(ctx, "propolis-data/propolis.db", nil)
//	…
//	defer db.Close() // after the mux has been shut down
//	m, err := mux.New(host, &mux.Options{Committer: db, Sessions: db.Sessions()},
//		roster.New(db.Rosters(), nil), …)
//
// Writes of one store must be submitted to its own DB. An embedder's own writes
// may join in: they are given a *[Tx]. Those of stores elsewhere, which ignore
// the transaction, work too, but cannot be rolled back with the rest.
//
// # Durability
//
// SQLite runs with a write-ahead log and synchronous=FULL: what was reported as
// committed survives a crash of the process, of the machine and a loss of power,
// as far as the disk keeps its promises. One goroutine writes, on one
// connection. It takes whatever waits, applies it in order in one transaction,
// commits, and reports; what arrives meanwhile shares the next transaction, so
// that a slow disk makes larger batches, not a queue. Readers have connections
// of their own, see committed data only, and disturb nobody.
//
// The schema is versioned ([ErrNewer]); it moves forward only, when the database
// is opened. To back up a running server use VACUUM INTO or the .backup command
// of the sqlite3 shell, not a copy of the file.
//
// # Security
//
// Files are created readable by their owner only. The database holds SCRAM keys,
// with which passwords can be guessed offline and servers be impersonated, the
// secret that hides which accounts exist, contacts, and what waits to be sent;
// backups deserve the same care. Removing an account ([Accounts.Remove],
// [DB.RemoveAccountData]) deletes its rows from every table and has SQLite
// overwrite them where that costs no further write; copies may remain for a
// while in the write-ahead log and on the disk. All values reach SQL as
// parameters. Errors name accounts, never keys or secrets.
package sqlstore
