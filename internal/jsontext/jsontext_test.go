package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, good := range []string{
		`{}`, `[]`, ` "a" `, `-0.5e+3`, `null`, `{"a":1,"A":2}`, `{"a":[{"a":{}}]}`, `"\ud83d\ude00"`, `"é"`, "\t[1,2]\n",
	} {
		if err := Check([]byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, why := range map[string]string{
		``:                       "ends",
		`{"a":1,"a":2}`:          "twice",
		`{"a":1,"\u0061":2}`:     "twice",
		`{"a":1} {}`:             "follows",
		`{"a":1}x`:               "follows",
		`"\ud83d"`:               "surrogate",
		`"\ud83d\u0041"`:         "surrogate",
		`"\udc00"`:               "surrogate",
		"\"\xff\"":               "UTF-8",
		"\"\xc0\xaf\"":           "UTF-8",
		"\"\\n\xff\"":            "UTF-8",
		"\"a\x00\"":              "control",
		`01`:                     "follows",
		`1.`:                     "digit",
		`.5`:                     "no value",
		`+1`:                     "no value",
		`[1,]`:                   "no value",
		`{"a":1,}`:               "name",
		`{a:1}`:                  "name",
		`NaN`:                    "no value",
		`tru`:                    "no value",
		`'a'`:                    "no value",
		`"\x41"`:                 "escape",
		`"\u00g0"`:               "escape",
		`// c`:                   "no value",
		"\ufeff{}":               "no value",
		strings.Repeat("[", 200): "deeply",
	} {
		var e *Error
		if err := Check([]byte(bad)); !errors.As(err, &e) || !strings.Contains(e.Problem, why) {
			t.Errorf("%q: %v, want one about %q", bad, err, why)
		}
	}
}

func TestReplaceTouchesNothingElse(t *testing.T) {
	in := ` {"name" : "a\u0040b.c", "n":4111111111111111 , "deep":[{"ssn":"x"},["y"]], "a@b.c":true}`
	got, err := Replace([]byte(in), func(v *Value) ([]byte, bool, error) {
		switch {
		case string(v.Text) == "a@b.c":
			return []byte("[email]\n"), true, nil
		case v.Kind == Number:
			return []byte("[card]"), true, nil
		case v.Key() == "ssn" && len(v.Path) == 2:
			return []byte("[ssn]"), true, nil
		}
		return nil, false, nil
	})
	if want := ` {"name" : "[email]\n", "n":"[card]" , "deep":[{"ssn":"[ssn]"},["y"]], "[email]\n":true}`; err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	stop := errors.New("stop")
	if _, err := Replace([]byte(in), func(*Value) ([]byte, bool, error) { return nil, false, stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the replacer: %v", err)
	}
}

func TestMembers(t *testing.T) {
	got, err := Members([]byte(`{"method":"a", "params" : {"x":[1, 2]} ,"id":1}`))
	if err != nil || len(got) != 3 || got[1].Name != "params" || string(got[1].Value) != `{"x":[1, 2]}` || string(got[2].Value) != "1" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{`[]`, `{"method":"a","Method":"b"}`, `{"method":"a","METHOD":"b"}`, `{`, `{} {}`} {
		if got, err := Members([]byte(bad)); err == nil {
			t.Errorf("%s: %q", bad, got)
		}
	}
	if s, ok := Text([]byte(`"a\u0040"`)); s != "a@" || !ok {
		t.Errorf("%q, %v", s, ok)
	}
	if _, ok := Text([]byte(`1`)); ok {
		t.Error("a number is no text")
	}
}

// FuzzReplace holds this reader against encoding/json: what it takes, that takes
// as well; what it leaves alone stays the same bytes; what it replaces is gone.
func FuzzReplace(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\u0040",{"b":null}]}`, `"\ud83d\ude00"`, `[`, `{"a":1,"a":2}`, "\"\xff\"", `-1.5e9`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		same, err := Replace(data, func(*Value) ([]byte, bool, error) { return nil, false, nil })
		if err != nil {
			return
		}
		if !json.Valid(data) || !bytes.Equal(same, data) {
			t.Fatalf("%q: valid %v, came back %q", data, json.Valid(data), same)
		}
		n := 0
		out, err := Replace(data, func(v *Value) ([]byte, bool, error) {
			if v.Kind == Name {
				return nil, false, nil
			}
			n++
			return append([]byte("x\"\\\x01é\xff"), v.Text...), true, nil
		})
		if err != nil || !json.Valid(out) || Check(out) != nil {
			t.Fatalf("%q became %q, %v", data, out, err)
		}
		var scalars func(v any) int
		scalars = func(v any) int {
			switch v := v.(type) {
			case map[string]any:
				k := 0
				for _, e := range v {
					k += scalars(e)
				}
				return k
			case []any:
				k := 0
				for _, e := range v {
					k += scalars(e)
				}
				return k
			case string:
				return 1
			}
			return 0
		}
		var v any
		if json.Unmarshal(out, &v) != nil || scalars(v) != n {
			t.Fatalf("%q: %d strings and numbers were shown, %d stand there now", data, n, scalars(v))
		}
	})
}
