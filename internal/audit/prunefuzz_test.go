package audit

import (
	"encoding/json"
	"testing"
	"time"
)

func FuzzPrune(f *testing.F) {
	good := Prune{Node: "n1", From: 1, To: 2, Records: 6, Term: MinTerm}.Record()
	b, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"detail":{"node":"","from":"-1","to":"9223372036854775807","records":"x","term":"1h","root":"AA=="}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if json.Unmarshal(b, &r) != nil {
			return
		}
		p, err := pruneOf(&r)
		if err != nil {
			return
		}
		if again, err := pruneOf(p.Record()); err != nil || again != p {
			t.Errorf("%+v is written as %+v: %v", p, again, err)
		}
		if p.check(&Sealed{}, time.Now()) == nil {
			t.Errorf("%+v holds where nothing was ever sealed", p)
		}
	})
}
