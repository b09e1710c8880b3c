package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// ioTimeout bounds the wait for a request, and for a client to take its
	// answer.
	ioTimeout = 10 * time.Second
	// workTimeout bounds the work for a request.
	workTimeout = 30 * time.Second
	// acceptPause is the time between two tries to accept.
	acceptPause = 100 * time.Millisecond
	// maxConns bounds the connections served at a time.
	maxConns = 16
)

// Server answers the operator's commands.
type Server struct {
	listener net.Listener
	path     string
	accounts Accounts
	log      *slog.Logger
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// Listen opens the control socket of the directory that l locks, replacing one
// that a dead process left, and serves it until Close. The log gets a line for
// each request, without passwords.
func (l *Lock) Listen(accounts Accounts, log *slog.Logger) (*Server, error) {
	path, release, err := socketPath(l.dir)
	if err != nil {
		return nil, err
	}
	defer release()
	// With the lock held nobody listens on a socket that is there.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // path ends with release
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{listener: listener, path: fullPath(l.dir), accounts: accounts, log: log, cancel: cancel}
	s.running.Go(func() { s.accept(ctx) })
	return s, nil
}

// Close ends the socket and waits for the requests that are being worked on, at
// most as long as the time limits allow.
func (s *Server) Close() error {
	err := s.listener.Close()
	if e := os.Remove(s.path); err == nil && !errors.Is(e, os.ErrNotExist) {
		err = e
	}
	s.cancel()
	s.running.Wait()
	return err
}

func (s *Server) accept(ctx context.Context) {
	places := make(chan struct{}, maxConns)
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			s.log.LogAttrs(ctx, slog.LevelError, "control socket", slog.Any("err", err))
			select { // no descriptors left, perhaps
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		places <- struct{}{} // each is given back within the time limits
		s.running.Go(func() {
			defer func() { <-places }()
			s.serve(ctx, conn)
		})
	}
}

// serve reads one request and answers it.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.SetReadDeadline(time.Now().Add(ioTimeout)); err != nil || ctx.Err() != nil {
		return
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		return // somebody looked whether a server is here, or is too slow
	}
	var list []reply
	r, err := parseRequest(lines.Bytes())
	if err == nil {
		list, err = s.do(ctx, r)
	}
	level, attrs := slog.LevelInfo, []slog.Attr{slog.String("command", r.Op), slog.String("account", r.Account)}
	if err != nil {
		level, attrs = slog.LevelWarn, append(attrs, slog.Any("err", err))
	}
	s.log.LogAttrs(ctx, level, "operator's command", attrs...)
	if err := answer(conn, list, err); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "operator's command was not answered", slog.Any("err", err))
	}
}

// do works on a request, and finishes it although the server may be ending. A
// panic ends the request, not the server.
func (s *Server) do(ctx context.Context, r request) (list []reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), workTimeout)
	defer cancel()
	switch r.Op {
	case opAdd:
		return nil, s.accounts.Add(ctx, r.Account, r.Password)
	case opPasswd:
		return nil, s.accounts.SetPassword(ctx, r.Account, r.Password)
	case opRemove:
		return nil, s.accounts.Remove(ctx, r.Account)
	case opDisable, opEnable:
		return nil, s.accounts.SetDisabled(ctx, r.Account, r.Op == opDisable)
	case opRevoke:
		return nil, s.accounts.Revoke(ctx, r.Account, r.Client)
	case opClients:
		clients, err := s.accounts.Clients(ctx, r.Account)
		for i := range clients {
			list = append(list, reply{Client: &clients[i]})
		}
		return list, err
	case opNumbers:
		numbers, err := s.accounts.Numbers(ctx)
		for i := range numbers {
			list = append(list, reply{Number: &numbers[i]})
		}
		return list, err
	case opInvite, opInvites, opRevokeInvite, opWaiting, opApprove, opDeny:
		return s.invitation(ctx, r)
	case opList:
		names, err := s.accounts.List(ctx)
		for _, name := range names {
			list = append(list, reply{Account: name})
		}
		return list, err
	}
	return nil, fmt.Errorf("unknown operation %q", r.Op)
}

// answer writes the lines for a list and failure.
func answer(conn net.Conn, list []reply, failure error) error {
	w := bufio.NewWriter(deadlined{conn})
	for _, r := range list {
		if err := writeLine(w, r); err != nil {
			return err
		}
	}
	end := reply{Done: true}
	if failure != nil {
		end = reply{Error: failure.Error(), Code: codeOf(failure)}
	}
	if err := writeLine(w, end); err != nil {
		return err
	}
	return w.Flush()
}

func writeLine(w *bufio.Writer, r reply) error {
	line, err := appendLine(r)
	if err != nil {
		return err
	}
	_, err = w.Write(line)
	return err
}

// deadlined gives every write ioTimeout.
type deadlined struct{ net.Conn }

func (d deadlined) Write(p []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(ioTimeout)); err != nil {
		return 0, err
	}
	return d.Conn.Write(p)
}
