package teams

import (
	"testing"

	"github.com/assenthq/assent/internal/notify"
)

// FuzzActivity: whatever is posted, it is refused or read, and only a press with a verb is a press.
func FuzzActivity(f *testing.F) {
	for _, s := range []string{
		`{"type":"message","text":"link x","conversation":{"id":"c","tenantId":"t"}}`,
		`{"type":"invoke","name":"adaptiveCard/action","value":{"action":{"data":{"verb":"approve","id":"apr_1","digest":"sha256:00","version":1}}}}`,
		`{"type":"message","value":{"verb":"deny","reason":"x"}}`, `{"type":"invoke","name":"adaptiveCard/action","value":{"action":null}}`, `[]`, `{"type":1}`, `null`,
	} {
		f.Add([]byte(s))
	}
	c := &Channel{o: Options{Tenant: "11111111-2222-3333-4444-555555555555", Desk: &notify.Desk{}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, p, err := parse(b)
		if err != nil {
			return
		}
		if a.Type == "" || p != nil && p.Verb == "" {
			t.Fatalf("%q was read as %+v %+v", b, a, p)
		}
		if o := c.object(a); o != "" && len(o) != 2*36+1 {
			t.Fatalf("%q is of %q", b, o)
		}
		_ = withoutMention(a.Text)
	})
}
