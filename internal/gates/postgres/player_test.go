package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// An answer is what a client heard after one batch.
type answer struct {
	lines   []string
	refusal string // the gate's own words, when it refused by itself
	ended   bool   // the connection ended
	silent  bool   // nothing more came although something was awaited
	copied  bool   // COPY data was asked for
}

func (a answer) String() string {
	s := strings.Join(a.lines, ", ")
	if a.refusal != "" {
		s += " (" + a.refusal + ")"
	}
	if a.ended {
		s += " END"
	}
	if a.silent {
		s += " SILENCE"
	}
	return s
}

// A player plays a stream in one session.
type player struct {
	conn net.Conn
	f    *pgproto3.Frontend
}

func dialPlayer(dsn string) (*player, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = "differential"
	c, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	h, err := c.Hijack()
	if err != nil {
		return nil, err
	}
	return &player{h.Conn, h.Frontend}, nil
}

// patience is how long a client waits for an answer that must come.
const patience = 5 * time.Second

// play sends one batch, and what of it is COPY data only when it is asked for.
func (p *player) play(m messages) (a answer) {
	ask := slices.IndexFunc(m, func(x pgproto3.FrontendMessage) bool {
		switch x.(type) {
		case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
			return true
		}
		return false
	})
	var data messages
	if ask >= 0 {
		m, data = m[:ask], m[ask:]
	}
	awaited := 0
	for _, x := range m {
		p.f.Send(x)
		switch x.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			awaited++
		}
	}
	_, simple := m[len(m)-1].(*pgproto3.Query)
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	if p.f.Flush() != nil {
		a.ended = true
		return a
	}
	for awaited > 0 {
		x, err := p.f.Receive()
		if err != nil {
			var timeout net.Error
			a.silent = errors.As(err, &timeout) && timeout.Timeout()
			a.ended = !a.silent
			return a
		}
		a.hear(x)
		switch x.(type) {
		case *pgproto3.ReadyForQuery:
			awaited--
		case *pgproto3.CopyInResponse:
			if data == nil {
				data = messages{&pgproto3.CopyFail{Message: "no data"}}
				if !simple {
					data = append(data, sync_)
				}
			}
			a.copied = true
			for _, x := range data {
				p.f.Send(x)
			}
			if p.f.Flush() != nil {
				a.ended = true
				return a
			}
			// How many Syncs the server took for COPY's is not for us to know.
			if awaited > 1 {
				_ = p.conn.SetDeadline(time.Now().Add(patience / 20))
			}
		}
	}
	return a
}

// hear notes a message by what a client can tell of it. Objects' numbers differ
// between databases, and the gate withholds what errors quote.
func (a *answer) hear(x pgproto3.BackendMessage) {
	line := ""
	switch x := x.(type) {
	case *pgproto3.ErrorResponse:
		line = x.Severity + " " + x.Code
		if words, ours := strings.CutPrefix(x.Message, "assent: "); ours || x.Severity == "FATAL" {
			if a.refusal == "" {
				a.refusal = words
			}
		}
	case *pgproto3.NoticeResponse:
		line = "notice " + x.Severity + " " + x.Code
	case *pgproto3.CommandComplete:
		line = "tag " + string(x.CommandTag)
	case *pgproto3.RowDescription:
		for _, f := range x.Fields {
			line += fmt.Sprintf(" %s:%d:%d", f.Name, f.DataTypeOID, f.Format)
		}
		line = "columns" + line
	case *pgproto3.DataRow:
		for _, v := range x.Values {
			if v == nil {
				line += "|NULL"
				continue
			}
			line += "|" + string(v)
		}
		line = "row " + line
	case *pgproto3.CopyData:
		line = "copy " + string(x.Data)
	case *pgproto3.ParameterStatus:
		line = "parameter " + x.Name + "=" + x.Value
	case *pgproto3.NotificationResponse:
		line = "notification " + x.Channel + " " + x.Payload
	case *pgproto3.ReadyForQuery:
		line = "ready " + string(x.TxStatus)
	case *pgproto3.ParameterDescription:
		line = fmt.Sprint("parameters ", x.ParameterOIDs)
	default:
		line = strings.TrimPrefix(fmt.Sprintf("%T", x), "*pgproto3.")
	}
	a.lines = append(a.lines, line)
}

