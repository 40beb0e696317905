package cli

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
)

// What agents wrote is text in every spreadsheet, and comes back as it was.
func TestCSVHoldsNoFormula(t *testing.T) {
	hostile := []string{
		`=HYPERLINK("http://evil","x")`, "+1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "  =1", "\t=1", "\r=1", "\n=1", "＝1", "＠x", "\u00a0=1", "\u3000+1",
		`a "quoted", one`, "two\nlines", "esc\x1b[2J", "turned\u202e", "plain",
		"x;=1+1;", `x; "=1";`, "a;b;+1",
	}
	var list []*laneRecord
	for i, s := range hostile {
		list = append(list, &laneRecord{"", client.Record{Index: int64(i), Time: time.Unix(1800000000, 5000).UTC(), Type: "request", Title: s, Kinds: []string{s}, Detail: map[string]string{"statement": s}, Findings: map[string]int64{"email": 2, "card": 1}}})
	}
	var out bytes.Buffer
	if err := writeCSV(&out, slices.All(list)); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != len(hostile)+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	title := slices.Index(rows[0], "title")
	for i, row := range rows[1:] {
		for k, cell := range row {
			if strings.IndexAny(strings.Trim(cell, " \u00a0\u3000"), "=+-@＝＋－＠\t\r\n") == 0 || strings.ContainsAny(cell, "\x1b\u202e\n") {
				t.Errorf("%s of %q is %q", rows[0][k], hostile[i], cell)
			}
		}
		if want := strings.ReplaceAll(row[title], "'", ""); want != strings.ReplaceAll(inline(hostile[i]), "'", "") {
			t.Errorf("%q became %q", hostile[i], row[title])
		}
	}
	// As a spreadsheet reads it where the semicolon ends a cell.
	for cell := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if strings.IndexAny(strings.TrimLeft(cell, " \u00a0\u3000\""), "=+-@＝＋－＠") == 0 {
			t.Errorf("behind a semicolon: %q", cell)
		}
	}
	if f := rows[1][slices.Index(rows[0], "findings")]; f != "card=1 email=2" {
		t.Errorf("findings %q", f)
	}
}
