package leaves

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// record is how encoding/json reads the members that Read reads.
type record struct {
	Time     string            `json:"time"`
	Type     string            `json:"type"`
	Actor    string            `json:"actor"`
	Person   string            `json:"person"`
	Approval string            `json:"approval"`
	Resource string            `json:"resource"`
	Session  string            `json:"session"`
	Digest   string            `json:"digest"`
	Decision string            `json:"decision"`
	About    string            `json:"about"`
	Revision json.Number       `json:"revision"`
	Kinds    []string          `json:"kinds"`
	Detail   map[string]string `json:"detail"`
}

const whole = `{"index":7,"time":"2026-11-23T21:28:40.123456Z","salt":"c2FsdA","type":"review","actor":"agent:a1","person":"person:dana","approval":"ap_1",` +
	`"resource":"postgres:shop/prod","session":"s_1","digest":"sha256:ab","decision":"approve","title":"a \u003c b \"quoted\" \\","about":"x/ü","revision":3,` +
	`"kinds":["data.read","data.write"],"findings":{"email":{"count":2,"more":[true,false,null,-1,0]}},"detail":{"assurance":"passkey"}}`

func TestRead(t *testing.T) {
	f, ok := Read([]byte(whole))
	if !ok {
		t.Fatal("it is not read")
	}
	for name, got := range map[string][]byte{
		"2026-11-23T21:28:40.123456Z": f.Time, "review": f.Type, "agent:a1": f.Actor, "person:dana": f.Person, "ap_1": f.Approval,
		"postgres:shop/prod": f.Resource, "s_1": f.Session, "sha256:ab": f.Digest, "approve": f.Decision, "x/ü": f.About, "3": f.Revision,
		`["data.read","data.write"]`: f.Kinds, `{"assurance":"passkey"}`: f.Detail,
	} {
		if string(got) != name {
			t.Errorf("%q in the place of %q", got, name)
		}
	}
}

// What two readers could read in two ways is not read.
func TestReadLeavesWhatIsOdd(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{}x`, `{} `, `[]`, `null`, `{"type":"a","type":"b"}`, `{"type":"a","TYPE":"b"}`, `{"type":"a","Type":"b"}`, "{\"type\":\"a\",\"\u017feed\":1}",
		`{"type":"\u0061"}`, `{"t\u0079pe":"a"}`, `{"type":1}`, `{"type":null}`, `{"revision":"3"}`, `{"revision":03}`, `{"revision":-}`, `{"revision":1.5}`,
		`{"kinds":"a"}`, `{"kinds":["a",1]}`, `{"kinds":[["a"]]}`, `{"detail":{"a":1}}`, `{"detail":{"a":{}}}`, `{"detail":null}`, `{"detail":[]}`, `{"type":"a",}`, `{,"type":"a"}`, `{"type" :"a"}`, `{"type":"a" }`, `{"type":"a"`, `{"type":"a`, `{"x":"\`, `{"x":"\"`,
		`{"x":"\x"}`, `{"x":"\u12g4"}`, `{"x":"\u12"}`, `{"x":[1,]}`, `{"x":[1}`, `{"x":{"y"}}`, `{"x":{1:2}}`, `{"x":tru}`, `{"x":}`, "{\"x\":\"\n\"}", "{\"x\":\"\xff\"}",
		`{"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
	} {
		if _, ok := Read([]byte(text)); ok {
			t.Errorf("it is read: %s", text)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"x":"\\\"","type":"a","revision":0}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := Read(text)
		if !ok {
			return
		}
		var want record
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("read, and it is no record: %q, %v", text, err)
		}
		for _, p := range [][2]string{
			{string(got.Time), want.Time},
			{string(got.Type), want.Type},
			{string(got.Actor), want.Actor},
			{string(got.Person), want.Person},
			{string(got.Approval), want.Approval},
			{string(got.Resource), want.Resource},
			{string(got.Session), want.Session},
			{string(got.Digest), want.Digest},
			{string(got.Decision), want.Decision},
			{string(got.About), want.About},
			{string(got.Revision), want.Revision.String()},
		} {
			if p[0] != p[1] {
				t.Fatalf("%q: %q in the place of %q", text, p[0], p[1])
			}
		}
		var kinds []string
		var detail map[string]string
		if got.Kinds != nil && (json.Unmarshal(got.Kinds, &kinds) != nil || !reflect.DeepEqual(kinds, want.Kinds)) ||
			got.Detail != nil && (json.Unmarshal(got.Detail, &detail) != nil || !reflect.DeepEqual(detail, want.Detail)) {
			t.Fatalf("%q: kinds %q, detail %q", text, got.Kinds, got.Detail)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for b.Loop() {
		if _, ok := Read([]byte(whole)); !ok {
			b.Fatal("it is not read")
		}
	}
	b.ReportMetric(float64(len(whole)), "bytes")
}
