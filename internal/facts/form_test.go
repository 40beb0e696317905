package facts

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// Whatever differs between two actions, a Form changes nothing of what is kept of them.
func TestAFormChangesNothing(t *testing.T) {
	var in policy.Input
	fill(t, reflect.ValueOf(&in).Elem(), "in")
	in.Action.Data.Findings, in.Action.Claims.Reason = nil, ""
	in.Read = &reads{[]Count{{"all", 900}, {"email", 12}}}
	d := policy.Decision{
		Verdict: policy.Allow, Bundle: "b", Rules: []policy.Hit{{Then: "allow", Pack: "p", Rule: "r"}}, Shadow: []policy.Hit{{Then: "deny", Pack: "p", Rule: "s"}},
		Masks: map[string]string{"email": "hash"}, RowLimit: action.KnownCount(7),
	}
	f := Facts{Gate: "g", Ask: "ap_1"}
	type one struct {
		In *policy.Input
		D  *policy.Decision
		F  *Facts
	}
	var changed []func() // makes the change, or takes it back
	changes(reflect.ValueOf(one{&in, &d, &f}), func(swap func()) { changed = append(changed, swap) })
	if len(changed) < 80 {
		t.Fatalf("only %d changes", len(changed))
	}
	file := func(form func() *Form, swap func()) string {
		dir := filepath.Join(t.TempDir(), "facts")
		w, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			f.Form = form()
			w.Note(&in, &d, f)
			swap()
			f.Form = form()
			w.Note(&in, &d, f)
			w.Note(&in, &d, f)
			swap()
			f.Form = form()
			w.Note(&in, &d, f)
			if err := w.flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.file.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "00000001.part"))
		if err != nil || len(b) == 0 {
			t.Fatal(len(b), err)
		}
		return string(b)
	}
	for i, swap := range changed {
		var form Form
		if file(func() *Form { return &form }, swap) != file(func() *Form { return nil }, swap) {
			t.Errorf("change %d of %d: other facts with a Form than without", i+1, len(changed))
		}
	}
}

// changes tells of each part of v how to change it: called again, it is as it was.
func changes(v reflect.Value, tell func(swap func())) {
	other := func(to reflect.Value) {
		from := reflect.New(v.Type()).Elem()
		from.Set(v)
		is := false
		tell(func() {
			if is = !is; is {
				v.Set(to)
			} else {
				v.Set(from)
			}
		})
	}
	zero := reflect.Zero(v.Type())
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			changes(v.Elem(), tell)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Form" {
				changes(v.Field(i), tell)
			}
		}
	case reflect.Slice:
		one := reflect.New(v.Type().Elem()).Elem()
		other(reflect.Append(v.Slice3(0, v.Len(), v.Len()), one))
		if v.Len() > 0 {
			other(zero)
			changes(v.Index(0), tell)
		}
	case reflect.Map:
		one := reflect.MakeMap(v.Type())
		if v.Type().Key().Kind() == reflect.String {
			one.SetMapIndex(reflect.ValueOf("other").Convert(v.Type().Key()), reflect.New(v.Type().Elem()).Elem())
		}
		other(one)
		other(zero)
	case reflect.String:
		other(reflect.ValueOf("other").Convert(v.Type()))
	case reflect.Bool:
		other(reflect.ValueOf(!v.Bool()).Convert(v.Type()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		other(reflect.ValueOf(v.Int() ^ 1).Convert(v.Type()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		other(reflect.ValueOf(v.Uint() ^ 1).Convert(v.Type()))
	case reflect.Interface:
		other(zero)
	}
}

// What is noted again and again takes little room, and no memory.
func TestAFormIsShort(t *testing.T) {
	w, err := Open(Options{Dir: t.TempDir(), queue: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var in policy.Input
	fill(t, reflect.ValueOf(&in).Elem(), "in")
	in.Action.Data.Findings, in.Action.Claims.Reason = nil, ""
	d := policy.Decision{Verdict: policy.Allow, Masks: map[string]string{"email": "hash"}}
	f := Facts{Gate: "g", Form: &Form{}}
	w.Note(&in, &d, f)
	whole := len(w.queue)
	if n := testing.AllocsPerRun(1000, func() { w.Note(&in, &d, f) }); n != 0 {
		t.Errorf("Note allocates %v times", n)
	}
	if again := (len(w.queue) - whole) / 1001; again > whole/4 {
		t.Errorf("%d bytes, and again %d", whole, again)
	}
}
