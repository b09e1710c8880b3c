package sqlstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/roster"
)

var _ roster.Store = (*Rosters)(nil)

// maxRemoved is how many tombstones are kept of an account (roster.Roster).
const maxRemoved = 500

// Rosters keeps contact lists; see [DB.Rosters].
type Rosters struct{ d *DB }

// Rosters returns the store of package roster. Its writes are for Submit of the
// same DB. Load sees all that was submitted before it, and waits for that.
func (d *DB) Rosters() *Rosters { return &Rosters{d} }

// loadRoster reads everything at once: a row for the roster, which has no
// contact, and one for each item. Fewer columns are faster, so the flags come in
// one.
const loadRoster = `SELECT '' AS contact, ver, 0, '', '', '', 0 FROM roster WHERE account = ?1 UNION ALL
SELECT contact, ver, subscription | (ask << 2) | (approved << 3) | (listed << 4) | (removed << 5), name, groups, request, asked
FROM roster_item WHERE account = ?1`

// The flags of loadRoster.
const (
	subscriptionBits = 3
	askBit           = 1 << 2
	approvedBit      = 1 << 3
	listedBit        = 1 << 4
	removedBit       = 1 << 5
)

// Load implements [roster.Store]. Items come in the order of their addresses.
func (s *Rosters) Load(ctx context.Context, account mux.Address) (roster.Roster, error) {
	r, err := s.read(ctx, account.String())
	if err != nil {
		return roster.Roster{}, fmt.Errorf("sqlstore: load roster of %s: %w", account, err)
	}
	slices.SortFunc(r.Items, func(a, b roster.Item) int { return cmp.Compare(a.JID.String(), b.JID.String()) })
	slices.SortStableFunc(r.Removed, func(a, b roster.Tombstone) int { return cmp.Compare(a.Ver, b.Ver) })
	return r, nil
}

func (s *Rosters) read(ctx context.Context, account string) (r roster.Roster, err error) {
	if err := s.d.settle(ctx); err != nil {
		return r, err
	}
	rows, err := s.d.read.QueryContext(ctx, loadRoster, account)
	if err != nil {
		return r, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	r.Epoch = s.d.epoch
	var (
		contact, name, groups, request string
		ver, flags, asked              int64
	)
	for rows.Next() {
		if err := rows.Scan(&contact, &ver, &flags, &name, &groups, &request, &asked); err != nil {
			return r, err
		}
		if contact == "" {
			r.Ver = uint64(ver)
			continue
		}
		jid, err := mux.ParseAddress(contact)
		if err != nil {
			return r, err
		}
		if flags&removedBit != 0 {
			r.Removed = append(r.Removed, roster.Tombstone{JID: jid, Ver: uint64(ver)})
			continue
		}
		item := roster.Item{
			JID: jid, Name: name, Subscription: roster.Subscription(flags & subscriptionBits), Ask: flags&askBit != 0,
			Approved: flags&approvedBit != 0, In: request, Listed: flags&listedBit != 0, Ver: uint64(ver), Asked: fromMicro(asked),
		}
		if item.Groups, err = parseGroups(groups); err != nil {
			return r, err
		}
		r.Items = append(r.Items, item)
	}
	return r, rows.Err()
}

// parseGroups reads a JSON array of strings, or nothing.
func parseGroups(text string) (groups []string, err error) {
	if text == "" {
		return nil, nil
	}
	// The short way: as Put writes it, and nothing that JSON escapes.
	if inner, ok := strings.CutPrefix(text, `["`); ok && !strings.Contains(text, "\\") {
		if inner, ok = strings.CutSuffix(inner, `"]`); ok {
			if groups = strings.Split(inner, `","`); strings.Count(text, `"`) == 2*len(groups) {
				return groups, nil
			}
		}
	}
	groups = nil
	err = json.Unmarshal([]byte(text), &groups)
	return groups, err
}

// rosterVersion must come before a write of an item, which refers to its row.
func rosterVersion(ctx context.Context, tx *Tx, account string, ver uint64) error {
	_, err := tx.Exec(ctx, `INSERT INTO roster (account, ver) VALUES (?, ?)
ON CONFLICT (account) DO UPDATE SET ver = max(ver, excluded.ver)`, account, int64(ver))
	return err
}

// Put implements [roster.Store]. The version of the roster never goes back.
func (s *Rosters) Put(account mux.Address, i roster.Item) mux.Write {
	name, contact, groups := account.String(), i.JID.String(), ""
	if len(i.Groups) > 0 {
		text, err := json.Marshal(i.Groups)
		if err != nil { // strings always marshal
			return func(context.Context, mux.Tx) error { return err }
		}
		groups = string(text)
	}
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			err = rosterVersion(ctx, t, name, i.Ver)
		}
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, `INSERT OR REPLACE INTO roster_item
(account, contact, ver, name, groups, subscription, ask, approved, listed, request, asked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			name, contact, int64(i.Ver), i.Name, groups, int64(i.Subscription), i.Ask, i.Approved, i.Listed, i.In, toMicro(i.Asked))
		return err
	}
}

// Delete implements [roster.Store].
func (s *Rosters) Delete(account, contact mux.Address, ver uint64) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		if ver == 0 {
			_, err = t.Exec(ctx, "DELETE FROM roster_item WHERE account = ? AND contact = ? AND removed = 0", account.String(), contact.String())
			return err
		}
		if err := rosterVersion(ctx, t, account.String(), ver); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, "INSERT OR REPLACE INTO roster_item (account, contact, ver, removed) VALUES (?, ?, ?, 1)",
			account.String(), contact.String(), int64(ver)); err != nil {
			return err
		}
		_, err = t.Exec(ctx, `DELETE FROM roster_item WHERE account = ?1 AND removed = 1 AND ver <=
(SELECT ver FROM roster_item WHERE account = ?1 AND removed = 1 ORDER BY ver DESC LIMIT 1 OFFSET ?2)`, account.String(), maxRemoved)
		return err
	}
}

// RemoveAccount implements [roster.Store].
func (s *Rosters) RemoveAccount(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, "DELETE FROM roster WHERE account = ?", account.String()) // and with it the items
		}
		return err
	}
}
