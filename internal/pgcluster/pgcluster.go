// Package pgcluster runs a private PostgreSQL cluster on loopback, for the
// demo and for tests that want the real server instead of an imitation of it.
//
// It promises a cluster that accepts SCRAM-SHA-256 logins only, listens on
// 127.0.0.1 only, and is stopped when its context ends; on Linux also when our
// process is killed. It uses the server's own binaries and installs nothing.
package pgcluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/assenthq/assent/internal/freeport"
)

// ErrNotFound means that this machine has no PostgreSQL server binaries.
var ErrNotFound = errors.New("no PostgreSQL server binaries (initdb, postgres) on PATH or under /usr/lib/postgresql; on Debian: apt-get install postgresql")

// Options say what cluster to start. The zero value works.
type Options struct {
	Dir      string            // where it lives; empty: a temporary directory that Stop removes
	Bin      string            // directory of the binaries; empty: what Find finds
	User     string            // superuser; empty: "postgres"
	Password string            // of the superuser; empty: random
	Settings map[string]string // server settings, as in postgresql.conf
	Cert     []byte            // PEM; with Key it turns TLS on
	Key      []byte            // PEM
}

// A Cluster is a running server.
type Cluster struct {
	Host     string // 127.0.0.1
	Port     int
	User     string // superuser
	Password string // of the superuser
	Bin      string // directory of psql, pgbench and the server's binaries

	dir     string
	temp    bool
	attr    *syscall.SysProcAttr
	server  map[string]string // settings it was started with
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the server process has ended
	unwatch func() bool
	once    sync.Once
	err     error // of the stop; written inside once
}

// Find returns the directory of the server binaries: on PATH first, then the
// newest version in the places where distributions keep them.
func Find() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		// A link on PATH leads to where psql and the others lie too.
		if p, err = filepath.EvalSymlinks(p); err == nil && hasServer(filepath.Dir(p)) {
			return filepath.Dir(p), nil
		}
	}
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(pattern) // the only error is a bad pattern
		dirs = append(dirs, found...)
	}
	sort.SliceStable(dirs, func(i, j int) bool { return version(dirs[i]) > version(dirs[j]) })
	for _, d := range dirs {
		if hasServer(d) {
			return d, nil
		}
	}
	return "", ErrNotFound
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// version is the number in a path such as /usr/lib/postgresql/15/bin.
func version(dir string) int {
	n := 0
	for _, c := range filepath.Base(filepath.Dir(dir)) {
		if c >= '0' && c <= '9' {
			n = n*10 + int(c-'0')
		}
	}
	return n
}

// Start makes a cluster if Dir holds none yet, starts it and returns once it
// answers. It stops when ctx ends or Stop is called. Under root the server runs
// as the user postgres, or nobody: the server refuses to run as root.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{Host: "127.0.0.1", User: o.User, Password: o.Password, Bin: o.Bin, dir: o.Dir}
	if c.User == "" {
		c.User = "postgres"
	}
	if c.Password == "" {
		c.Password = rand.Text()
	}
	if c.Bin == "" {
		bin, err := Find()
		if err != nil {
			return nil, err
		}
		c.Bin = bin
	}
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "assent-pg-")
		if err != nil {
			return nil, fmt.Errorf("starting a PostgreSQL cluster: %w", err)
		}
		c.dir, c.temp = dir, true
	}
	if err := c.start(ctx, o); err != nil {
		_ = c.Stop()
		return nil, fmt.Errorf("starting a PostgreSQL cluster in %s: %w", c.dir, err)
	}
	c.unwatch = context.AfterFunc(ctx, func() { _ = c.Stop() })
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	attr, err := unprivileged()
	if err != nil {
		return err
	}
	stopWithUs(attr)
	if err := c.own(attr, c.dir, nil); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.dir, "data", "PG_VERSION")); err != nil {
		if err := c.initdb(ctx, attr); err != nil {
			return err
		}
	}
	settings := map[string]string{
		"listen_addresses": c.Host, "unix_socket_directories": "", "password_encryption": "scram-sha-256",
	}
	if len(o.Cert) > 0 {
		cert, key := filepath.Join(c.dir, "server.crt"), filepath.Join(c.dir, "server.key")
		if err := errors.Join(c.own(attr, cert, o.Cert), c.own(attr, key, o.Key)); err != nil {
			return err
		}
		settings["ssl"], settings["ssl_cert_file"], settings["ssl_key_file"] = "on", cert, key
	}
	for k, v := range o.Settings {
		settings[k] = v
	}
	c.attr, c.server = attr, settings
	// Between finding a free port and using it another process may take it.
	for range 3 {
		if c.Port, err = freeport.Port(); err != nil {
			return err
		}
		if err = c.launch(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// own makes path (a directory when content is nil) belong to the server's user.
func (c *Cluster) own(attr *syscall.SysProcAttr, path string, content []byte) error {
	var err error
	if content == nil {
		err = os.MkdirAll(path, 0o700)
	} else {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return err
	}
	return chown(path, attr)
}

func (c *Cluster) initdb(ctx context.Context, attr *syscall.SysProcAttr) error {
	pw := filepath.Join(c.dir, "initdb.pw")
	defer os.Remove(pw)
	if err := c.own(attr, pw, []byte(c.Password+"\n")); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, "initdb"), "-D", filepath.Join(c.dir, "data"),
		"-U", c.User, "--pwfile="+pw, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = attr, c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, tail(out))
	}
	return nil
}

