package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

var _ pep.Store = (*PEP)(nil)

// PEP keeps nodes of accounts; see [DB.PEP].
type PEP struct{ d *DB }

// PEP returns the store of package pep. Its writes are for Submit of the same DB. Reads
// see all that was submitted before them, and wait for that. Times are kept to the
// microsecond.
func (d *DB) PEP() *PEP { return &PEP{d} }

// texts is a list as a parameter of a query.
func texts[T fmt.Stringer](l []T) string {
	s := make([]string, len(l))
	for i := range l {
		s[i] = l[i].String()
	}
	return list(s)
}

func list(s []string) string {
	b, _ := json.Marshal(s) // strings always can be
	return string(b)
}

// query runs one for its rows.
func (s *PEP) query(ctx context.Context, what string, row func(rows *sql.Rows) error, query string, args ...any) error {
	err := s.d.settle(ctx)
	if err == nil {
		err = s.rows(ctx, row, query, args...)
	}
	if err != nil {
		return fmt.Errorf("sqlstore: %s: %w", what, err)
	}
	return nil
}

func (s *PEP) rows(ctx context.Context, row func(rows *sql.Rows) error, query string, args ...any) error {
	rows, err := s.d.read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Load implements [pep.Store].
func (s *PEP) Load(ctx context.Context, account mux.Address) (nodes []pep.Node, err error) {
	at := make(map[int64]int)
	err = s.query(ctx, "load nodes of "+account.String(), func(rows *sql.Rows) error {
		var n pep.Node
		var id, created int64
		var config, creator string
		if err := rows.Scan(&id, &n.Name, &config, &created, &creator, &n.Seq, &n.Bytes); err != nil {
			return err
		}
		n.Config, n.Created = pep.DecodeConfig(config), fromMicro(created)
		if n.Creator, err = stored(creator); err != nil {
			return err
		}
		at[id] = len(nodes)
		nodes = append(nodes, n)
		return nil
	}, "SELECT id, name, config, created, creator, seq, bytes FROM pep_node WHERE account = ? ORDER BY name", account.String())
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	err = s.query(ctx, "load subscribers of "+account.String(), func(rows *sql.Rows) error {
		var node int64
		p, err := scanPeer(rows, &node)
		if i, ok := at[node]; ok && err == nil {
			nodes[i].Peers = append(nodes[i].Peers, p)
		}
		return err
	}, `SELECT p.node, p.jid, p.affiliation, p.subscription, p.options, p.bounces FROM pep_node n JOIN pep_peer p ON p.node = n.id
WHERE n.account = ? ORDER BY p.node, p.jid`, account.String())
	return nodes, err
}

// stored is an address as it is kept, empty for none.
func stored(s string) (mux.Address, error) {
	if s == "" {
		return mux.Address{}, nil
	}
	return mux.ParseAddress(s)
}

// Options of a subscription, as they are kept.
const (
	pepTemporary = 1
	pepSilent    = 2
)

func scanPeer(rows *sql.Rows, before ...any) (p pep.Peer, err error) {
	var jid string
	var options int
	if err = rows.Scan(append(before, &jid, &p.Affiliation, &p.Subscription, &options, &p.Bounces)...); err != nil {
		return p, err
	}
	p.Temporary, p.Silent = options&pepTemporary != 0, options&pepSilent != 0
	p.JID, err = stored(jid)
	return p, err
}

// heads finds the nodes of each owner that send last items, of which there are few, and
// of each the item with the highest number.
const heads = `SELECT n.account, n.name, n.config, i.name, i.seq, i.at, i.publisher, i.size, i.payload,
 coalesce(p.jid, ?3), coalesce(p.affiliation, 0), coalesce(p.subscription, 0), coalesce(p.options, 0), coalesce(p.bounces, 0)
FROM json_each(?1) o CROSS JOIN pep_node n INDEXED BY pep_node_last ON n.account = o.value AND n.last = 1
JOIN pep_item i ON i.node = n.id AND i.seq = (SELECT max(seq) FROM pep_item WHERE node = n.id)
LEFT JOIN pep_peer p ON p.node = n.id AND p.jid = ?3
WHERE n.name IN (SELECT value FROM json_each(?2))`

// Heads implements [pep.Store].
func (s *PEP) Heads(ctx context.Context, contact mux.Address, owners []mux.Address, nodes []string) (l []pep.Head, err error) {
	err = s.query(ctx, "read last items for "+contact.String(), func(rows *sql.Rows) error {
		var h pep.Head
		var owner, config, publisher string
		var at int64
		p, err := scanPeer(rows, &owner, &h.Node, &config, &h.Item.ID, &h.Item.Seq, &at, &publisher, &h.Item.Size, &h.Item.Payload)
		if err == nil {
			h.Owner, err = stored(owner)
		}
		if err == nil {
			h.Item.Publisher, err = stored(publisher)
		}
		h.Config, h.Item.At, h.Peer = pep.DecodeConfig(config), fromMicro(at), p
		l = append(l, h)
		return err
	}, heads, texts(owners), list(nodes), contact.String())
	return l, err
}

// Involved implements [pep.Store].
func (s *PEP) Involved(ctx context.Context, peer mux.Address) (l []mux.Address, err error) {
	err = s.query(ctx, "list nodes with "+peer.String(), func(rows *sql.Rows) error {
		var account string
		if err := rows.Scan(&account); err != nil {
			return err
		}
		a, err := stored(account)
		l = append(l, a)
		return err
	}, "SELECT DISTINCT n.account FROM pep_peer p JOIN pep_node n ON n.id = p.node WHERE p.bare = ?", peer.String())
	return l, err
}

// Index implements [pep.Store].
func (s *PEP) Index(ctx context.Context, account mux.Address, node string) (l []pep.Entry, err error) {
	err = s.query(ctx, "list items of "+account.String(), func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		l = append(l, e)
		return err
	}, `SELECT i.name, i.seq, i.at, i.publisher, i.size FROM pep_node n JOIN pep_item i ON i.node = n.id
WHERE n.account = ? AND n.name = ? ORDER BY i.seq`, account.String(), node)
	return l, err
}

func scanEntry(rows *sql.Rows, after ...any) (e pep.Entry, err error) {
	var at int64
	var publisher string
	if err = rows.Scan(append([]any{&e.ID, &e.Seq, &at, &publisher, &e.Size}, after...)...); err != nil {
		return e, err
	}
	e.At = fromMicro(at)
	e.Publisher, err = stored(publisher)
	return e, err
}

// Items implements [pep.Store].
func (s *PEP) Items(ctx context.Context, account mux.Address, node string, ids []string) (l []pep.Item, err error) {
	err = s.query(ctx, "read items of "+account.String(), func(rows *sql.Rows) error {
		var i pep.Item
		var err error
		i.Entry, err = scanEntry(rows, &i.Payload)
		l = append(l, i)
		return err
	}, `SELECT i.name, i.seq, i.at, i.publisher, i.size, i.payload FROM pep_node n JOIN pep_item i ON i.node = n.id
WHERE n.account = ? AND n.name = ? AND i.name IN (SELECT value FROM json_each(?))`, account.String(), node, list(ids))
	return l, err
}
