package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/pep"
)

// PutNode implements [pep.Store].
func (*PEP) PutNode(account mux.Address, n pep.Node) mux.Write {
	config, last := n.Config.Encode(), n.Config.SendsLast()
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err == nil {
			_, err = t.Exec(ctx, `INSERT INTO pep_node (account, name, config, created, creator, seq, bytes, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, name) DO UPDATE SET config = excluded.config, created = excluded.created, creator = excluded.creator, last = excluded.last`,
				account.String(), n.Name, config, toMicro(n.Created), n.Creator.String(), n.Seq, n.Bytes, last)
		}
		return err
	}
}

// node is the number of a node, 0 if there is none.
func (*PEP) node(ctx context.Context, t *Tx, account mux.Address, name string) (id int64, err error) {
	err = t.QueryRow(ctx, "SELECT id FROM pep_node WHERE account = ? AND name = ?", account.String(), name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// at is a write about a node that is there.
func (s *PEP) at(account mux.Address, node string, f func(ctx context.Context, t *Tx, id int64) error) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		id, err := s.node(ctx, t, account, node)
		if err != nil || id == 0 {
			return err
		}
		return f(ctx, t, id)
	}
}

// SetPeer implements [pep.Store].
func (s *PEP) SetPeer(account mux.Address, node string, p pep.Peer) mux.Write {
	return s.at(account, node, func(ctx context.Context, t *Tx, id int64) error {
		if p.Affiliation == pep.NoAffiliation && p.Subscription == pep.NotSubscribed {
			_, err := t.Exec(ctx, "DELETE FROM pep_peer WHERE node = ? AND jid = ?", id, p.JID.String())
			return err
		}
		options := 0
		if p.Temporary {
			options |= pepTemporary
		}
		if p.Silent {
			options |= pepSilent
		}
		_, err := t.Exec(ctx, "INSERT OR REPLACE INTO pep_peer (node, jid, bare, affiliation, subscription, options, bounces) VALUES (?, ?, ?, ?, ?, ?, ?)",
			id, p.JID.String(), p.JID.Bare().String(), int(p.Affiliation), int(p.Subscription), options, p.Bounces)
		return err
	})
}

// DropNode implements [pep.Store].
func (s *PEP) DropNode(account mux.Address, node string) mux.Write {
	return s.at(account, node, func(ctx context.Context, t *Tx, id int64) error {
		for _, query := range []string{"DELETE FROM pep_item WHERE node = ?", "DELETE FROM pep_peer WHERE node = ?", "DELETE FROM pep_node WHERE id = ?"} {
			if _, err := t.Exec(ctx, query, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Change implements [pep.Store].
func (s *PEP) Change(account mux.Address, node string, c pep.Change) mux.Write {
	return s.at(account, node, func(ctx context.Context, t *Tx, id int64) error {
		if c.All {
			if _, err := t.Exec(ctx, "DELETE FROM pep_item WHERE node = ?", id); err != nil {
				return err
			}
		}
		for _, name := range c.Remove {
			if _, err := t.Exec(ctx, "DELETE FROM pep_item WHERE node = ? AND name = ?", id, name); err != nil {
				return err
			}
		}
		for _, i := range c.Put {
			_, err := t.Exec(ctx, "INSERT OR REPLACE INTO pep_item (node, name, seq, at, publisher, size, payload) VALUES (?, ?, ?, ?, ?, ?, ?)",
				id, i.ID, i.Seq, toMicro(i.At), i.Publisher.String(), i.Size, i.Payload)
			if err != nil {
				return err
			}
		}
		_, err := t.Exec(ctx, "UPDATE pep_node SET seq = ?, bytes = ? WHERE id = ?", c.Seq, c.Bytes, id)
		return err
	})
}

// removePEP are the removals of an account's nodes, in their order.
var removePEP = []string{
	"DELETE FROM pep_item WHERE node IN (SELECT id FROM pep_node WHERE account = ?)",
	"DELETE FROM pep_peer WHERE node IN (SELECT id FROM pep_node WHERE account = ?)",
	"DELETE FROM pep_node WHERE account = ?",
}

// RemoveAccount implements [pep.Store].
func (*PEP) RemoveAccount(account mux.Address) mux.Write {
	return func(ctx context.Context, tx mux.Tx) error {
		t, err := own(tx)
		if err != nil {
			return err
		}
		for _, query := range removePEP {
			if _, err := t.Exec(ctx, query, account.String()); err != nil {
				return err
			}
		}
		return nil
	}
}
