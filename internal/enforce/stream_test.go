package enforce

import (
	"bytes"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

// What a stream masks is counted as it passes, once, in the form that was asked for.
func TestStreamCounts(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, fill := range []bool{false, true} {
		p := &permit{
			e: &Enforcer{o: Options{Now: time.Now}}, j: &judgement{}, seen: &seen{}, text: map[string]int64{},
			set: mask.New(nil, e).For("agent:a", map[string]string{"email": mask.Redact}),
		}
		var out bytes.Buffer
		s := p.Stream(&out, fill)
		for _, piece := range []string{"to ann@exam", "ple.com and ", "bob@example.org"} {
			if _, err := s.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
		}
		if p.text["email"] != 1 {
			t.Errorf("fill %v: %v before the end", fill, p.text)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		want := "to [masked:email] and [masked:email]"
		if fill {
			want = "to *************** and ***************"
		}
		if out.String() != want || p.text["email"] != 2 {
			t.Errorf("fill %v: %q, %v", fill, out.String(), p.text)
		}
	}
}
