// Command server is the reference server of Propolis: one program with one data
// directory. Everything has a default; docs/operating.md tells what to set for
// a server that others can reach.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/propolis-im/propolis/examples/server/internal/config"
	"github.com/propolis-im/propolis/examples/server/internal/control"
	"github.com/propolis-im/propolis/examples/server/internal/usercmd"
)

// Exit statuses.
const (
	success = 0
	failure = 1
	usage   = 2
)

const help = `Usage: server [FLAG]...                        run the server
       server [FLAG]... user add NAME@DOMAIN     make an account; the password is read
                                                 from standard input or asked for
       server [FLAG]... user passwd NAME@DOMAIN  set its password
       server [FLAG]... user del NAME@DOMAIN     remove it with all that it has
       server [FLAG]... user disable NAME@DOMAIN end its sessions and refuse logins; what it
                                                 has stays
       server [FLAG]... user enable NAME@DOMAIN  allow logins again
       server [FLAG]... user list                list all accounts
       server [FLAG]... user clients NAME@DOMAIN list the apps that have logged in
       server [FLAG]... user revoke NAME@DOMAIN CLIENT
                                                 log one out, see user clients
       server [FLAG]... user pending             list who waits for approval
       server [FLAG]... user approve|deny NAME@DOMAIN
                                                 let somebody in who waits for it, or not
       server [FLAG]... invite [NAME@DOMAIN | DOMAIN] [uses=N] [days=N] [note=TEXT]
                                                 make an invitation and print its link
       server [FLAG]... invite list              list the open invitations
       server [FLAG]... invite show ID           tell what is known of one
       server [FLAG]... invite revoke ID         void one
       server [FLAG]... invite reset NAME@DOMAIN print a link for a new password
       server [FLAG]... status                   tell how the server that runs does
       server [FLAG]... secret rotate            replace the secret that hides who has no
                                                 account, little by little; the server
                                                 must not run
       server [FLAG]... secret replace           the same at once, if it has become known
       server [FLAG]... secret tokens            void the tokens that apps log in with in
                                                 place of the password; as above
       server [FLAG]... dns                      not available yet

Flags may also follow the command. Each can be set in the environment too, as
PROPOLIS_NAME with _ for -, and in the file of -config; flags win over the
environment, which wins over the file.

`

func main() {
	// The first signal ends ctx and with it the server in good order; the
	// second ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// command runs the program and returns its exit status.
func command(ctx context.Context, args, environ []string, stdin *os.File, stdout, stderr io.Writer) int {
	given := args
	cfg, args, err := config.Load(given, environ)
	if errors.Is(err, flag.ErrHelp) {
		if err := writeHelp(stdout); err != nil {
			return fail(stderr, failure, err)
		}
		return success
	}
	if err != nil {
		return fail(stderr, usage, err)
	}
	if len(args) == 0 {
		load := func() (*config.Config, error) {
			cfg, _, err := config.Load(given, environ)
			return cfg, err
		}
		if err := run(ctx, cfg, load, stderr); err != nil {
			return fail(stderr, failure, err)
		}
		return success
	}
	switch name := args[0]; name {
	case "user", "invite", "status":
		cmd := &usercmd.Command{
			Data: cfg.Data, Stdin: stdin, Stdout: stdout, Stderr: stderr,
			Open: func(ctx context.Context) (control.Accounts, io.Closer, error) { return openAccounts(ctx, cfg) },
		}
		switch name {
		case "invite":
			return cmd.RunInvite(ctx, args[1:])
		case "status":
			return cmd.RunStatus(ctx, args[1:])
		}
		return cmd.Run(ctx, args[1:])
	case "secret":
		err := changeSecret(ctx, cfg, args[1:], stdout)
		switch {
		case err == nil:
			return success
		case errors.Is(err, errSecretUsage):
			return fail(stderr, usage, err)
		}
		return fail(stderr, failure, err)
	case "dns":
		return fail(stderr, failure, fmt.Errorf("%s: not available yet", name))
	default:
		return fail(stderr, usage, fmt.Errorf("unknown command %q; -help lists them", name))
	}
}

// fail reports an error in one line.
func fail(stderr io.Writer, status int, err error) int {
	fmt.Fprintln(stderr, "server:", strings.ReplaceAll(err.Error(), "\n", "; "))
	return status
}

func writeHelp(w io.Writer) error {
	if _, err := io.WriteString(w, help); err != nil {
		return err
	}
	return config.WriteHelp(w)
}
