package audit

import (
	"encoding/json"
	"testing"
	"time"
)

// What is compared without decoding a record is what decoding it says.
func FuzzFiledAs(f *testing.F) {
	leaf, err := json.Marshal(&Record{
		Index: 7, Time: time.UnixMicro(1795469454770349), Type: TypeReview, Actor: "agent:a", Person: "person:ü", Approval: "ap_1", Resource: "r\n", Session: "s",
		About: "a/b", Revision: 3, Kinds: []string{"data.read", "data.export"}, Detail: map[string]string{"reason": "a < b"},
	})
	if err != nil {
		f.Fatal(err)
	}
	for column := range uint8(12) {
		f.Add(leaf, column, "other")
		f.Add(leaf, column, "")
	}
	f.Add([]byte(`{"time":"2026-11-23T21:28:40Z","type":"x","kinds":["a","b\\"]}`), uint8(8), ",a,b\\,")
	f.Add([]byte(`{"time":"2026-11-23T21:28:40Z","kinds":[]}`), uint8(8), ",,")
	f.Add([]byte(`{"x":[{"y":0,"time":"2026-11-23T21:28:41Z"}],"time":"2026-11-23T21:28:40Z","revision":0}`), uint8(11), "")
	f.Fuzz(func(t *testing.T, record []byte, column uint8, other string) {
		var r Record
		err := json.Unmarshal(record, &r)
		c := Columns{
			Time: r.Time.UnixMicro(), Revision: r.Revision, Type: []byte(r.Type), Actor: []byte(r.Actor), Person: []byte(r.Person), Approval: []byte(r.Approval),
			Resource: []byte(r.Resource), Session: []byte(r.Session), About: []byte(r.About), Kinds: []byte(KindsColumn(r.Kinds)),
		}
		switch texts := []*[]byte{&c.Type, &c.Actor, &c.Person, &c.Approval, &c.Resource, &c.Session, &c.About, &c.Kinds}; {
		case int(column) < len(texts):
			*texts[column] = []byte(other)
		case column == 8:
			c.Kinds = []byte(other)
		case column == 9:
			c.Time++
		case column == 10:
			c.Revision--
		}
		for _, most := range []int{0, 3} {
			quick, decoded := FiledAs(record, &c, most), decodedAs(record, &c, most)
			if quick != decoded && (err == nil || !quick) {
				t.Fatalf("%v, and decoded %v: %q %+v", quick, decoded, record, c)
			}
		}
	})
}
