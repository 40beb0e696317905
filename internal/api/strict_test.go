package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
)

type strictTarget struct {
	Name  string            `json:"name"`
	Kind  string            `json:"kind,omitempty"`
	Count *int64            `json:"count,omitempty"`
	List  []strictInner     `json:"list,omitempty"`
	Free  map[string]string `json:"free,omitempty"`
	Deep  any               `json:"deep,omitempty"`
}

type strictInner struct {
	ID string `json:"id"`
}

func TestStrictRefusesWhatTwoParsersReadInTwoWays(t *testing.T) {
	for name, text := range map[string]string{
		"unknown member":              `{"name":"a","extra":1}`,
		"case variant":                `{"Name":"a"}`,
		"case variant beside":         `{"name":"a","Name":"b"}`,
		"kelvin sign":                 `{"name":"a","\u212aind":"b"}`,
		"kelvin sign in a map":        `{"name":"a","free":{"k":"1","\u212a":"2"}}`,
		"long s in a map":             `{"name":"a","free":{"s":"1","\u017f":"2"}}`,
		"duplicate":                   `{"name":"a","name":"b"}`,
		"duplicate by escape":         `{"name":"a","n\u0061me":"b"}`,
		"duplicate in a map":          `{"name":"a","free":{"x":"1","x":"2"}}`,
		"duplicate in anything":       `{"name":"a","deep":{"x":1,"x":2}}`,
		"unknown below a list":        `{"name":"a","list":[{"id":"1","Id":"2"}]}`,
		"trailing value":              `{"name":"a"}{}`,
		"trailing word":               `{"name":"a"} null`,
		"trailing NUL":                "{\"name\":\"a\"}\x00",
		"byte order mark":             "\ufeff{\"name\":\"a\"}",
		"comment":                     `{"name":"a"/**/}`,
		"trailing comma":              `{"name":"a",}`,
		"invalid UTF-8":               "{\"name\":\"\xe8\"}",
		"half a surrogate pair":       `{"name":"\ud800"}`,
		"half a pair in a name":       `{"name":"a","free":{"\udfff":"1"}}`,
		"replacement character":       "{\"name\":\"\ufffd\"}",
		"wrong type":                  `{"name":1}`,
		"fraction for an integer":     `{"name":"a","count":1.5}`,
		"integer that doesn't fit":    `{"name":"a","count":9223372036854775808}`,
		"too deep":                    `{"name":"a","deep":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"empty":                       ``,
		"NaN":                         `{"name":"a","count":NaN}`,
		"single quotes":               `{'name':'a'}`,
		"bigger than the bound of it": `{"name":"` + strings.Repeat("a", maxBulk) + `"}`,
	} {
		var v strictTarget
		if err := decodeStrict([]byte(text), &v); err == nil {
			t.Errorf("%s: %.60s was read as %+v", name, text, v)
		}
	}
}

func TestStrictReadsWhatIsPlain(t *testing.T) {
	text := ` {"name":"a \"b\" \u00e9 \ud83d\ude00","count":9007199254740993,"list":[{"id":"1"}],"free":{"a":"1","b":"2"},"deep":[1,{"x":null}]} `
	var v strictTarget
	if err := decodeStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	if v.Name != "a \"b\" é 😀" || *v.Count != 9007199254740993 || v.List[0].ID != "1" || len(v.Free) != 2 {
		t.Fatalf("%+v", v)
	}
}

func TestStrictNeverQuotesAValue(t *testing.T) {
	const secret = "4111111111111111"
	for _, text := range []string{`{"count":"` + secret + `"}`, `{"name":` + secret + `}`, `{"name":["` + secret + `"]}`, `{"name":"` + secret + `"`} {
		var v strictTarget
		if err := decodeStrict([]byte(text), &v); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzStrict holds the decoder against another strict one: whatever ours reads,
// encoding/json/v2 (case-sensitive, no duplicates, no invalid UTF-8) reads as the same value.
func FuzzStrict(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a"}`, `{"Name":"a"}`, `{"name":"a","name":"b"}`, `{"name":"a","free":{"k":"1","K":"2"}}`, `{"name":"\ud800"}`,
		`{"name":"a","list":[{"id":"x"},{"id":"y"}],"deep":{"a":[1,2.5e3,null,true]}}`, `[]`, `null`, `{"name":"a"} x`, "{\"name\":\"\xff\"}",
		`{"name":"a","count":-0}`, `{"count":1e2}`, `{"free":null,"list":null,"name":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs strictTarget
		if decodeStrict(data, &ours) != nil {
			return
		}
		if err := jsonv2.Unmarshal(data, &theirs, jsonv2.RejectUnknownMembers(true)); err != nil {
			t.Fatalf("%q: we read %+v, json/v2 says %v", data, ours, err)
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("%q: we read %+v, json/v2 %+v", data, ours, theirs)
		}
		again, err := json.Marshal(ours)
		if err != nil {
			t.Fatal(err)
		}
		var back strictTarget
		if err := decodeStrict(again, &back); err != nil {
			t.Fatalf("what we write (%s) we don't read: %v", again, err)
		}
	})
}
