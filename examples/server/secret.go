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

// The names of the secrets.
const (
	decoys = "scram-decoys" // for scram.Options.Secret
	tokens = "sasl2"        // for sasl2.Options.Secret
)

const secretSize = 32 // of each, in octets

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

// secretChange is a form of the command secret.
type secretChange struct {
	secret string
	keep   bool   // the earlier one
	said   string // when it is done
}

// secretChanges are all of them.
var secretChanges = map[string]secretChange{
	"rotate":  {decoys, true, "there is a new secret, which accounts that do not exist come to little by little"},
	"replace": {decoys, false, "there is a new secret, and no earlier one"},
	"tokens":  {tokens, false, "there is a new secret for tokens, and all that were issued are void"},
}

var errSecretUsage = errors.New("secret: want rotate, replace or tokens")

// changeSecret is the command secret: another secret in the store of a server that does
// not run.
func changeSecret(ctx context.Context, cfg *config.Config, args []string, stdout io.Writer) (err error) {
	if len(args) != 1 {
		return errSecretUsage
	}
	change, ok := secretChanges[args[0]]
	if !ok {
		return errSecretUsage
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
	if _, err := db.Secret(ctx, change.secret, secretSize); err != nil {
		return err
	}
	if err := db.RotateSecret(ctx, change.secret); err != nil {
		return err
	}
	if !change.keep {
		if err := db.DropSecrets(ctx, change.secret); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(stdout, change.said)
	return err
}
