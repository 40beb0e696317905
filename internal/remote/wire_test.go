package remote

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func FuzzReceive(f *testing.F) {
	for _, v := range []any{call{Do: "hello", Body: []byte(`{}`)}, event{Cut: true}, renewed{Bundle: "b"}, enforcing{Session: "s"}} {
		var b bytes.Buffer
		if err := send(&b, v); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&call{}, &event{}, &renewed{}, &enforcing{}, &hello{}, &answer{}} {
			if receive(bytes.NewReader(b), v) != nil {
				continue
			}
			var again bytes.Buffer
			if err := send(&again, v); err != nil {
				t.Fatalf("%T was read and can't be written: %v", v, err)
			}
			if err := receive(&again, v); err != nil {
				t.Fatalf("%T was written and can't be read: %v", v, err)
			}
		}
	})
}

func TestReceiveRefuses(t *testing.T) {
	frame := func(n uint32, text string) string {
		return string(binary.BigEndian.AppendUint32(nil, n)) + text
	}
	for what, text := range map[string]string{
		"nothing": "", "half a length": "\x00\x00", "a length that lies": frame(1<<20, "{}"), "a length past the limit": frame(maxMessage+1, "{}"),
		"no JSON": frame(2, "no"), "an unknown member": frame(11, `{"xyz":true}`[:11]), "two documents": frame(4, "{}{}"), "a trailing byte": frame(3, "{}x"),
		"a member that isn't there": frame(13, `{"nobody": 1}`),
	} {
		if err := receive(strings.NewReader(text), &call{}); err == nil {
			t.Errorf("%s was read", what)
		}
	}
}

// Processes work together where their ranges of protocols meet: versions one apart do.
func TestProtocolsMeet(t *testing.T) {
	for _, c := range []struct {
		oldest, newest int
		want           int // 0: they don't
	}{{1, 1, 1}, {1, 2, 1}, {0, 1, 1}, {2, 2, 0}, {0, 0, 0}, {2, 1, 0}, {-5, 9, 1}} {
		got, err := common(&hello{Oldest: c.oldest, Newest: c.newest, Version: "v9"})
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%d to %d: %d, %v", c.oldest, c.newest, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("%v says not what to do", err)
		}
	}
}

func TestAnnouncementsDiffer(t *testing.T) {
	a := Announced{Name: "shop", Type: "postgres", URN: "postgres:shop/db", Env: "prod", System: "postgres://db:5432", Labels: map[string]string{"team": "a"}}
	if d := a.Differs(&a); d != "" {
		t.Error("it differs from itself:", d)
	}
	for what, change := range map[string]func(*Announced){
		"env is": func(b *Announced) { b.Env = "dev" }, "upstream is": func(b *Announced) { b.System = "postgres://other:5432" }, "resource is": func(b *Announced) { b.URN = "postgres:shop/x" },
		"type is": func(b *Announced) { b.Type = "mysql" }, "label team is": func(b *Announced) { b.Labels = map[string]string{"team": "b"} }, "labels differ": func(b *Announced) { b.Labels = nil },
	} {
		b := a
		change(&b)
		if d := a.Differs(&b); !strings.HasPrefix(d, what) {
			t.Errorf("%s: %q", what, d)
		}
	}
}
