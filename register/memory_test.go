package register_test

import (
	"context"
	"testing"

	"github.com/propolis-im/propolis/mux"
	"github.com/propolis-im/propolis/register"
	"github.com/propolis-im/propolis/register/storetest"
	"github.com/propolis-im/propolis/scram"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(*testing.T) storetest.Store {
		accounts := new(scram.Memory)
		return storetest.Store{Store: new(register.Memory), Create: func(ctx context.Context, account mux.Address, also ...register.Also) error {
			_, err := accounts.Create(ctx, account.String(), scram.Credentials{}, also...)
			return err
		}}
	})
}
