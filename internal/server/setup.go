package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/policy"
)

// trial tries what somebody would configure, for the console's set-up page.
// What it reaches out to it reaches as the server would: so it is for those who administer.
type trial struct{ s *Server }

// Open reports that nobody administers yet.
func (t trial) Open() bool {
	for _, g := range t.s.cfg.Admins {
		if len(t.s.dir.Members(groupID(g))) > 0 {
			return false
		}
	}
	return true
}

// Issuer errs unless people could sign in through it.
func (t trial) Issuer(ctx context.Context, issuer, client string) error {
	c := IssuerConfig{Name: "trial", Issuer: issuer, ClientID: client}
	i, err := c.open(t.s.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return tidy(err)
	}
	defer i.Close()
	return tidy(i.Reach(ctx))
}

// tidy takes away a name that nobody typed.
func tidy(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "issuer trial", "the issuer"))
}

// System errs unless a PostgreSQL answers there: it is asked for TLS, as the gate
// would ask (PostgreSQL's protocol, SSLRequest), and nothing else.
func (t trial) System(ctx context.Context, host string, port int) (string, error) {
	if host == "" {
		return "", errors.New("the host is missing")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return "", errors.New("nothing answers there: see name, port and firewall, from the server's machine")
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	answer := make([]byte, 1)
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err == nil {
		_, _ = io.ReadFull(conn, answer) // what is no answer is looked at below
	}
	switch string(answer) {
	case "S":
		return "A PostgreSQL answers, with TLS.", nil
	case "N":
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			return "A PostgreSQL answers, without TLS. On loopback that may be: write tls: off beside its host.", nil
		}
		return "", errors.New("a PostgreSQL answers, but offers no TLS: switch ssl on there, the gate insists on it")
	}
	return "", errors.New("something answers there, but it is no PostgreSQL")
}

// Rule decides a statement of an agent under the built-in policy and pack together.
func (t trial) Rule(pack, statement string) (console.Tried, error) {
	set, err := policy.LoadFiles(map[string][]byte{"assent:default.yaml": policy.DefaultPack(), "first.yaml": []byte(pack)}, t.s.policyOptions())
	if err != nil {
		return console.Tried{}, err
	}
	var out console.Tried
	for _, r := range set.Test() {
		if !r.Passed {
			out.Failed = append(out.Failed, fmt.Sprintf("%s: %s", r.Test, strings.Join(r.Failures, ", ")))
		}
	}
	parsed := sql.New(sql.Options{}).Classify(statement, sql.State{})
	if len(parsed.Statements) != 1 {
		return console.Tried{}, errors.New("write one statement to try it on")
	}
	st := &parsed.Statements[0]
	a := &action.Action{
		Kinds: st.Kinds, Verb: st.Verb, Target: st.Target, Columns: st.Columns, Shape: st.Shape,
		Resource: action.Resource{URN: "postgres:trial/prod", Type: "postgres", Env: "prod"},
	}
	in := policy.Input{Action: a, Harmless: st.Harmless, ActorID: "agent:trial", ActorType: "agent", Time: time.Now()}
	in.Weigh()
	d := set.Explain(&in)
	out.Verdict, out.Reason = d.Verdict.String(), d.RenderReason(&in)
	for _, k := range st.Kinds {
		out.Kinds = append(out.Kinds, string(k))
	}
	for _, h := range d.Rules {
		out.Rules = append(out.Rules, h.Name())
	}
	out.Asks = console.Asks(d.Requirements)
	return out, nil
}

// Config errs unless serve would take text; the secrets' files are not looked for.
func (t trial) Config(text string) error {
	_, err := ParseConfig("assent.yaml", []byte(text))
	return err
}
