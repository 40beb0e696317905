package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Report is what `assent policy check` and `assent policy test` say.
type Report struct {
	OK        bool         `json:"ok"`
	Bundle    string       `json:"bundle,omitempty"`
	Packs     []string     `json:"packs,omitempty"`
	Rules     int          `json:"rules"`
	Errors    []*Error     `json:"errors,omitempty"`
	Warnings  []*Error     `json:"warnings,omitempty"`
	Tests     []TestResult `json:"tests,omitempty"`
	Survivors []Survivor   `json:"survivors,omitempty"`
	Cover     []Covered    `json:"cover,omitempty"`
}

// Trials say how packs are tested.
type Trials struct {
	Strict bool // warnings are errors
	Mutate Mutate
	Cover  bool
	Now    time.Time // zero: now
}

// Mutate says which changes of rules some test must notice.
type Mutate uint8

// MutateRules drops each rule in turn; MutateEverything changes each a little at a time too.
const (
	MutateNothing Mutate = iota
	MutateRules
	MutateEverything
)

// Check loads packs and looks for rules that no test reaches; strict makes
// those errors. It runs the tests to know, and a test that fails is an error too.
func Check(paths []string, strict bool) Report { return Try(paths, Trials{Strict: strict}) }

// CheckMutants is Check, and drops each rule in turn: one that no test misses is an error.
func CheckMutants(paths []string, strict bool) Report {
	return Try(paths, Trials{Strict: strict, Mutate: MutateRules})
}

// Try loads packs and tests them.
func Try(paths []string, t Trials) Report {
	s, err := LoadPaths(paths, Options{})
	if err != nil {
		var list Errors
		if !errors.As(err, &list) {
			list = Errors{{File: strings.Join(paths, ", "), Msg: err.Error()}}
		}
		return Report{Errors: list}
	}
	return s.Try(t)
}

// Report tests s. See Check and CheckMutants.
func (s *Set) Report(strict, mutate bool) Report {
	t := Trials{Strict: strict}
	if mutate {
		t.Mutate = MutateRules
	}
	return s.Try(t)
}

// Try tests s.
func (s *Set) Try(t Trials) Report {
	r := Report{Bundle: s.Bundle(), Packs: s.Packs(), Rules: len(s.rules), Tests: s.Test()}
	if t.Now.IsZero() {
		t.Now = time.Now()
	}
	r.Warnings = slices.Concat(s.unreached(r.Tests), s.forgotten(t.Now), s.idle(), s.strange())
	if t.Strict {
		r.Errors, r.Warnings = r.Warnings, nil
	}
	if t.Cover {
		r.Cover = s.Cover()
	}
	r.OK = len(r.Errors) == 0
	for _, x := range r.Tests {
		r.OK = r.OK && x.Passed
	}
	if t.Mutate == MutateNothing || !r.OK {
		return r
	}
	if t.Mutate == MutateRules {
		r.Survivors = s.Mutate()
	} else if all, err := s.MutateAll(); err != nil {
		r.Errors = append(r.Errors, &Error{File: "mutate", Msg: err.Error()})
	} else {
		r.Survivors = all
	}
	r.OK = len(r.Survivors)+len(r.Errors) == 0
	return r
}

// unreached are the rules that no test of their pack matches.
func (s *Set) unreached(tests []TestResult) []*Error {
	reached := map[[2]string]bool{}
	for _, t := range tests {
		for _, id := range t.Rules {
			reached[[2]string{t.Pack, id}] = true
		}
	}
	var out []*Error
	for _, r := range s.rules {
		if r.mode != off && !reached[[2]string{r.pack, r.id}] {
			out = append(out, r.at.error(fmt.Sprintf("no test reaches the rule '%s'", r.id), "add one under `tests`"))
		}
	}
	return out
}

