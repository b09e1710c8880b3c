package usercmd

import (
	"context"
	"fmt"

	"github.com/propolis-im/propolis/examples/server/internal/control"
)

// RunStatus runs the command status, which has no arguments, and returns the exit
// status. Without a server there is nothing to tell.
func (c *Command) RunStatus(ctx context.Context, args []string) int {
	if len(args) > 0 {
		return c.finish(ctx, "status", nil, &usageError{"want no argument"})
	}
	err := c.status(ctx)
	if err == nil {
		return Success
	}
	fmt.Fprintln(c.Stderr, "status:", oneLine(err))
	return Failure
}

func (c *Command) status(ctx context.Context) error {
	numbers, err := control.NewClient(c.Data).Numbers(ctx)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if _, err := fmt.Fprintf(c.Stdout, "%10d %s\n", n.Value, n.Name); err != nil {
			return err
		}
	}
	return nil
}
