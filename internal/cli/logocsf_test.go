package cli

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// A record that goes to the client's form and back has lost nothing.
func TestARecordComesBack(t *testing.T) {
	r := audit.Record{Time: time.Unix(1800000000, 5000).UTC()}
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Int64:
			f.SetInt(int64(i + 1))
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{v.Type().Field(i).Name}))
		case reflect.Pointer:
			n := int64(i)
			f.Set(reflect.ValueOf(&n))
		case reflect.Map:
			m := reflect.MakeMap(f.Type())
			m.SetMapIndex(reflect.ValueOf(v.Type().Field(i).Name), reflect.New(f.Type().Elem()).Elem())
			f.Set(m)
		}
	}
	c, err := clientRecord(&r)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(&r)
	if got, _ := json.Marshal(auditRecord(c)); string(got) != string(want) {
		t.Errorf("%s\nbecame\n%s", want, got)
	}
}
