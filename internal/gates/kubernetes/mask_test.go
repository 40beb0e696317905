package kubernetes

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	classify "github.com/assenthq/assent/internal/classify/kubernetes"
)

const value = "hunter2-planted"

func permit(t testing.TB) gate.Permit {
	t.Helper()
	a := &gatetest.Authority{Mask: func(v []byte) []byte { return bytes.ReplaceAll(v, []byte(value), []byte("[hidden]")) }}
	s, err := a.Login(context.Background(), gate.Verifier{Credential: "cred_gatetest", Proved: true}, gate.Peer{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Enforce(context.Background(), &action.Action{Kinds: []action.Kind{action.DataRead}}, gate.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func masked(t testing.TB, text string, r *classify.Reading, slow bool) (string, error) {
	t.Helper()
	var from io.Reader = strings.NewReader(text)
	if slow {
		from = iotest.OneByteReader(from)
	}
	d := &documents{from: io.NopCloser(from), m: newMasker(permit(t), r)}
	b, err := io.ReadAll(d)
	return string(b), err
}

func TestDocuments(t *testing.T) {
	plain := base64.StdEncoding.EncodeToString([]byte(value))
	pods := &classify.Reading{Info: classify.Info{Resource: "pods"}}
	for name, text := range map[string]string{
		"an environment":   `{"spec":{"containers":[{"env":[{"name":"A","value":"` + value + `"}]}]}}`,
		"a message":        `{"kind":"Event","message":"says ` + value + `"}`,
		"a cell":           `{"kind":"Table","rows":[{"cells":["x","` + value + `"]}]}`,
		"a name of one":    `{"data":{"` + value + `":"x"}}`,
		"a secret":         `{"kind":"Secret","data":{"p":"` + plain + `"}}`,
		"an event":         `{"type":"ADDED","object":{"kind":"Secret","data":{"p":"` + plain + `"}}}` + "\n" + `{"type":"ADDED","object":{"kind":"Pod","x":"` + value + `"}}`,
		"applied last":     `{"kind":"ConfigMap","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"p\":\"` + value + `\"}}"}}}`,
		"escaped":          `{"x":"\u0068unter2-planted"}`,
		"a structural one": `{"spec":{"kind2":"x","text":"` + value + `"}}`,
	} {
		for _, slow := range []bool{false, true} {
			got, err := masked(t, text, pods, slow)
			if err != nil || strings.Contains(got, value) || strings.Contains(got, plain) {
				t.Errorf("%s: %s, %v", name, got, err)
			}
		}
	}
	for _, text := range []string{`{"a":1`, `{"a":1}{`, `{"a":}`, `{"a":1,"a":2}`, `}`, `{"a":1} x`} {
		if got, err := masked(t, text, pods, false); err == nil {
			t.Errorf("%s passes as %q", text, got)
		}
	}
}

// However an answer is cut, what leaves is the same, and nothing that is masked is in it.
func FuzzDocuments(f *testing.F) {
	f.Add(`{"kind":"Secret","data":{"p":"aHVudGVyMi1wbGFudGVk"}}`)
	f.Add(`{"type":"ADDED","object":{}}` + "\n" + `{"type":"MODIFIED","object":{"x":"` + value + `"}}`)
	f.Add(`[{"a":"}"},"\"]"]`)
	f.Fuzz(func(t *testing.T, text string) {
		r := &classify.Reading{Info: classify.Info{Resource: "pods"}}
		whole, err := masked(t, text, r, false)
		pieces, err2 := masked(t, text, r, true)
		if whole != pieces || (err == nil) != (err2 == nil) {
			t.Errorf("whole %q, %v; in pieces %q, %v", whole, err, pieces, err2)
		}
		if err == nil && strings.Contains(whole, value) && !strings.Contains(whole, `"uid"`) {
			for _, s := range structural {
				if strings.Contains(text, s) {
					return
				}
			}
			t.Errorf("%q", whole)
		}
	})
}
