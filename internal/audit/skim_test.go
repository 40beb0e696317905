package audit

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// skimIsUnmarshal fails where s reads something else than encoding/json does.
func skimIsUnmarshal(t interface{ Fatalf(string, ...any) }, s *Skim, leaf []byte) {
	var want Record
	werr := json.Unmarshal(leaf, &want)
	want.Rows, want.Detail = nil, nil
	got, err := s.Read(leaf)
	if (err == nil) != (werr == nil) || err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\nis read as %+v (%v)\nwant       %+v (%v)", leaf, got, err, want, werr)
	}
}

func TestSkimIsUnmarshal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Skim
		few := rapid.SliceOfN(records(), 1, 4).Draw(t, "records")
		for range 12 {
			r := *rapid.SampledFrom(few).Draw(t, "record")
			if rapid.Bool().Draw(t, "nothing found") {
				r.Findings, r.Masked = nil, nil
			}
			if rapid.Bool().Draw(t, "mixed") {
				mix(t, &r, rapid.SampledFrom(few).Draw(t, "other"))
			}
			if rapid.Bool().Draw(t, "named like fields") {
				r.Detail = map[string]string{"previous": `,"previous":7}`, "masked": `,"masked":{`, "rows": "1", "detail": `,"detail":{`}
			}
			r.Previous = rapid.Int64().Draw(t, "previous")
			r.Index = max(r.Index, 0)
			leaf, _, err := leafOf(nil, &r)
			if err != nil {
				t.Fatal(err)
			}
			skimIsUnmarshal(t, &s, leaf)
		}
	})
}

// It remembers so much and no more.
func TestSkimForgets(t *testing.T) {
	var s Skim
	for i := range 3 * maxSkim {
		leaf, _, err := leafOf(nil, &Record{Type: TypeRequest, Time: time.Unix(1, 0).UTC(), Session: time.Duration(i).String()})
		if err != nil {
			t.Fatal(err)
		}
		skimIsUnmarshal(t, &s, leaf)
		skimIsUnmarshal(t, &s, leaf)
	}
	if len(s.heads) > maxSkim {
		t.Errorf("%d heads are remembered", len(s.heads))
	}
}

// A leaf comes from a file: whatever it holds, nothing panics, and what was written by us is read as it is.
func FuzzSkim(f *testing.F) {
	f.Add([]byte(`{"index":1,"time":"2026-11-22T10:00:00.5Z","type":"request","actor":"a","detail":{"statement":"x"},"previous":3}`))
	f.Add([]byte(`{"index":1,"time":"x","type":"request","rows":1}`))
	f.Add([]byte(`,"type":,"previous":}`))
	var s Skim
	_, _ = s.Read([]byte(`{"index":1,"time":"2026-11-22T10:00:00.5Z","type":"request","actor":"a","detail":{"statement":"x"},"previous":3}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		var r Record
		_, _ = s.Read(leaf)
		if json.Unmarshal(leaf, &r) != nil || r.Time.Location() != time.UTC || r.Index < 0 {
			return
		}
		own, _, err := leafOf(nil, &r)
		if err != nil {
			return
		}
		skimIsUnmarshal(t, &s, own)
		skimIsUnmarshal(t, &s, own)
	})
}

func BenchmarkSkim(b *testing.B) {
	var leaves [][]byte
	for i := range 16 {
		r := &Record{
			Type: TypeRequest, Index: 123456, Time: time.UnixMicro(1e15 + 123456).UTC(), Actor: "agent:worker", Subject: "person:dana", Chain: []string{"agent:worker"},
			Session: time.Duration(i % 8).String(), Gate: "shop", Resource: "postgres:shop/postgres", Env: "test", Kinds: []string{"data.read"}, Decision: "allow",
			Detail: map[string]string{"statement": "SELECT abalance FROM pgbench_accounts WHERE aid = 7"},
		}
		if i > 7 {
			rows := int64(1)
			r.Type, r.Previous, r.Rows = TypeOutcome, 4711, &rows
		}
		leaf, _, err := leafOf(nil, r)
		if err != nil {
			b.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	var s Skim
	for i := 0; b.Loop(); i++ {
		if _, err := s.Read(leaves[i%16]); err != nil {
			b.Fatal(err)
		}
	}
}
