package cli_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/assenthq/assent/internal/cli"
	"github.com/assenthq/assent/internal/gates/kubernetes/kubetest"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"
)

// cluster is the PostgreSQL that all scripts share, each with a database of its own.
type cluster struct {
	m *testing.M
}

// Environment of the test process through which scripts find the cluster.
const (
	pgAddr = "ASSENT_TEST_PG"
	pgBin  = "ASSENT_TEST_PGBIN"
	pgPass = "ASSENT_TEST_PGPASSWORD"
)

// Run runs the tests of the package beside a real PostgreSQL.
func (c *cluster) Run() int {
	pg, err := pgcluster.Start(context.Background(), pgcluster.Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting PostgreSQL (scripts/install installs it):", err)
		return 1
	}
	defer func() { _ = pg.Stop() }()
	for k, v := range map[string]string{pgAddr: pg.Addr(), pgBin: pg.Bin, pgPass: pg.Password} {
		if err := os.Setenv(k, v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return c.m.Run()
}

func TestMain(m *testing.M) {
	testscript.Main(&cluster{m: m}, map[string]func(){
		"assent":    func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
		"terraform": terraform, "kubectl": kubectl,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "PATH="+os.Getenv("PATH")+string(os.PathListSeparator)+os.Getenv(pgBin))
			if kubectl, err := kubetest.Program("kubectl"); err == nil {
				e.Vars = append(e.Vars, "KUBECTL="+kubectl)
			}
			e.Values[running{}] = map[string]*process{}
			e.Values[screens{}] = &screen{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": cmdStatus, "until": cmdUntil, "start": cmdStart, "waitfor": cmdWaitFor, "signal": cmdSignal, "ended": cmdEnded,
			"capture": cmdCapture, "house": cmdHouse, "certificate": cmdCertificate, "serve": cmdServe, "psql": cmdPSQL, "provoke": cmdProvoke, "sqlite": cmdSQLite, "evil": cmdEvil, "harmless": cmdHarmless, "taken": cmdTaken, "receiver": cmdReceiver, "toolserver": cmdToolServer, "listtools": cmdListTools,
			"tty": cmdTTY, "screen": cmdScreen, "keys": cmdKeys, "resize": cmdResize, "left": cmdLeft,
		},
	})
}

// patience is how long a script waits for what must happen: far more than it takes.
const patience = 60 * time.Second

// passed is what a program started by a script sees of its environment.
var passed = []string{"PATH", "HOME", "TMPDIR", "ASSENT_TOKEN", "ASSENT_URL", "PGPASSWORD", "PW"}

type running struct{} // key of the running programs in a script's values

type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // written before done is closed
}

// cmdStatus runs a program that must end with a status: status N PROGRAM [ARG...].
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N program [arg...]")
	}
	if got := statusOf(ts, ts.Exec(args[1], args[2:]...)); strconv.Itoa(got) != args[0] {
		ts.Fatalf("status %d, want %s", got, args[0])
	}
}

func statusOf(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("%v", err)
	return -1
}

// cmdUntil runs a program again until its output matches: until REGEXP PROGRAM [ARG...].
func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until regexp program [arg...]")
	}
	re := regexp.MustCompile(args[0])
	waitUntil(ts, "output like "+args[0], func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && re.MatchString(ts.ReadFile("stdout"))
	})
}

func waitUntil(ts *testscript.TestScript, what string, ok func() bool) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	ts.Fatalf("no %s within %v", what, patience)
}

// cmdStart starts a program whose output goes to NAME.out and NAME.err: start NAME PROGRAM [ARG...].
func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: start name program [arg...]")
	}
	start(ts, args[0], args[1], args[2:]...)
}

func start(ts *testscript.TestScript, name, program string, args ...string) *process {
	path, err := exec.LookPath(program)
	if err != nil {
		path = filepath.Join(os.Getenv(pgBin), program)
	}
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer out.Close()
	errs, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer errs.Close()
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), out, errs
	for _, k := range passed {
		if v := ts.Getenv(k); v != "" {
			p.cmd.Env = append(p.cmd.Env, k+"="+v)
		}
	}
	ts.Check(p.cmd.Start())
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	ts.Value(running{}).(map[string]*process)[name] = p
	return p
}

