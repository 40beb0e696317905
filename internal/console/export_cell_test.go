package console

import (
	"strings"
	"testing"
)

// A spreadsheet that splits at semicolons sees cells where we wrote none.
func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"select 1":                        "select 1",
		"a = b; select -1":                "a = b; select -1",
		"=1+1":                            "'=1+1",
		"@x":                              "'@x",
		" +1":                             " '+1",
		"＝1":                              "'＝1",
		"x;=cmd|'/C calc'!A0":             "x;'=cmd|'/C calc'!A0",
		`x; "" =HYPERLINK("http://evil")`: `x; "" '=HYPERLINK("http://evil")`,
		"x,-2":                            "x,'-2",
		"x\n=1":                           "x⏎=1",
		"x\r\n;\t=1":                      `x\u000d⏎;⇥=1`,
		"\u202egnp":                       `\u202egnp`,
	} {
		if got := cell(in); got != want {
			t.Errorf("%q is written %q, not %q", in, got, want)
		}
	}
	if got := cell(strings.Repeat("x", 2<<20)); len(got) > maxCell+10 {
		t.Errorf("%d bytes in a cell", len(got))
	}
}
