package controls

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/assenthq/assent/internal/audit"
)

// nist is NIST's own schema.
func nist(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	f, err := os.Open("testdata/oscal-ar-1.1.2.schema.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	// Draft 7 names definitions by "$id": "#name", and the library by their place: the same, said otherwise.
	var whole struct {
		Definitions map[string]struct {
			ID string `json:"$id"`
		}
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	said := string(text)
	for name, d := range whole.Definitions {
		if d.ID == "" {
			continue
		}
		id, err := json.Marshal(d.ID)
		if err != nil {
			t.Fatal(err)
		}
		place, err := json.Marshal("#/definitions/" + name)
		if err != nil {
			t.Fatal(err)
		}
		said = regexp.MustCompile(`"\$id"\s*:\s*`+regexp.QuoteMeta(string(id))+`\s*,`).ReplaceAllString(said, "")
		said = regexp.MustCompile(`("\$ref"\s*:\s*)`+regexp.QuoteMeta(string(id))).ReplaceAllString(said, "${1}"+strings.ReplaceAll(string(place), "$", "$$"))
	}
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(said), &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func follows(t *testing.T, schema *jsonschema.Resolved, doc any) error {
	t.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return schema.Validate(v)
}

var later = time.Date(2026, 12, 1, 9, 30, 0, 0, time.UTC)

// What is written is assessment results by NIST's own schema: of a good log, of one with exceptions and hostile text, of none.
func TestOSCALFollowsTheSchema(t *testing.T) {
	schema := nist(t)
	hostile := " <script>*md*[x](javascript:1)\n\x00\u202e\xff "
	bad := good(t)
	bad.add("", request("review", hostile))
	own := review("person:ana", hostile)
	own.Actor, own.Resource = hostile, hostile
	bad.add("", own)
	bad.add("", audit.Record{Type: audit.TypeAlarm, Actor: hostile, Detail: map[string]string{"what": hostile}})
	bad.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": " "}})
	results := map[string]*Result{"good": good(t).check(), "bad": bad.check(), "one control": bad.check("AC-5"), "none": newLog(t).check()}
	for name, r := range results {
		r.Source, r.Verified = hostile, []string{hostile, ""}
		doc := r.OSCAL(later, "v1")
		if err := follows(t, schema, doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, _ := json.Marshal(r.OSCAL(later, "v1"))
		b, _ := json.Marshal(doc)
		if !bytes.Equal(b, again) {
			t.Errorf("%s: the same records give another document", name)
		}
		if strings.Contains(string(b), `"satisfied"`) {
			t.Errorf("%s: a control is called satisfied", name)
		}
		res := doc.Results.Results[0]
		if want := map[string]int{"good": 0, "none": 0, "one control": 1}[name]; name != "bad" && len(res.Findings) != want || name == "bad" && len(res.Findings) < 6 {
			t.Errorf("%s: %d findings", name, len(res.Findings))
		}
		uuids := map[string]bool{}
		for _, o := range res.Observations {
			if uuids[o.UUID] {
				t.Errorf("%s: %s is there twice", name, o.Title)
			}
			uuids[o.UUID] = true
			if strings.ContainsAny(o.Description+o.Title+o.Remarks, "<\u202e") {
				t.Errorf("%s: foreign text where markup counts: %q", name, o.Description)
			}
		}
		for _, f := range res.Findings {
			for _, o := range f.Related {
				if !uuids[o.UUID] {
					t.Errorf("%s: %s rests on an observation that isn't there", name, f.Title)
				}
			}
		}
	}
	if f := results["one control"].OSCAL(later, "v1").Results.Results[0].Findings[0]; f.Target.ID != "ac-5_smt" || f.Target.Status.State != "not-satisfied" || len(f.Related) != 2 {
		t.Errorf("%+v", f)
	}
}

// The schema refuses what is wrong: else the test above would show nothing.
func TestTheSchemaRefuses(t *testing.T) {
	schema := nist(t)
	for name, spoil := range map[string]func(a *assessmentResults){
		"a UUID of another form": func(a *assessmentResults) { a.UUID = "1" },
		"no reviewed controls":   func(a *assessmentResults) { a.Results[0].Reviewed.Selections = []oscalSelection{} },
		"a value with a blank":   func(a *assessmentResults) { a.Metadata.Props[0].Value = " x" },
		"an unknown state":       func(a *assessmentResults) { a.Results[0].Findings[0].Target.Status.State = "fine" },
		"a time of year 1":       func(a *assessmentResults) { a.Results[0].Start = time.Time{} },
		"no result":              func(a *assessmentResults) { a.Results = nil },
	} {
		k := good(t)
		k.add("", audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "x"}})
		doc := k.check().OSCAL(later, "v1")
		if err := follows(t, schema, doc); err != nil {
			t.Fatal(err)
		}
		if spoil(&doc.Results); follows(t, schema, doc) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
