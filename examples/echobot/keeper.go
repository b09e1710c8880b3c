package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/propolis-im/propolis/sasl2"
	"github.com/propolis-im/propolis/scram"
)

// keeper keeps in a file what later logins go by. Without a file it forgets.
type keeper struct {
	file  string
	Pins  scram.Pins
	State sasl2.ClientState
}

func openKeeper(file string) (*keeper, error) {
	k := &keeper{file: file}
	if file == "" {
		return k, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(b, k)
	}
	if err != nil {
		return nil, fmt.Errorf("the state: %w", err)
	}
	return k, nil
}

func (k *keeper) keepPins(p scram.Pins) error {
	if p.Equal(k.Pins) {
		return nil
	}
	k.Pins = p
	return k.write()
}

// keepState implements sasl2.ClientOptions.Save.
func (k *keeper) keepState(_ context.Context, s sasl2.ClientState) error {
	k.State = s
	return k.write()
}

// write replaces the file, so that either the old or the new one is there after a
// crash.
func (k *keeper) write() error {
	if k.file == "" {
		return nil
	}
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Dir(k.file)
	f, err := os.CreateTemp(dir, ".state-*") // for its owner only
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), k.file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
