package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// tell writes the story; several goroutines may speak.
type tell struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	n      int
}

func (t *tell) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// step opens a numbered step: what the agent does.
func (t *tell) step(format string, args ...any) {
	t.mu.Lock()
	t.n++
	n := t.n
	t.mu.Unlock()
	t.line("")
	t.line("%s %s", t.paint("1;34", fmt.Sprintf("%d.", n)), t.paint("1", fmt.Sprintf(format, args...)))
}

func (t *tell) sql(text string) { t.line("   %s", t.paint("2", text)) }

func (t *tell) good(format string, args ...any) {
	t.line("   %s %s", t.paint("32", "✓"), fmt.Sprintf(format, args...))
}

func (t *tell) held(format string, args ...any) {
	t.line("   %s %s", t.paint("33", "‖"), fmt.Sprintf(format, args...))
}

func (t *tell) refused(format string, args ...any) {
	t.line("   %s %s", t.paint("31", "✗"), fmt.Sprintf(format, args...))
}

func (t *tell) fail(err error) {
	t.line("")
	t.line("   %s this step came out otherwise than told: %v", t.paint("1;31", "!"), err)
}

func (t *tell) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// table prints a few rows in columns.
func (t *tell) table(head []string, rows [][]string) {
	width := make([]int, len(head))
	for _, r := range append([][]string{head}, rows...) {
		for i, v := range r {
			width[i] = max(width[i], len([]rune(v)))
		}
	}
	for n, r := range append([][]string{head}, rows...) {
		var b strings.Builder
		for i, v := range r {
			b.WriteString(v + strings.Repeat(" ", width[i]-len([]rune(v))+2))
		}
		text := strings.TrimRight(b.String(), " ")
		if n == 0 {
			text = t.paint("2", text)
		}
		t.line("     %s", text)
	}
}

func onNotice(f func(string)) pgconn.NoticeHandler {
	return func(_ *pgconn.PgConn, n *pgconn.Notice) {
		text := n.Message
		if n.Hint != "" {
			text += " — " + n.Hint
		}
		f(text)
	}
}