// forgotten are the shadow modes that ended, or end so late that nobody will remember them.
func (s *Set) forgotten(now time.Time) (out []*Error) {
	const long = 366 * 24 * time.Hour
	for _, r := range s.rules {
		if r.mode != shadow {
			continue
		}
		last := r.until.AddDate(0, 0, -1).Format(time.DateOnly)
		switch {
		case !now.Before(r.until) && r.then == thenAllow:
			out = append(out, r.untilAt.error(fmt.Sprintf("the shadow mode of '%s' ended on %s, and it permits nothing still", r.id, last), "take `mode` and `until` out for it to permit, or take the rule out"))
		case !now.Before(r.until):
			out = append(out, r.untilAt.error(fmt.Sprintf("the shadow mode of '%s' ended on %s: it acts since", r.id, last), "take `mode` and `until` out, or name a later day for it to watch again"))
		case r.until.Sub(now) > long:
			out = append(out, r.untilAt.error(fmt.Sprintf("'%s' only watches until %s, more than a year from now", r.id, last), "name a day within a year, on which somebody looks at what it would have done"))
		}
	}
	return out
}

// idle are the conditions that are the same for every action.
func (s *Set) idle() (out []*Error) {
	for _, r := range s.rules {
		switch {
		case r.mode == off || r.when == nil:
		case r.broad:
			out = append(out, r.at.error(fmt.Sprintf("'%s' permits each of the actions that were tried, of every kind: its condition seems to hold always", r.id), "say under `match` what it permits"))
		case r.when.blind == Yes:
			out = append(out, r.at.error(fmt.Sprintf("the condition of '%s' always holds", r.id), "leave `when` out, or let it ask for a fact"))
		case r.when.blind == No:
			out = append(out, r.at.error(fmt.Sprintf("the condition of '%s' never holds, so the rule does nothing", r.id), "let it ask for a fact, or say `mode: off`"))
		}
	}
	return out
}

// strange are environments in letters that another may be taken for: PROD, or prod in Cyrillic.
func (s *Set) strange() (out []*Error) {
	for _, r := range s.rules {
		l := r.line("env")
		if r.mode == off || l == nil {
			continue
		}
		for _, v := range l.values {
			if !validName(v) {
				out = append(out, r.at.error(fmt.Sprintf("the rule '%s' is for the environment %s, which is compared letter by letter", r.id, strconv.QuoteToASCII(v)), "name it as the configuration of the gates does: lower-case letters are the custom"))
			}
		}
	}
	return out
}

// Human is the report for a terminal. It ends in one line that sums it up.
func (r Report) Human() string {
	var b strings.Builder
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "error: %s\n", e)
	}
	for _, e := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", e)
	}
	failed := 0
	for _, t := range r.Tests {
		if t.Passed {
			fmt.Fprintf(&b, "ok    %s: %s\n", t.Pack, printable(t.Test))
			continue
		}
		failed++
		fmt.Fprintf(&b, "FAIL  %s: %s\n      %s:%d: %s\n      matched: %s\n",
			t.Pack, printable(t.Test), t.File, t.Line, plain(strings.Join(t.Failures, "; ")), namesOf(t.Pack, t.Rules))
	}
	for _, m := range r.Survivors {
		fmt.Fprintf(&b, "survives  %s\n", m)
	}
	humanCover(&b, r.Cover)
	if r.Bundle == "" {
		fmt.Fprintf(&b, "%s, nothing loaded\n", plural(len(r.Errors), "error"))
		return b.String()
	}
	fmt.Fprintf(&b, "%s, %s, %s (%d failed), %s, %s\nbundle %s\n",
		plural(len(r.Packs), "pack"), plural(r.Rules, "rule"), plural(len(r.Tests), "test"), failed,
		plural(len(r.Errors), "error"), plural(len(r.Warnings), "warning")+survived(len(r.Survivors)), r.Bundle)
	return b.String()
}

func survived(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", 1 change of a rule that no test notices"
	}
	return fmt.Sprintf(", %d changes of rules that no test notices", n)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// JSON is the report as one JSON document.
func (r Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	return append(b, '\n'), nil
}