func find(ts *testscript.TestScript, name string) *process {
	p := ts.Value(running{}).(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("nothing called %s was started", name)
	}
	return p
}

// cmdWaitFor waits until a file matches: waitfor FILE REGEXP.
func cmdWaitFor(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: waitfor file regexp")
	}
	re := regexp.MustCompile("(?m)" + args[1])
	waitUntil(ts, args[1]+" in "+args[0], func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && re.Match(b)
	})
}

// cmdSignal sends a signal: signal NAME HUP|TERM|INT|KILL.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	sig, ok := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(find(ts, args[0]).cmd.Process.Signal(sig))
}

// cmdEnded waits for a started program to end with a status: ended NAME STATUS.
func cmdEnded(ts *testscript.TestScript, _ bool, args []string) {
	p := find(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s still runs", args[0])
	}
	if got := statusOf(ts, p.err); strconv.Itoa(got) != args[1] {
		b, _ := os.ReadFile(ts.MkAbs(args[0] + ".err"))
		ts.Fatalf("%s ended with status %d, want %s\n%s", args[0], got, args[1], b)
	}
}

// cmdCapture sets a variable to what a group of a pattern matched: capture VAR REGEXP FILE.
func cmdCapture(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile(args[2]))
	if len(m) < 2 {
		ts.Fatalf("%s is not in %s:\n%s", args[1], args[2], ts.ReadFile(args[2]))
	}
	ts.Setenv(args[0], m[1])
}

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: house, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read] }, then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { pii: redact } }
  - { id: writes-wait, match: { kind: [data.write] }, then: review, approval: { from: [group:reviewers], count: 1, expires: 10m, use_within: 10m, assurance: token } }
  - { id: deletes-wait-for-two, match: { kind: [data.delete] }, then: review, approval: { from: [group:reviewers], count: 2, expires: 10m, assurance: token } }
  - { id: schema-waits-for-a-passkey, match: { kind: [schema.change] }, then: review, approval: { from: [group:reviewers], count: 1, expires: 10m, assurance: passkey } }
  - { id: nobody-grants, match: { kind: [privilege.change] }, then: deny, reason: agents give no rights }
tests:
  - { name: a read flows, given: { kind: data.read, actor: agent }, want: { decision: allow } }
  - { name: a write waits, given: { kind: data.write }, want: { decision: review, count: 1 } }
  - { name: a delete waits, given: { kind: data.delete }, want: { decision: review, count: 2 } }
  - { name: schema waits, given: { kind: schema.change }, want: { decision: review } }
  - { name: no rights, given: { kind: privilege.change }, want: { decision: deny } }
`

// cmdHouse makes a database, a policy and a configuration in the script's directory: house [PACK].
func cmdHouse(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	db := "house_" + regexp.MustCompile(`\W+`).ReplaceAllString(strings.ToLower(ts.Name()), "_")
	admin, err := pgx.Connect(ctx, adminDSN("postgres"))
	ts.Check(err)
	defer admin.Close(ctx)
	_, err = admin.Exec(ctx, "CREATE DATABASE "+db)
	ts.Check(err)
	c, err := pgx.Connect(ctx, adminDSN(db))
	ts.Check(err)
	defer c.Close(ctx)
	_, err = c.Exec(ctx, "CREATE TABLE customers (id int, email text); INSERT INTO customers VALUES (1, 'ann@example.com'); CREATE TABLE orders (id int)")
	ts.Check(err)
	_, port, _ := strings.Cut(os.Getenv(pgAddr), ":")
	files := map[string]string{"pg.password": os.Getenv(pgPass), "pack.yaml": pack, "assent.yaml": fmt.Sprintf(`data: assent-data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: noor, groups: [reviewers] }, { id: dana, groups: [reviewers] }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: shop
    type: postgres
    listen: 127.0.0.1:0
    env: prod
    upstream: { host: 127.0.0.1, port: %s, database: %s, user: postgres, password: { file: pg.password }, tls: "off" }
