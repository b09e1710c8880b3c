package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/scram"
	"github.com/propolis-im/propolis/sqlstore"
)

// decoys is the name of the secret that is for scram.Options.Secret.
const decoys = "scram-decoys"

// earlierDecoys are the secrets that it has taken the place of.
func earlierDecoys(ctx context.Context, db *sqlstore.DB) ([]scram.EarlierSecret, error) {
	list, err := db.EarlierSecrets(ctx, decoys)
	if err != nil {
		return nil, err
	}
	var all []scram.EarlierSecret
	for _, s := range list {
		e := scram.EarlierSecret{Until: s.Until}
		if copy(e.Secret[:], s.Value) != len(s.Value) {
			return nil, errors.New("an earlier secret is too long")
		}
		all = append(all, e)
	}
	return all, nil
}

// rotateSecret is the command secret: another secret for what accounts seem to have that
// do not exist, in the store of a server that does not run.
func rotateSecret(ctx context.Context, cfg *config.Config, args []string, stdout io.Writer) (err error) {
	if len(args) != 1 || args[0] != "rotate" && args[0] != "replace" {
		return errors.New("secret: want rotate or replace")
	}
	if cfg.Store == config.StoreMemory {
		return errNoStore
	}
	if err := cfg.Unavailable(); err != nil {
		return err
	}
	db, err := sqlstore.Open(ctx, filepath.Join(cfg.Data, "propolis.db"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Secret(ctx, decoys, len(scram.EarlierSecret{}.Secret)); err != nil {
		return err
	}
	if err := db.RotateSecret(ctx, decoys); err != nil {
		return err
	}
	said := "there is a new secret, which accounts that do not exist come to little by little"
	if args[0] == "replace" {
		if err := db.DropSecrets(ctx, decoys); err != nil {
			return err
		}
		said = "there is a new secret, and no earlier one"
	}
	_, err = fmt.Fprintln(stdout, said)
	return err
}
