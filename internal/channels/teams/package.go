package teams

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/url"
	"strings"
)

// An App is what the app package that an administrator uploads to Teams says.
type App struct {
	ID        string // of the bot's registration
	PublicURL string // of this deployment; its host is the only one that the app may open
	Version   string // "1.0.0"
}

// Package writes the app package: manifest and icons (Teams app manifest 1.19).
func Package(w io.Writer, a App) error {
	at, err := url.Parse(a.PublicURL)
	if err != nil || at.Scheme != "https" || at.Host == "" {
		return fmt.Errorf("public_url is %q: Teams reaches bots by https only", a.PublicURL)
	}
	if !guid.MatchString(strings.ToLower(a.ID)) {
		return fmt.Errorf("%q is not the id of an app's registration: a GUID", a.ID)
	}
	scopes := []string{"personal", "team", "groupChat"}
	manifest := map[string]any{
		"$schema": "https://developer.microsoft.com/json-schemas/teams/v1.19/MicrosoftTeams.schema.json", "manifestVersion": "1.19",
		"version": a.Version, "id": strings.ToLower(a.ID),
		"developer": map[string]any{"name": "Assent", "websiteUrl": a.PublicURL, "privacyUrl": a.PublicURL, "termsOfUseUrl": a.PublicURL},
		"name":      map[string]any{"short": "Assent", "full": "Assent approvals"},
		"description": map[string]any{
			"short": "Approve or deny what agents want to do.",
			"full":  "Shows what agents and pipelines want to do with production systems, and takes the answers of those who may decide. What a click in a chat can't decide leads to the console.",
		},
		"icons": map[string]any{"color": "color.png", "outline": "outline.png"}, "accentColor": "#0F766E",
		"bots": []any{map[string]any{
			"botId": strings.ToLower(a.ID), "scopes": scopes, "supportsFiles": false, "isNotificationOnly": false,
			"commandLists": []any{map[string]any{"scopes": scopes, "commands": []any{
				map[string]any{"title": "link", "description": "Link this account: link CODE"},
				map[string]any{"title": "why", "description": "What an approval is about: why ID"},
			}}},
		}},
		"permissions": []string{"identity", "messageTeamMembers"}, "validDomains": []string{at.Hostname()},
	}
	b, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, f := range []struct {
		name string
		body []byte
	}{{"manifest.json", b}, {"color.png", icon(192, color.RGBA{0x0f, 0x76, 0x6e, 0xff}, color.White)}, {"outline.png", icon(32, color.Transparent, color.White)}} {
		e, err := z.Create(f.name)
		if err != nil {
			return err
		}
		if _, err := e.Write(f.body); err != nil {
			return err
		}
	}
	return z.Close()
}

// icon is a tick in a square of n pixels.
func icon(n int, ground, ink color.Color) []byte {
	img := image.NewRGBA(image.Rect(0, 0, n, n))
	at := func(f float64) float64 { return f * float64(n) }
	thick := at(0.055)
	near := func(x, y, x1, y1, x2, y2 float64) bool { // distance of a point to a line's stretch
		dx, dy := x2-x1, y2-y1
		t := max(0, min(1, ((x-x1)*dx+(y-y1)*dy)/(dx*dx+dy*dy)))
		ex, ey := x-x1-t*dx, y-y1-t*dy
		return ex*ex+ey*ey <= thick*thick
	}
	for y := range n {
		for x := range n {
			c, fx, fy := ground, float64(x)+0.5, float64(y)+0.5
			if near(fx, fy, at(0.25), at(0.53), at(0.43), at(0.71)) || near(fx, fy, at(0.43), at(0.71), at(0.76), at(0.31)) {
				c = ink
			}
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img) // into memory: it can't fail
	return b.Bytes()
}
