package controls

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/text/encoding/charmap"

	"github.com/assenthq/assent/internal/page"
	"github.com/assenthq/assent/internal/show"
)

// mostPrinted is how many exceptions of one kind the summary lists.
const mostPrinted = 12

// PDF is a summary of the result on A4: what was read, decisions over time, each control
// in a line, and of each kind the first exceptions. Its fonts are the ones that every reader of PDF has, which
// know the letters of Windows-1252 (western European languages); any other letter is written
// as its number, \u{65e5}. The same result and time give the same bytes.
func (r *Result) PDF(now time.Time, software string) ([]byte, error) {
	f := fpdf.New("P", "mm", "A4", "")
	f.SetCreationDate(now.UTC())
	f.SetModificationDate(now.UTC())
	f.SetCatalogSort(true)
	f.SetTitle("What the log shows of controls", false)
	f.SetProducer("assent "+western(software), false)
	f.SetMargins(18, 16, 18)
	f.SetAutoPageBreak(true, 18)
	f.SetFooterFunc(func() {
		f.SetY(-13)
		f.SetFont("Helvetica", "", 8)
		f.SetTextColor(110, 110, 110)
		f.CellFormat(0, 5, fmt.Sprintf("%s UTC, assent %s, page %d", now.UTC().Format(time.DateTime), western(software), f.PageNo()), "", 0, "C", false, 0, "")
		f.SetTextColor(0, 0, 0)
	})
	f.AddPage()
	w := &pdfWriter{f}
	w.head(r)
	w.plot(r)
	w.controls(r)
	w.exceptions(r)
	var b bytes.Buffer
	if err := f.Output(&b); err != nil {
		return nil, fmt.Errorf("writing a PDF: %w", err)
	}
	return b.Bytes(), nil
}

// western is foreign text in Windows-1252, which the standard fonts have: one line, and letters
// that they lack as their numbers.
func western(s string) string {
	var b strings.Builder
	for _, c := range show.Plain(s, 400) {
		if e, ok := charmap.Windows1252.EncodeRune(c); ok && e >= ' ' && e != 0x7f {
			b.WriteByte(e)
		} else {
			fmt.Fprintf(&b, `\u{%x}`, c)
		}
	}
	return b.String()
}

type pdfWriter struct{ f *fpdf.Fpdf }

func (w *pdfWriter) heading(text string) {
	if w.f.GetY() > 240 {
		w.f.AddPage()
	}
	w.f.Ln(4)
	w.f.SetFont("Helvetica", "B", 13)
	w.f.CellFormat(0, 8, western(text), "", 1, "L", false, 0, "")
	w.f.SetFont("Helvetica", "", 10)
}

func (w *pdfWriter) line(text string) { w.f.MultiCell(0, 5, western(text), "", "L", false) }

// red and green are what the page has for them, in print.
func (w *pdfWriter) red()   { w.f.SetTextColor(192, 57, 43) }
func (w *pdfWriter) green() { w.f.SetTextColor(46, 139, 87) }
func (w *pdfWriter) black() { w.f.SetTextColor(0, 0, 0) }

func (w *pdfWriter) head(r *Result) {
	w.f.SetFont("Helvetica", "B", 18)
	w.f.CellFormat(0, 11, "What the log shows of controls", "", 1, "L", false, 0, "")
	w.f.SetFont("Helvetica", "", 10)
	if r.Records == 0 {
		w.line("No record of the period.")
	} else {
		w.line(fmt.Sprintf("%s to %s UTC: records %d to %d of the log, %d of the traffic.", r.From.UTC().Format("2006-01-02 15:04"), r.To.UTC().Format("2006-01-02 15:04"), r.First, r.End-1, r.Traffic))
	}
	w.line("Read from " + r.Source + ".")
	if len(r.Verified) == 0 {
		w.red()
		w.line("Not verified: the records are as the data directory has them. assent verify proves them, or a bundle of evidence.")
	}
	for _, l := range r.Verified {
		if strings.Contains(l, "OWN KEY ONLY") || strings.HasPrefix(l, "CONTRADICTED") {
			w.red()
		}
		w.line(l)
		w.black()
	}
	w.black()
	if r.Earlier > 0 {
		w.line(fmt.Sprintf("%d rest on records from before the period, and could not be judged.", r.Earlier))
	}
	v := r.Stats.Verdicts
	w.f.Ln(2)
	w.line(fmt.Sprintf("%d requests decided: %d allowed, %d held for people, %d denied. Exceptions: %d.", v[0]+v[1]+v[2], v[2], v[1], v[0], r.Count()))
	if r.Stats.P90 > 0 {
		w.line(fmt.Sprintf("Half of what people decided within %s, nine of ten within %s; %d ended without anybody's decision.", seconds(r.Stats.Median), seconds(r.Stats.P90), r.Stats.Undecided))
	}
	w.line("Whether a control is met is for the auditor to say.")
}