`, port, db)}
	for name, text := range files {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
	ts.Setenv("DB", db)
}

func adminDSN(db string) string {
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable", os.Getenv(pgPass), os.Getenv(pgAddr), db)
}

var addresses = regexp.MustCompile(`"msg":"ready","console":"([^"]+)","gates":\{[^}]*"shop":"127\.0\.0\.1:(\d+)"[^}]*\}`)

// cmdCertificate writes cert.pem and its key, for one name that is no address of this machine's: certificate NAME.
func cmdCertificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: args, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("cert.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

// cmdServe starts assent serve and waits until it is ready; its console is then
// $CONSOLE and its gate's port $GATE: serve NAME [ARG...].
func cmdServe(ts *testscript.TestScript, _ bool, args []string) {
	p := start(ts, args[0], "assent", append([]string{"serve"}, args[1:]...)...)
	var m []string
	waitUntil(ts, "ready in "+args[0]+".err", func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0] + ".err"))
		ts.Check(err)
		if m = addresses.FindStringSubmatch(string(b)); m != nil {
			return true
		}
		select {
		case <-p.done:
			ts.Fatalf("assent serve ended: %v\n%s", p.err, b)
		default:
		}
		return false
	})
	ts.Setenv("CONSOLE", m[1])
	ts.Setenv("GATE", m[2])
}

// cmdPSQL starts psql at the gate, as the worker with $PGPASSWORD: psql NAME STATEMENT.
func cmdPSQL(ts *testscript.TestScript, _ bool, args []string) {
	dsn := fmt.Sprintf("host=127.0.0.1 port=%s user=worker dbname=%s sslmode=disable", ts.Getenv("GATE"), ts.Getenv("DB"))
	start(ts, args[0], "psql", "-XAt", "-v", "ON_ERROR_STOP=1", "-c", args[1], dsn)
}

// cmdProvoke asks for something as the worker, again and again, until FILE matches: provoke
// FILE REGEXP SQL. Whoever follows may not have begun to when it is asked first.
func cmdProvoke(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: provoke file regexp sql")
	}
	dsn := fmt.Sprintf("host=127.0.0.1 port=%s user=worker dbname=%s sslmode=disable", ts.Getenv("GATE"), ts.Getenv("DB"))
	re := regexp.MustCompile(args[1])
	waitUntil(ts, args[1]+" in "+args[0], func() bool {
		_ = ts.Exec("psql", "-XAt", "-c", args[2], dsn)
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && re.Match(text)
	})
}

// cmdSQLite runs a statement on a SQLite file: sqlite FILE STATEMENT.
func cmdSQLite(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	r, err := db.Exec(args[1])
	ts.Check(err)
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("%s changed nothing (%v)", args[1], err)
	}
}

// evil is what an agent may write to draw on a reviewer's terminal.
const evil = "\x1b[2J\x1b[1;1Happroved by mira\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\\x1b]52;c;cm0gLXJm\a" +
	"\u202egnp.exe\u2066\u200b\u200d\ufeff\u00ad\u034f\u3164\ufe0f\U000e0041\u009b31m\u0085\u2028\roverwritten\x7f\b\b\n9zzz  approved  harmless"

// cmdEvil asks for an insert of it: evil NAME.
func cmdEvil(ts *testscript.TestScript, _ bool, args []string) {
	cmdPSQL(ts, false, []string{args[0], "INSERT INTO \"" + evil + "\" VALUES ('" + evil + "')"})
}

// cmdHarmless checks that a terminal would show all of a file as characters: harmless FILE.
func cmdHarmless(ts *testscript.TestScript, _ bool, args []string) {
	for i, r := range ts.ReadFile(args[0]) {
		if r != '\n' && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			ts.Fatalf("%s has %U at byte %d", args[0], r, i)
		}
	}
}

// cmdTaken writes a configuration that listens where the running server does: taken console|gate FILE.
func cmdTaken(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("assent.yaml")
	switch args[0] {
	case "console":
		text = strings.Replace(text, "listen: 127.0.0.1:0", "listen: "+strings.TrimPrefix(ts.Getenv("CONSOLE"), "http://"), 1)
	case "gate":
		text = strings.Replace(text, "    listen: 127.0.0.1:0", "    listen: 127.0.0.1:"+ts.Getenv("GATE"), 1)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