// session asks what the session is, as a gate's look does.
func (p *player) session() []string {
	var out []string
	for _, q := range postgres.SessionQueries {
		a := p.play(messages{parse("_assent", q), bind("_assent", "_assent"), execute("_assent", 0), &pgproto3.Close{ObjectType: 'P', Name: "_assent"}, &pgproto3.Close{ObjectType: 'S', Name: "_assent"}, sync_})
		for _, l := range a.lines {
			if v, is := strings.CutPrefix(l, "row |"); is {
				out = append(out, v)
			}
		}
	}
	return out
}

func (p *player) leave() {
	p.f.Send(&pgproto3.Terminate{})
	_ = p.f.Flush()
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	for {
		if _, err := p.f.Receive(); err != nil {
			break
		}
	}
	_ = p.conn.Close()
}

// show writes a script as a line of the desync corpus.
func show(script []messages) string {
	var out []string
	for _, m := range script {
		var parts []string
		for _, x := range m {
			parts = append(parts, showMessage(x))
		}
		out = append(out, "{"+strings.Join(parts, ", ")+"}")
	}
	return "[]messages{" + strings.Join(out, ", ") + "}"
}

func showMessage(x pgproto3.FrontendMessage) string {
	switch x := x.(type) {
	case *pgproto3.Query:
		return fmt.Sprintf("query(%q)", x.String)
	case *pgproto3.Parse:
		return fmt.Sprintf("parse(%q, %q)", x.Name, x.Query)
	case *pgproto3.Bind:
		return fmt.Sprintf("bind(%q, %q)", x.DestinationPortal, x.PreparedStatement)
	case *pgproto3.Execute:
		return fmt.Sprintf("execute(%q, %d)", x.Portal, x.MaxRows)
	case *pgproto3.Sync:
		return "sync_"
	case *pgproto3.Flush:
		return "flush_"
	case *pgproto3.Describe:
		return fmt.Sprintf("&pgproto3.Describe{ObjectType: %q, Name: %q}", x.ObjectType, x.Name)
	case *pgproto3.Close:
		return fmt.Sprintf("&pgproto3.Close{ObjectType: %q, Name: %q}", x.ObjectType, x.Name)
	case *pgproto3.CopyData:
		return fmt.Sprintf("&pgproto3.CopyData{Data: []byte(%q)}", x.Data)
	case *pgproto3.CopyFail:
		return fmt.Sprintf("&pgproto3.CopyFail{Message: %q}", x.Message)
	}
	return fmt.Sprintf("&%s{}", strings.TrimPrefix(fmt.Sprintf("%T", x), "*"))
}

// shrink removes what a finding does not need: batches, then messages.
func shrink(script []messages, still func([]messages) bool) []messages {
	for tries := 0; tries < 200; {
		smaller := false
		for i := len(script) - 1; i >= 0 && tries < 200; i-- {
			tries++
			if c := slices.Delete(slices.Clone(script), i, i+1); len(c) > 0 && still(c) {
				script, smaller = c, true
			}
		}
		for i := range script {
			for j := len(script[i]) - 1; j >= 0 && tries < 200; j-- {
				c := slices.Clone(script)
				c[i] = slices.Delete(slices.Clone(script[i]), j, j+1)
				if !waits(c[i]) {
					continue
				}
				tries++
				if still(c) {
					script, smaller = c, true
				}
			}
		}
		if !smaller {
			break
		}
	}
	return script
}

// waits reports whether a batch ends where a client may wait.
func waits(m messages) bool {
	for i := len(m) - 1; i >= 0; i-- {
		switch m[i].(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			return true
		case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
			continue
		}
		return false
	}
	return false
}