// plot draws requests over time by verdict.
func (w *pdfWriter) plot(r *Result) {
	columns, unit := r.Stats.columns()
	if len(columns) == 0 {
		return
	}
	w.heading("Decisions over time")
	const left, width, height = 18.0, 174.0, 40.0
	top := w.f.GetY() + 1
	most := int64(1)
	sum := func(b *page.Bar) int64 { return b.Parts[0] + b.Parts[1] + b.Parts[2] }
	for i := range columns {
		most = max(most, sum(&columns[i]))
	}
	step := width / float64(len(columns))
	colours := [3][3]int{{192, 57, 43}, {217, 144, 0}, {46, 139, 87}}
	for i := range columns {
		y := top + height
		for k, n := range columns[i].Parts {
			h := height * float64(n) / float64(most)
			y -= h
			w.f.SetFillColor(colours[k][0], colours[k][1], colours[k][2])
			if n > 0 {
				w.f.Rect(left+float64(i)*step+step*.1, y, min(step*.8, 14), h, "F")
			}
		}
	}
	w.f.SetDrawColor(150, 150, 150)
	w.f.Line(left, top+height, left+width, top+height)
	w.f.SetY(top + height + 1)
	w.f.SetFont("Helvetica", "", 8)
	w.f.CellFormat(width/2, 4, columns[0].Name, "", 0, "L", false, 0, "")
	w.f.CellFormat(width/2, 4, columns[len(columns)-1].Name, "", 1, "R", false, 0, "")
	w.f.CellFormat(0, 4, fmt.Sprintf("Requests each %s, %d at most; from below: denied, held, allowed.", unit, most), "", 1, "L", false, 0, "")
	w.f.SetFont("Helvetica", "", 10)
}

func (w *pdfWriter) controls(r *Result) {
	framework := ""
	for i := range r.Controls {
		c := &r.Controls[i]
		if c.Framework != framework {
			framework = c.Framework
			w.heading(framework)
		}
		w.row([]string{c.ID, c.Name, c.Verdict()}, c.Exceptions > 0, len(c.Tests) > 0)
	}
}

// row is a control: its id and name, and what was found, in colour.
func (w *pdfWriter) row(cells []string, bad, looked bool) {
	widths := []float64{16, 104, 54}
	lines := 1
	for i, c := range cells {
		lines = max(lines, len(w.f.SplitLines([]byte(western(c)), widths[i])))
	}
	height := 5 * float64(lines)
	if w.f.GetY()+height > 278 {
		w.f.AddPage()
	}
	x, y := 18.0, w.f.GetY()
	for i, c := range cells {
		switch {
		case i == 2 && bad:
			w.red()
		case i == 2 && looked:
			w.green()
		}
		w.f.SetXY(x, y)
		w.f.MultiCell(widths[i], 5, western(c), "", "L", false)
		x += widths[i]
		w.black()
	}
	w.f.SetDrawColor(215, 215, 215)
	w.f.Line(18, y+height+.5, 192, y+height+.5)
	w.f.SetXY(18, y+height+1)
}

func (w *pdfWriter) exceptions(r *Result) {
	w.heading("Exceptions")
	if len(r.Exceptions) == 0 {
		w.line("None.")
		return
	}
	w.line(fmt.Sprintf("Of each kind the first %d; the page (--html) and --json list more.", mostPrinted))
	w.f.SetFont("Helvetica", "", 9)
	printed := map[Test]int{}
	for i := range r.Exceptions {
		e := &r.Exceptions[i]
		if printed[e.Test]++; printed[e.Test] > mostPrinted {
			continue
		}
		mark := "#"
		if e.Lane != "" {
			mark = "~"
		}
		w.line(fmt.Sprintf("%s%d  %s  %s  %s", mark, e.Index, e.Time.UTC().Format(time.DateTime), e.Test, strings.Join(strings.Fields(strings.Join([]string{e.Actor, e.Person, e.Resource, e.Approval}, " ")), " ")+": "+e.What))
	}
}