func (c *Cluster) launch(ctx context.Context) error {
	args := []string{"-D", filepath.Join(c.dir, "data"), "-p", strconv.Itoa(c.Port)}
	for k, v := range c.server {
		args = append(args, "-c", k+"="+v)
	}
	logPath := filepath.Join(c.dir, "server.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(c.Bin, "postgres"), args...) // outlives ctx until Stop asked it to end
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = c.attr, c.dir, log, log
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel tells the server that we died when this thread ends, so the
		// thread must last as long as the process.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	c.cmd, c.exited = cmd, exited

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-exited:
			out, _ := os.ReadFile(logPath)
			return fmt.Errorf("the server ended at once: %s", tail(out))
		case <-tick.C:
			if c.ready() {
				return nil
			}
		}
	}
}

// ready reports whether the server asks for authentication rather than telling
// that it is still starting up (PostgreSQL documentation, "Message Flow", Start-up).
func (c *Cluster) ready() bool {
	conn, err := net.DialTimeout("tcp", c.Addr(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	m := binary.BigEndian.AppendUint32(make([]byte, 4), 3<<16)
	m = append(m, "user\x00"+c.User+"\x00database\x00postgres\x00\x00"...)
	binary.BigEndian.PutUint32(m, uint32(len(m)))
	if _, err := conn.Write(m); err != nil {
		return false
	}
	var first [1]byte
	_, err = conn.Read(first[:])
	return err == nil && first[0] == 'R'
}

// Addr is host:port.
func (c *Cluster) Addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// DSN is a connection URL. It carries the password when user is the superuser.
func (c *Cluster) DSN(user, db string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Host: c.Addr(), Path: "/" + db, RawQuery: "sslmode=prefer"}
	if user == c.User {
		u.User = url.UserPassword(user, c.Password)
	}
	return u.String()
}

// Kill ends the server at once, as a crash would.
func (c *Cluster) Kill() error {
	if err := c.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return fmt.Errorf("killing the server: %w", err)
	}
	<-c.exited
	return nil
}

// Restart starts the server again where it was, after Kill or in place of a
// server that still runs: that one disconnects its clients and shuts down first.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.shutdown(); err != nil {
		return fmt.Errorf("restarting the server: %w", err)
	}
	var err error
	for range 5 { // while it was away, an outgoing connection of somebody's may have its port
		if err = c.launch(ctx); err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("restarting the server: %w", err)
	}
	return nil
}

// Stop ends the server, its clients disconnected, and removes a temporary directory.
func (c *Cluster) Stop() error {
	c.once.Do(func() {
		if c.unwatch != nil {
			c.unwatch()
		}
		c.err = c.shutdown()
		if c.temp {
			c.err = errors.Join(c.err, os.RemoveAll(c.dir))
		}
	})
	return c.err
}

func (c *Cluster) shutdown() error {
	if c.cmd == nil {
		return nil
	}
	_ = c.cmd.Process.Signal(syscall.SIGINT) // fast shutdown; an error means that it has ended
	select {
	case <-c.exited:
		return nil
	case <-time.After(15 * time.Second):
	}
	_ = c.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-c.exited:
		return nil
	case <-time.After(5 * time.Second):
	}
	_ = c.cmd.Process.Kill()
	<-c.exited
	return errors.New("the PostgreSQL server had to be killed")
}

func tail(b []byte) string {
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return string(b)
}
