package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever went before through the same Form, a record is written as encoding/json writes it.
func TestFormIsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Form
		var s stamp
		few := rapid.SliceOfN(records(), 1, 4).Draw(t, "records")
		for range 12 {
			r := *rapid.SampledFrom(few).Draw(t, "record") // often like the one before
			if other := rapid.SampledFrom(few).Draw(t, "other"); rapid.Bool().Draw(t, "mixed") {
				mix(t, &r, other)
			}
			r.Time = r.Time.Add(time.Duration(rapid.SampledFrom([]int64{0, 1, 10, 1e3, 1e6, 1e9, 123456789}).Draw(t, "later")))
			want, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			f.Details = f.Details[:0]
			if rapid.Bool().Draw(t, "as details") {
				for _, name := range slices.Sorted(maps.Keys(r.Detail)) {
					f.Details = append(f.Details, Detail{name, r.Detail[name]})
				}
				r.Detail = nil
			}
			f.write(&r)
			got, err := f.leaf([]byte("before"), &r, &s)
			if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Fatalf("a Form wrote %s (%v)\nwant %s", got, err, want)
			}
			for _, list := range [][]string{r.Kinds, r.Rules, r.Chain} { // the caller uses its lists again
				for i := range list {
					list[i] += "?"
				}
			}
			few = append(few, &r)
		}
	})
}

// mix takes one field of other over.
func mix(t *rapid.T, r, other *Record) {
	r.Chain, r.Kinds, r.Rules = slices.Clone(r.Chain), slices.Clone(r.Kinds), slices.Clone(r.Rules)
	rapid.SampledFrom([]func(){
		func() { r.Type = other.Type }, func() { r.Actor = other.Actor }, func() { r.Subject = other.Subject },
		func() { r.Chain = slices.Clone(other.Chain) }, func() { r.Person = other.Person }, func() { r.Session = other.Session },
		func() { r.Gate = other.Gate }, func() { r.Resource = other.Resource }, func() { r.Env = other.Env },
		func() { r.Kinds = slices.Clone(other.Kinds) }, func() { r.Verb = other.Verb }, func() { r.Target = other.Target },
		func() { r.Title = other.Title }, func() { r.Shape = other.Shape }, func() { r.Digest = other.Digest },
		func() { r.Decision = other.Decision }, func() { r.Rules = slices.Clone(other.Rules) }, func() { r.Policy = other.Policy },
		func() { r.Approval = other.Approval }, func() { r.About = other.About }, func() { r.Revision = other.Revision + 1 },
		func() { r.Grant = other.Grant }, func() { r.Outcome = other.Outcome }, func() { r.Rows = other.Rows },
	}).Draw(t, "field")()
}

// A Form compares every field that it takes over: none is missing in fits.
func TestFormComparesEachField(t *testing.T) {
	rows := int64(1)
	base := Record{
		Type: "a", Actor: "a", Subject: "a", Chain: []string{"a"}, Person: "a", Session: "a", Gate: "a", Resource: "a", Env: "a",
		Kinds: []string{"a"}, Verb: "a", Target: "a", Title: "a", Shape: "a", Digest: "a", Decision: "a", Rules: []string{"a"}, Policy: "a",
		Approval: "a", About: "a", Revision: 1, Grant: "a", Outcome: "a", Rows: &rows, Findings: map[string]int64{"a": 1},
		Masked: map[string]int64{"a": 1}, Detail: map[string]string{"a": "a"}, Previous: 1,
	}
	var all map[string]json.RawMessage
	text, _ := json.Marshal(base)
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 30 {
		t.Fatalf("a record has %d fields: this test, and fits, know of 30", len(all))
	}
	for name, value := range all {
		if name == "index" || name == "time" {
			continue
		}
		changed := maps.Clone(all)
		changed[name] = json.RawMessage(strings.NewReplacer(`"a"`, `"b"`, "1", "2", `"a":1`, `"a":2`).Replace(string(value)))
		one, _ := json.Marshal(changed)
		var other Record
		if err := json.Unmarshal(one, &other); err != nil {
			t.Fatal(name, err)
		}
		want, _ := json.Marshal(other)
		var f Form
		f.write(&base)
		f.write(&other)
		if got, err := f.leaf(nil, &other, &stamp{}); err != nil || string(got) != string(want) || string(want) == string(text) {
			t.Errorf("%s changed: a Form wrote %s (%v)\nwant %s", name, got, err, want)
		}
	}
}

// What is too large is cut as without a Form, and a Form keeps nothing large.
func TestFormOfALargeRecord(t *testing.T) {
	long := strings.Repeat("x", MaxLeaf)
	var f Form
	f.Details = []Detail{{"other", "short"}, {"statement", long}}
	r := Record{Type: TypeRequest, Time: time.Unix(0, 0).UTC()}
	f.write(&r)
	got, err := f.leaf(nil, &r, &stamp{})
	r.Detail = map[string]string{"other": "short", "statement": long}
	want, _, werr := leafOf(nil, &r)
	if err != nil || werr != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d, %v", len(got), err, len(want), werr)
	}
	if f.forget(); cap(f.body)+cap(f.head) > maxForm {
		t.Errorf("%d bytes are kept", cap(f.body)+cap(f.head))
	}
}

func TestStampRefusesYears(t *testing.T) {
	if _, err := (&stamp{}).append(nil, 1, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("a time that RFC 3339 can't write was written")
	}
}

func TestAppendLike(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, SpoolOptions{Dir: dir})
	var f Form
	for i := range 50 {
		f.Details = append(f.Details[:0], Detail{"n", fmt.Sprint(i)})
		if seq, err := s.AppendLike(&Record{Type: TypeRequest, Verb: "select"}, &f); err != nil || seq != int64(i) {
			t.Fatal(seq, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := ReadSpool(dir, func(seq int64, leaf []byte) error {
		var r Record
		if err := json.Unmarshal(leaf, &r); err != nil || r.Index != seq || r.Verb != "select" || r.Detail["n"] != fmt.Sprint(seq) || r.Time.IsZero() {
			t.Errorf("%s: %v", leaf, err)
		}
		n++
		return nil
	}); err != nil || n != 50 {
		t.Errorf("%d records, %v", n, err)
	}
}
