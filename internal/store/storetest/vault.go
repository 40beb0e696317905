package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/store"
)

func (s *suite) vault(t *testing.T) {
	st := s.fresh(t)
	at := noon.Truncate(time.Second)
	one := mask.Kept{Token: "tok_email_1", Class: "email", Actor: "agent:a", At: at, Sealed: []byte{0, 1, 255}}
	two := mask.Kept{Token: "tok_card_2", Class: "card", Actor: "", At: at.Add(time.Hour), Sealed: []byte("x")}
	must(t, st.KeepValues(ctx, []mask.Kept{one, two}))
	again := one
	again.Sealed = []byte("another")
	must(t, st.KeepValues(ctx, []mask.Kept{again}))
	read := func(token string) *mask.Kept {
		t.Helper()
		k, err := st.KeptValue(ctx, token)
		must(t, err)
		return k
	}
	for _, want := range []mask.Kept{one, two} {
		if diff := cmp.Diff(&want, read(want.Token)); diff != "" {
			t.Error(diff)
		}
	}
	if k := read("tok_none"); k != nil {
		t.Errorf("nothing was kept, and there is %+v", k)
	}
	if _, err := st.EraseValues(ctx, mask.Erasure{}); !errors.Is(err, store.ErrEraseAll) {
		t.Errorf("an erasure of everything: %v", err)
	}
	for _, c := range []struct {
		what mask.Erasure
		n    int64
	}{
		{mask.Erasure{Token: "tok_email_1", Class: "card"}, 0},
		{mask.Erasure{Before: at}, 0},
		{mask.Erasure{Actor: "agent:b"}, 0},
		{mask.Erasure{Before: at.Add(time.Second), Actor: "agent:a"}, 1},
		{mask.Erasure{Class: "card"}, 1},
	} {
		n, err := st.EraseValues(ctx, c.what)
		if err != nil || n != c.n {
			t.Errorf("%+v: %d, %v", c.what, n, err)
		}
	}
	if read("tok_email_1") != nil || read("tok_card_2") != nil {
		t.Error("what was erased is there")
	}
}
