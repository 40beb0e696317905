package teams_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"image/png"
	"testing"

	"github.com/assenthq/assent/internal/channels/teams"
	"github.com/assenthq/assent/internal/channels/teams/teamstest"
)

func TestPackage(t *testing.T) {
	var b bytes.Buffer
	for _, bad := range []teams.App{{ID: "x", PublicURL: "https://assent.example"}, {ID: teamstest.App, PublicURL: "http://assent.example"}, {ID: teamstest.App}} {
		if teams.Package(&b, bad) == nil {
			t.Errorf("%+v was packed", bad)
		}
	}
	b.Reset()
	if err := teams.Package(&b, teams.App{ID: teamstest.App, PublicURL: "https://assent.example:8443/x", Version: "1.0.0"}); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{"color.png": 192, "outline.png": 32}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if n := sizes[f.Name]; n > 0 {
			img, err := png.Decode(r)
			if err != nil || img.Bounds().Dx() != n || img.Bounds().Dy() != n {
				t.Errorf("%s: %v", f.Name, err)
			}
			delete(sizes, f.Name)
			continue
		}
		var m struct {
			ID           string
			ValidDomains []string
			Bots         []struct{ BotID string }
		}
		if err := json.NewDecoder(r).Decode(&m); err != nil || m.ID != teamstest.App || len(m.ValidDomains) != 1 || m.ValidDomains[0] != "assent.example" || m.Bots[0].BotID != teamstest.App {
			t.Errorf("%s: %+v %v", f.Name, m, err)
		}
	}
	if len(sizes) > 0 {
		t.Errorf("icons are missing: %v", sizes)
	}
}
