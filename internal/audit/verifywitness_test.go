package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

// cosigner is a witness's key.
func cosigner(t *testing.T, name string) *audit.Cosigner {
	t.Helper()
	key, err := audit.LoadOrCreateKey(filepath.Join(t.TempDir(), "witness.key"), name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := key.Cosigner()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Witnessed is said of what a given witness cosigned, and of nothing else.
func TestVerifyTellsWhoWitnessed(t *testing.T) {
	b := newBench(t)
	b.append(t, 300)
	cp := b.sign(t)
	note := string(b.Checkpoint())
	w, stranger := cosigner(t, "w.example"), cosigner(t, "w.example")
	at := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	b.append(t, 3)
	b.sign(t)
	verify := func(published string) *audit.Report {
		t.Helper()
		file := filepath.Join(b.dir, "witnessed")
		if err := os.WriteFile(file, []byte(published), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{VKeys: b.Verifiers(), HeadFile: b.headFile(), Witnessed: file, Witnesses: []string{w.Verifier()}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	good := note + w.Line(cp.Body(), at)
	r := verify(good)
	if !r.OK() || len(r.Witnesses) != 1 || r.Witnessed.Size != 300 {
		t.Fatalf("%v, %v", r.Problems, r.Witnesses)
	}
	if text := strings.Join(r.Lines, "\n"); !strings.Contains(text, "the first 300 records are witnessed by w.example at 2026-11-22T04:00:00Z") || !strings.Contains(text, "the newest 3 records are not witnessed") {
		t.Error(text)
	}
	for name, published := range map[string]string{"by nobody": note, "by another key of its name": note + stranger.Line(cp.Body(), at)} {
		if r := verify(published); !r.OK() || len(r.Witnesses) != 0 || !strings.Contains(strings.Join(r.Lines, "\n"), "not witnessed") {
			t.Errorf("%s: %v\n%v", name, r.Problems, r.Lines)
		}
	}
	larger := *cp
	larger.Size = 301
	for name, published := range map[string]string{
		"a cosignature at another time": strings.Replace(good, w.Line(cp.Body(), at), flipTime(w.Line(cp.Body(), at)), 1),
		"a cosignature on another size": note + w.Line(larger.Body(), at),
	} {
		if r := verify(published); r.OK() {
			t.Errorf("%s: verified", name)
		}
	}
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if r := verify(string(bad)); r.OK() && len(r.Witnesses) > 0 {
			t.Errorf("byte %d changed, and it counts as witnessed", i)
		}
	}
	// What was published is more than is stored: the log was cut behind its witness.
	cut := newBench(t)
	cut.append(t, 10)
	cut.sign(t)
	was := string(cut.Checkpoint())
	file := filepath.Join(b.dir, "other")
	if err := os.WriteFile(file, []byte(was), 0o600); err != nil {
		t.Fatal(err)
	}
	shorter := audittest.NewMemory()
	rep, err := audit.Verify(t.Context(), shorter, audit.VerifyOptions{VKeys: cut.Verifiers(), Witnessed: file})
	if err != nil || rep.OK() || !strings.Contains(rep.Problems[0].What, "10 were published") {
		t.Errorf("%v, %+v", err, rep)
	}
}

// flipTime changes a character within the time of a cosignature.
func flipTime(line string) string {
	b := []byte(line)
	i := strings.LastIndex(line, " ") + 1 + 14
	if b[i] = 'A'; line[i] == 'A' {
		b[i] = 'B'
	}
	return string(b)
}

// Between two records of a node that are too far apart it was silent, unless it had stopped.
func TestVerifyTellsOfSilence(t *testing.T) {
	b := newBench(t)
	write := func(after time.Duration, r *audit.Record) {
		b.now = b.now.Add(after)
		if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, r) }); err != nil {
			t.Fatal(err)
		}
		b.sign(t)
	}
	state := func(kind, node string) *audit.Record {
		return &audit.Record{Type: kind, Detail: map[string]string{"node": node, "every": "1m0s"}}
	}
	write(0, state(audit.TypeStart, "a"))
	write(0, state(audit.TypeStart, "b"))
	for range 5 {
		write(time.Minute, audit.Heartbeat("a", time.Minute))
	}
	from := b.now
	write(time.Minute, state(audit.TypeStop, "b")) // silent for six minutes before it stopped
	write(4*time.Minute, audit.Heartbeat("a", time.Minute))
	write(time.Hour, state(audit.TypeStop, "a"))
	write(24*time.Hour, state(audit.TypeStart, "a")) // it had stopped: no silence
	write(2*time.Minute, &audit.Record{Type: audit.TypeNotice, Title: `"type":"node.heartbeat"`})
	r := verifyAll(t, b, "")
	if len(r.Silences) != 3 {
		t.Fatalf("%+v", r.Silences)
	}
	if s := r.Silences[1]; s.Node != "a" || !s.From.Equal(from.Truncate(time.Microsecond)) || s.Until.Sub(s.From) != 5*time.Minute || s.After != 6 {
		t.Errorf("%+v", s)
	}
	if !r.OK() || !strings.Contains(strings.Join(r.Lines, "\n"), "gap: node a wrote nothing from") {
		t.Errorf("%v %v", r.Problems, r.Lines)
	}
	write(10*time.Minute, &audit.Record{Type: audit.TypeNotice})
	if r := verifyAll(t, b, ""); len(r.Silences) != 4 || !r.Silences[3].Until.IsZero() {
		t.Errorf("to the end: %+v", r.Silences)
	}
}
