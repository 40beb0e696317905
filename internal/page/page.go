// Package page writes reports as one HTML file that needs nothing else: no script, no
// font, no address elsewhere, and a content security policy of its own that allows its
// one style sheet by its hash. It is readable light, dark and printed. Callers escape
// text with Esc; what they hand to plots is escaped there.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"strings"
)

// Esc makes text harmless in HTML, as content and as a quoted attribute.
func Esc(s string) string { return html.EscapeString(s) }

// Begin writes the page up to its first heading, which is the title.
func Begin(b *strings.Builder, title, heading string) {
	sum := sha256.Sum256([]byte(css))
	fmt.Fprintf(b, `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'"><meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer"><title>%s</title><style>%s</style></head><body><main><h1>%s</h1>`,
		base64.StdEncoding.EncodeToString(sum[:]), Esc(title), css, Esc(heading))
}

// End closes the page.
func End(b *strings.Builder) { b.WriteString("</main></body></html>\n") }

// Key explains the colours of a plot: the names are classes of the style sheet.
func Key(b *strings.Builder, names ...string) {
	b.WriteString(`<p class="key">`)
	for _, n := range names {
		fmt.Fprintf(b, `<i class="%s"></i> %s `, Esc(n), Esc(n))
	}
	b.WriteString(`</p>`)
}

// A Bar is one bar of a plot, of parts that are stacked.
type Bar struct {
	Name  string
	Parts []int64 // one for each class
}

func (r *Bar) sum() (n int64) {
	for _, p := range r.Parts {
		n += p
	}
	return n
}

func most(bars []Bar) int64 {
	m := int64(1)
	for i := range bars {
		m = max(m, bars[i].sum())
	}
	return m
}

// Columns draws bars side by side, as over time. label says what it shows to who can't see it.
func Columns(b *strings.Builder, label string, classes []string, bars []Bar) {
	top := most(bars)
	fmt.Fprintf(b, `<svg viewBox="0 0 640 190" role="img" aria-label="%s"><line x1="40" y1="20" x2="640" y2="20" class="grid"/><line x1="40" y1="90" x2="640" y2="90" class="grid"/><line x1="40" y1="160" x2="640" y2="160"/><text x="34" y="24" text-anchor="end">%d</text><text x="34" y="164" text-anchor="end">0</text>`, Esc(label), top)
	step := 600 / float64(max(len(bars), 1))
	width := min(step*.8, 60)
	for i := range bars {
		y := 160.0
		for k, n := range bars[i].Parts {
			h := 140 * float64(n) / float64(top)
			if n == 0 {
				continue
			}
			y -= h
			fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s, %s: %d</title></rect>`,
				Esc(classes[k]), 40+float64(i)*step+(step-width)/2, y, width, h, Esc(bars[i].Name), Esc(classes[k]), n)
		}
		if n := len(bars); n <= 8 || i == 0 || i == n-1 || i == n/2 {
			anchor, x := "middle", 40+(float64(i)+.5)*step
			if n > 8 && i == 0 {
				anchor, x = "start", 40
			} else if n > 8 && i == n-1 {
				anchor, x = "end", 640
			}
			fmt.Fprintf(b, `<text x="%.1f" y="178" text-anchor="%s">%s</text>`, x, anchor, Esc(bars[i].Name))
		}
	}
	b.WriteString(`</svg>`)
}

// Rows draws bars one under the other, with their names and sums.
func Rows(b *strings.Builder, label string, classes []string, bars []Bar) {
	top, height := most(bars), 24*len(bars)+6
	fmt.Fprintf(b, `<svg viewBox="0 0 640 %d" role="img" aria-label="%s">`, height, Esc(label))
	for i := range bars {
		x := 180.0
		fmt.Fprintf(b, `<text x="172" y="%d" text-anchor="end">%s</text>`, 24*i+17, Esc(cut(bars[i].Name, 26)))
		for k, n := range bars[i].Parts {
			w := 400 * float64(n) / float64(top)
			if n == 0 {
				continue
			}
			fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="16"><title>%s, %s: %d</title></rect>`, Esc(classes[k]), x, 24*i+4, w, Esc(bars[i].Name), Esc(classes[k]), n)
			x += w
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%d</text>`, x+6, 24*i+17, bars[i].sum())
	}
	b.WriteString(`</svg>`)
}

// cut shortens a name to so many runes.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

const css = `:root{color-scheme:light dark;--deny:#c0392b;--review:#d99000;--allow:#2e8b57;--before:#8a94a6;--after:#3b6fd4}
body{font:15px/1.5 system-ui,sans-serif;margin:0}main{max-width:60rem;margin:0 auto;padding:1.5rem}
h1{line-height:1.2}h2{margin-top:2.2rem}h3{margin:1.6rem 0 .2rem}
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:currentColor}svg line{stroke:currentColor;opacity:.4}svg line.grid{opacity:.12}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid color-mix(in srgb,currentColor 20%,transparent);overflow-wrap:anywhere}.n{text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th,.nowrap{white-space:nowrap}code{font-size:.86em;overflow-wrap:anywhere}small,.faint{opacity:.75}
.deny{fill:var(--deny)}.review{fill:var(--review)}.allow{fill:var(--allow)}.before{fill:var(--before)}.after{fill:var(--after)}.approved{fill:var(--allow)}.denied{fill:var(--deny)}.decided{fill:var(--after)}.exceptions{fill:var(--deny)}
td.deny{color:var(--deny)}td.review{color:var(--review)}td.allow{color:var(--allow)}
.bad{color:var(--deny);font-weight:600}.good{color:var(--allow);font-weight:600}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;padding:0;list-style:none}.tiles li{flex:1 1 8rem;border:1px solid color-mix(in srgb,currentColor 20%,transparent);border-radius:.5rem;padding:.5rem .9rem}.tiles b{display:block;font-size:1.7rem;line-height:1.2;font-variant-numeric:tabular-nums}
.note{border-left:.25rem solid var(--before);padding:.1rem .9rem;margin:1rem 0}.note.bad{border-color:var(--deny)}
.key i{display:inline-block;width:.8em;height:.8em;margin-left:1em}.key i:first-child{margin-left:0}.key .deny,.key .denied{background:var(--deny)}.key .review{background:var(--review)}.key .allow,.key .approved{background:var(--allow)}.key .before{background:var(--before)}.key .after{background:var(--after)}
@media(prefers-color-scheme:dark){:root{--deny:#ff7b6b;--review:#ffc14d;--allow:#5fd08f;--before:#9aa4b6;--after:#7aa7ff}}
@media print{:root{color-scheme:light;--deny:#c0392b;--review:#b07400;--allow:#2e8b57;--before:#8a94a6;--after:#3b6fd4}body{font-size:10pt}main{max-width:none;padding:0}section,svg,tr,.tiles{break-inside:avoid}h2,h3{break-after:avoid}*{print-color-adjust:exact}}`
