package mcp

import (
	"errors"
	"strings"

	"github.com/assenthq/assent/gate"
)

// denied is the refusal in an error. What is no refusal means that nobody decided.
func denied(err error) *gate.Denied {
	var d *gate.Denied
	if errors.As(err, &d) {
		return d
	}
	return &gate.Denied{Status: gate.StatusNobody, Reason: "no decision could be reached, so the answer is no", Hint: "try again later"}
}

// deny tells the client that a request was refused: of a tool by a result that its
// model reads, of anything else by an error.
func (g *Guard) deny(c *call, d *gate.Denied) []byte {
	says := []any{"status", status(d)}
	for _, f := range []struct{ name, value string }{{"reason", d.Reason}, {"approvalId", d.ID}, {"url", d.URL}, {"hint", d.Hint}} {
		if f.value != "" {
			says = append(says, f.name, f.value)
		}
	}
	if d.Status == gate.StatusPending {
		says = append(says, "retryAfterMs", 5000)
	}
	body := object(says...)
	if c.method != "tools/call" {
		return fail(c.id, codeDenied, sentence(d), body)
	}
	content := object("type", "text", "text", sentence(d))
	pairs := []any{"content", append(append([]byte{'['}, content...), ']'), "isError", true}
	if c.tool == nil || !c.tool.Output {
		pairs = append(pairs, "structuredContent", body)
	} else { // a client would hold it against the shape that the tool declares
		pairs = append(pairs, "_meta", object("dev.assent/decision", body))
	}
	if c.version >= Stateless {
		pairs = append(pairs, "resultType", "complete")
	}
	return object("jsonrpc", "2.0", "id", c.id, "result", object(pairs...))
}

func status(d *gate.Denied) string {
	if d.Status == gate.StatusPending {
		return "pending_approval"
	}
	return d.Status
}

// sentence is a refusal for a model to read.
func sentence(d *gate.Denied) string {
	var b strings.Builder
	switch d.Status {
	case gate.StatusPending:
		b.WriteString("PENDING: nothing has run yet; " + d.Reason + ".")
	case gate.StatusLost:
		b.WriteString("UNKNOWN: " + d.Reason + ".")
	case gate.StatusLimit:
		b.WriteString("WITHHELD: " + d.Reason + ".")
	default:
		b.WriteString("DENIED (" + d.Status + "): " + d.Reason + ". Nothing has run.")
	}
	if d.ID != "" {
		b.WriteString(" Approval " + d.ID + ".")
	}
	if d.URL != "" {
		b.WriteString(" Look at it here: " + d.URL)
	}
	if d.Status == gate.StatusPending {
		b.WriteString(" To go on waiting, make exactly the same call again: it finds this approval, and runs once it is approved. (With Assent's own tools, assent_wait waits for it.)")
	} else if d.Hint != "" {
		b.WriteString(" What to do: " + d.Hint + ".")
	}
	return b.String()
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
