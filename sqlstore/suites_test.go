package sqlstore

import (
	"context"
	"testing"

	archivetest "github.com/propolis-im/propolis/archive/storetest"
	blocktest "github.com/propolis-im/propolis/blocking/storetest"
	lasttest "github.com/propolis-im/propolis/lastactivity/storetest"
	"github.com/propolis-im/propolis/mux"
	muxtest "github.com/propolis-im/propolis/mux/storetest"
	offlinetest "github.com/propolis-im/propolis/offline/storetest"
	peptest "github.com/propolis-im/propolis/pep/storetest"
	"github.com/propolis-im/propolis/register"
	registertest "github.com/propolis-im/propolis/register/storetest"
	rostertest "github.com/propolis-im/propolis/roster/storetest"
	sasl2test "github.com/propolis-im/propolis/sasl2/storetest"
	"github.com/propolis-im/propolis/scram"
	scramtest "github.com/propolis-im/propolis/scram/storetest"
	smackstest "github.com/propolis-im/propolis/smacks/storetest"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	scramtest.Test(t, func(t *testing.T) scramtest.Store { return temp(t, nil).Accounts() })
}

func TestRosters(t *testing.T) {
	t.Parallel()
	rostertest.Test(t, func(t *testing.T) rostertest.Store {
		d := temp(t, nil)
		return rostertest.Store{Store: d.Rosters(), Committer: d}
	})
}

func TestLastActivity(t *testing.T) {
	t.Parallel()
	lasttest.Test(t, func(t *testing.T) lasttest.Store {
		d := temp(t, nil)
		return lasttest.Store{Store: d.LastActivity(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}

func TestStreamManagement(t *testing.T) {
	t.Parallel()
	smackstest.Test(t, func(t *testing.T) smackstest.Store {
		d := temp(t, nil)
		return smackstest.Store{Store: d.StreamManagement(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}

func TestBlocklists(t *testing.T) {
	t.Parallel()
	blocktest.Test(t, func(t *testing.T) blocktest.Store {
		d := temp(t, nil)
		return blocktest.Store{Store: d.Blocklists(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}

func TestClients(t *testing.T) {
	t.Parallel()
	sasl2test.Test(t, func(t *testing.T) sasl2test.Store {
		d := temp(t, nil)
		return sasl2test.Store{Store: d.Clients(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}

func TestArchives(t *testing.T) {
	t.Parallel()
	archivetest.Test(t, func(t *testing.T) archivetest.Store {
		d := temp(t, nil)
		a := d.Archives()
		return archivetest.Store{Store: a, PrefsStore: a, Lister: a, Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}

func TestOffline(t *testing.T) {
	t.Parallel()
	offlinetest.Test(t, func(t *testing.T) offlinetest.Store {
		d := temp(t, nil)
		return offlinetest.Store{Store: d.Offline(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	registertest.Test(t, func(t *testing.T) registertest.Store {
		d := temp(t, nil)
		return registertest.Store{
			Store: d.Registration(),
			Create: func(ctx context.Context, account mux.Address, also ...register.Also) error {
				_, err := d.Accounts().Create(ctx, account.String(), scram.Credentials{}, also...)
				return err
			},
			Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) },
		}
	})
}

func openSessions(t *testing.T) muxtest.Store {
	d := temp(t, nil)
	return muxtest.Store{Committer: d, Sessions: d.Sessions()}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	muxtest.TestSessions(t, openSessions)
}

func TestCommitter(t *testing.T) {
	t.Parallel()
	muxtest.TestCommitter(t, openSessions)
}

func TestPEP(t *testing.T) {
	t.Parallel()
	peptest.Test(t, func(t *testing.T) peptest.Store {
		d := temp(t, nil)
		return peptest.Store{Store: d.PEP(), Apply: func(t *testing.T, writes ...mux.Write) { d.Submit(writes) }}
	})
}
