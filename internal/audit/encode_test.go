package audit

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// records makes records of every field, with text that needs every escape.
func records() *rapid.Generator[*Record] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a<b>&c", "\x00\x1f\"\\\b\f\n\r\t\x7f", "\u2028\u2029\ufffd", "\xff\xc0x\xe2\x80", "漢字 🜚"}))
	texts := rapid.SliceOfN(text, 0, 3)
	counts := rapid.MapOfN(text, rapid.Int64(), 0, 20)
	return rapid.Custom(func(t *rapid.T) *Record {
		s := func(name string) string { return text.Draw(t, name) }
		r := &Record{
			Index: rapid.Int64().Draw(t, "index"), Time: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "time")).UTC(), Type: s("type"),
			Actor: s("actor"), Subject: s("subject"), Chain: texts.Draw(t, "chain"), Person: s("person"), Session: s("session"), Gate: s("gate"),
			Resource: s("resource"), Env: s("env"), Kinds: texts.Draw(t, "kinds"), Verb: s("verb"), Target: s("target"), Title: s("title"), Shape: s("shape"),
			Digest: s("digest"), Decision: s("decision"), Rules: texts.Draw(t, "rules"), Policy: s("policy"), Approval: s("approval"), About: s("about"), Grant: s("grant"),
			Outcome: s("outcome"), Findings: counts.Draw(t, "findings"), Masked: counts.Draw(t, "masked"),
			Detail: rapid.MapOfN(text, text, 0, 20).Draw(t, "detail"), Previous: rapid.Int64().Draw(t, "previous"),
		}
		if rapid.Bool().Draw(t, "has rows") {
			n := rapid.Int64().Draw(t, "rows")
			r.Rows = &n
		}
		return r
	})
}

func TestAppendRecordIsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := records().Draw(t, "record")
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := appendRecord([]byte("before"), r)
		if err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Fatalf("appendRecord = %s (%v)\nwant %s", got, err, want)
		}
	})
}

func TestAppendRecordRefusesYears(t *testing.T) {
	r := &Record{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := appendRecord(nil, r); err == nil {
		t.Error("a time that RFC 3339 can't write was written")
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a<b", "\u2028", "\xff", "\"\\\n", "\x7f\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, s); !bytes.Equal(got, want) {
			t.Errorf("%q is written %s, want %s", s, got, want)
		}
	})
}

func TestSpoolAllocatesNothing(t *testing.T) {
	s, err := OpenSpool(SpoolOptions{Dir: t.TempDir(), Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	rows := int64(3)
	r := &Record{Type: TypeOutcome, Actor: "agent:x", Chain: []string{"agent:x"}, Rows: &rows, Masked: map[string]int64{"email": 1, "card": 2}, Detail: map[string]string{"took": "1ms", "statement": "select a < b"}}
	n := testing.AllocsPerRun(5000, func() {
		if _, err := s.Append(r); err != nil {
			t.Fatal(err)
		}
	})
	if n >= 1 { // a new window is spread over many records
		t.Errorf("a record allocates %v times", n)
	}
}
