package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/assenthq/assent/internal/witness"
	"github.com/spf13/cobra"
)

func (a *app) witnessCmd() *cobra.Command {
	var o witness.Options
	var listen, cert, key string
	c := &cobra.Command{
		Use:   "witness --name NAME --log VKEY --dir DIR",
		Short: "Cosign the checkpoints of logs, apart from whoever runs them",
		Long: `Run a witness (C2SP tlog-witness): it cosigns each checkpoint that continues the
last one it cosigned of a log, and nothing else. Run it where whoever runs the
log can't reach it: another machine, other administrators.

--log takes what assent keys prints, once for each log, and for both keys of one
that is being rotated. What was seen is on disk before an answer leaves. The key
that it prints at its start goes to audit.witnesses of the log's configuration.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Name == "" || len(o.Logs) == 0 {
				return failf(exitUsage, "a witness needs --name and at least one --log")
			}
			if host, _, err := net.SplitHostPort(listen); err != nil || cert == "" && !loopback(host) {
				return failf(exitUsage, "--listen %s: beyond loopback a witness needs --tls-cert and --tls-key", listen)
			}
			return a.witness(cmd.Context(), o, listen, cert, key)
		},
	}
	c.Flags().StringVar(&o.Dir, "dir", "./assent-witness", "directory of its key and of what it has seen; one process at a time")
	c.Flags().StringVar(&o.Name, "name", "", "its name: a URL without scheme, such as witness.example.com/assent")
	c.Flags().StringArrayVar(&o.Logs, "log", nil, "public key of a log (repeatable)")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8725", "address to listen on")
	c.Flags().StringVar(&cert, "tls-cert", "", "certificate (PEM)")
	c.Flags().StringVar(&key, "tls-key", "", "its key (PEM)")
	return c
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (a *app) witness(ctx context.Context, o witness.Options, listen, cert, key string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	w, err := witness.Open(o)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listening: %w (--listen names another address)", err)
	}
	scheme := "http"
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			_ = l.Close()
			return fmt.Errorf("--tls-cert: %w", err)
		}
		l, scheme = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), "https"
	}
	mux := http.NewServeMux()
	mux.Handle("/add-checkpoint", w)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	a.printf("witness %s, what it has seen in %s\nurl: %s://%s\nkey: %s\n", inline(o.Name), inline(dir), scheme, l.Addr(), w.Verifier())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(grace)
		err = <-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
