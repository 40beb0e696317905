package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/client"
)

// csvColumns are the columns of assent log --csv, in their order.
func csvColumns() []string {
	return []string{
		"lane", "index", "time", "type", "actor", "subject", "person", "session", "gate", "resource", "env", "kinds", "verb", "target", "title",
		"decision", "rules", "approval", "outcome", "rows", "findings", "masked", "digest", "grant", "previous", "detail",
	}
}

// writeCSV writes records as RFC 4180 has it. A cell that a spreadsheet would take for a formula begins with an
// apostrophe: text of agents is among them.
func writeCSV(out io.Writer, records iter.Seq2[int, *laneRecord]) error {
	w := csv.NewWriter(out)
	w.UseCRLF = true
	if err := w.Write(csvColumns()); err != nil {
		return err
	}
	for _, l := range records {
		row, err := csvRow(l)
		if err != nil {
			return err
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func csvRow(l *laneRecord) ([]string, error) {
	r, rows, detail := &l.Record, "", ""
	if r.Rows != nil {
		rows = strconv.FormatInt(*r.Rows, 10)
	}
	if len(r.Detail) > 0 {
		b, err := json.Marshal(r.Detail)
		if err != nil {
			return nil, err
		}
		detail = string(b)
	}
	row := []string{
		l.Lane, strconv.FormatInt(r.Index, 10), r.Time.UTC().Format(time.RFC3339Nano), r.Type, r.Actor, r.Subject, r.Person, r.Session, r.Gate, r.Resource, r.Env,
		strings.Join(r.Kinds, " "), r.Verb, r.Target, r.Title, r.Decision, strings.Join(r.Rules, " "), r.Approval, r.Outcome, rows, csvCounts(r.Findings), csvCounts(r.Masked),
		r.Digest, r.Grant, csvPrevious(r), detail,
	}
	for i := range row {
		row[i] = inert(row[i])
	}
	return row, nil
}

func csvPrevious(r *client.Record) string {
	if r.Previous == 0 {
		return ""
	}
	return strconv.FormatInt(r.Previous, 10)
}

func csvCounts(m map[string]int64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s=%d", k, m[k]))
	}
	return strings.Join(parts, " ")
}

// inert is a cell that no spreadsheet evaluates (OWASP, CSV Injection), also behind blanks, in the wide forms that
// some take for the narrow ones, and behind a semicolon: where the comma is of numbers, a spreadsheet takes that for
// the end of a cell, within quotes that began before it too. What can't be seen is written out.
func inert(s string) string { return formula.ReplaceAllString(inline(s), "$1'$2") }

var formula = regexp.MustCompile("(^[ \u00a0\u3000]*|;[ \u00a0\u3000\"]*)([=+@＝＋－＠-])")
