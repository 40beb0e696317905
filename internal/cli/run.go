package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/launch"
	"github.com/spf13/cobra"
)

// running is what assent run was told.
type running struct {
	db        string
	aws       string
	shims     []string
	tokenFile string
}

func (a *app) runCmd() *cobra.Command {
	r := &running{}
	c := &cobra.Command{
		Use:   "run [--db NAME] [--shim TERRAFORM,…] [-- PROGRAM [ARG...]]",
		Short: "Start a program, such as a coding agent, that works through the gates",
		Long: `Start a program with an environment that leads it through the server's gates:
ASSENT_URL, ASSENT_TOKEN and a fresh ASSENT_SESSION; with --db the variables of a
PostgreSQL client for that gate; where there is a gate of AWS, those by which its
SDKs find it and fetch key pairs; with --shim a directory at the head of PATH in
which those names run assent exec; where the server has a gate of language
models, OPENAI_BASE_URL, ANTHROPIC_BASE_URL and what stands for a key there; KUBECONFIG
where it has Kubernetes gates; and where it has a gate of outgoing HTTP, the
variables of proxies and certificates.

Without a program it prints the environment, to be read by a shell.

It leads; it does not lock in. The program can change its environment, and has
whatever else your account has: credentials and network it must not use have to
be out of its reach.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runProgram(cmd.Context(), r, args) },
	}
	c.Flags().StringVar(&r.db, "db", "", "PostgreSQL gate whose variables (PGHOST, PGPORT, PGUSER, PGPASSWORD, …) are set")
	c.Flags().StringVar(&r.aws, "aws", "", "gate of AWS that AWS_ENDPOINT_URL leads to (default: the only one there is)")
	c.Flags().StringSliceVar(&r.shims, "shim", nil, "programs that go through assent exec")
	c.Flags().StringVar(&r.tokenFile, "token-file", "", "file that holds the actor's credential (default $ASSENT_TOKEN)")
	c.Flags().SetInterspersed(false)
	return c
}

func (a *app) runProgram(ctx context.Context, r *running, argv []string) error {
	token, err := actorToken(r.tokenFile)
	if err != nil {
		return err
	}
	c, err := client.New(a.server(), token, nil)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	found, err := c.Environment(ctx)
	if err != nil {
		return notPermitted(ctx, err)
	}
	session := "run-" + strings.ToLower(rand.Text())
	set := []string{"ASSENT_URL=" + a.server(), "ASSENT_TOKEN=" + token, "ASSENT_SESSION=" + session}
	if outer := os.Getenv("ASSENT_SESSION"); outer != "" {
		set = append(set, "ASSENT_PARENT="+outer)
	}
	if r.db != "" {
		db, err := databaseVariables(ctx, c, found, r.db, token)
		if err != nil {
			return err
		}
		set = append(set, db...)
	}
	set = append(set, modelVariables(found, token, session)...)
	cloud, err := cloudVariables(found, r.aws, a.server(), token, set)
	if err != nil {
		return err
	}
	set = append(set, cloud...)
	if len(argv) == 0 {
		if len(r.shims) > 0 || found.Egress != nil {
			return failf(exitUsage, "shims and certificates last as long as a program does: name one after --")
		}
		for _, kv := range set {
			k, v, has := strings.Cut(kv, "=")
			if !has {
				a.printf("unset %s\n", k)
				continue
			}
			a.printf("export %s='%s'\n", k, strings.ReplaceAll(v, "'", `'\''`))
		}
		return nil
	}
	out, remove, err := outgoing(found, token)
	if err != nil {
		return err
	}
	defer remove()
	set = append(set, out...)
	clusters, removeClusters, err := clusterVariables(found)
	if err != nil {
		return err
	}
	defer removeClusters()
	set = append(set, clusters...)
	if len(r.shims) > 0 {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		dir, remove, err := launch.Shims(self, r.shims)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		defer remove()
		set = append(set, launch.ShimsVariable+"="+dir, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	result, err := launch.Program(argv, with(os.Environ(), set))
	if err != nil {
		return notPrepared(err)
	}
	return ended(result.Status())
}

// with is env with these variables in the place of its own, and without those that have no value.
func with(env, set []string) []string {
	names := map[string]bool{}
	for _, kv := range set {
		k, _, _ := strings.Cut(kv, "=")
		names[k] = true
	}
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		k, _, _ := strings.Cut(kv, "=")
		return names[k]
	})
	for _, kv := range set {
		if strings.Contains(kv, "=") {
			out = append(out, kv)
		}
	}
	return out
}

// modelVariables lead the clients of language models to the first gate that has a
// provider of their API, and have them name the session. A key of the provider's own that stands in the
// environment is put out of the way.
func modelVariables(found *client.Environment, token, session string) []string {
	var out []string
	told := map[string]bool{}
	for _, g := range found.Gates {
		for _, p := range g.Providers {
			if g.Type != "llm" || told[p.API] {
				continue
			}
			told[p.API] = true
			base := "http://" + g.Address + "/" + p.Name
			if g.TLS {
				base = "https://" + g.Address + "/" + p.Name
			}
			switch p.API {
			case "openai":
				out = append(out, "OPENAI_BASE_URL="+base+"/v1", "OPENAI_API_KEY="+token, sessionHeader("OPENAI_CUSTOM_HEADERS", session))
			case "anthropic":
				out = append(out, "ANTHROPIC_BASE_URL="+base, "ANTHROPIC_AUTH_TOKEN="+token, "ANTHROPIC_API_KEY", sessionHeader("ANTHROPIC_CUSTOM_HEADERS", session))
			}
		}
	}
	return out
}

// sessionHeader is a variable that holds headers, a line each, with the one that names the session.
func sessionHeader(name, session string) string {
	own := "Assent-Session: " + session
	for line := range strings.Lines(os.Getenv(name)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Assent-Session:") {
			own = line + "\n" + own
		}
	}
	return name + "=" + own
}

// databaseVariables lead a PostgreSQL client to a gate (https://www.postgresql.org/docs/current/libpq-envars.html).
func databaseVariables(ctx context.Context, c *client.Client, found *client.Environment, name, token string) ([]string, error) {
	i := slices.IndexFunc(found.Gates, func(g client.EnvironmentGate) bool { return g.Name == name && g.Type == "postgres" })
	if i < 0 {
		return nil, failf(exitUsage, "the server has no PostgreSQL gate named %q", name)
	}
	g := found.Gates[i]
	host, port, err := net.SplitHostPort(g.Address)
	if err != nil {
		return nil, fmt.Errorf("the address of gate %s: %w", name, err)
	}
	if host, err = where(host, found.URL); err != nil {
		return nil, err
	}
	me, err := c.WhoAmI(ctx)
	if err != nil {
		return nil, err
	}
	if len(me.Chain) == 0 {
		return nil, failf(exitConfig, "the credential is not an actor's")
	}
	_, user, _ := strings.Cut(me.Chain[0].ID, ":")
	out := []string{"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + user, "PGPASSWORD=" + token, "PGDATABASE=" + g.Database, "PGAPPNAME=assent-run"}
	if !g.TLS {
		out = append(out, "PGSSLMODE=disable") // on loopback only
	}
	return out, nil
}

// where is the host at which a gate is found: one that listens everywhere is where the server is.
func where(host, server string) (string, error) {
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return host, nil
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("the address of the server: %w", err)
	}
	return u.Hostname(), nil
}

// outgoing are the variables of a gate of HTTP on its way out; none where there is no such gate.
func outgoing(found *client.Environment, token string) (set []string, remove func(), err error) {
	if found.Egress == nil {
		return nil, func() {}, nil
	}
	u, err := url.Parse(found.Egress.Proxy)
	if err != nil || u.Host == "" {
		return nil, nil, failf(exitConfig, "the server names a proxy without an address")
	}
	u.User = url.UserPassword("assent", token)
	if os.Getenv("HTTPS_PROXY") == u.String() { // assent run around this has set them
		return nil, func() {}, nil
	}
	var direct []string
	add := func(address string) {
		if host := launch.Direct(address); host != "" && !slices.Contains(direct, host) {
			direct = append(direct, host)
		}
	}
	add(found.URL)
	for _, g := range found.Gates {
		add(g.Address)
	}
	return launch.Outgoing(os.Environ(), u, []byte(found.Egress.CA), direct)
}
