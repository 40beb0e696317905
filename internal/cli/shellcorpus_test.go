package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/assenthq/assent/internal/cli"
)

// Every valid and not debatable command of the corpus, through the command: the
// built-in pack's verdict is as the level says.
func TestShellCorpus(t *testing.T) {
	files := []string{"../classify/shell/testdata/corpus.jsonl"}
	if f := os.Getenv("ASSENT_SHELL_CORPUS"); f != "" {
		files = append(files, f)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if status := cli.Main([]string{"classify", "shell", "--json"}, bytes.NewReader(text), &out, &errs); status != 0 {
			t.Fatalf("status %d: %s", status, errs.String())
		}
		answers := bufio.NewScanner(&out)
		right, total := 0, 0
		for _, line := range lines(text) {
			var l label
			var a answer
			if err := json.Unmarshal(line, &l); err != nil || !answers.Scan() {
				t.Fatalf("%s: %v", line, err)
			}
			if err := json.Unmarshal(answers.Bytes(), &a); err != nil || a.ID != l.ID {
				t.Fatalf("the answer to %s is %s (%v)", l.ID, answers.Bytes(), err)
			}
			if !l.Valid || l.Debatable {
				continue
			}
			total++
			problem := l.kinds(&a)
			if ok := map[string]bool{"allow": a.Verdict == "allow", "review": a.Verdict == "review", "deny-or-review": a.Verdict != "allow"}[l.Level]; !ok {
				problem += " level " + l.Level + ", verdict " + a.Verdict
			}
			if problem != "" {
				t.Errorf("%s: %s, have %v %q", line, problem, a.Kinds, a.Why)
				continue
			}
			right++
		}
		t.Logf("%s: %d of %d", file, right, total)
		if total < 150 {
			t.Errorf("%s: only %d commands were checked", file, total)
		}
	}
}
