package slack

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzPress: whatever Slack's bytes are, nothing panics, and what is read is
// bounded and for whom it says.
func FuzzPress(f *testing.F) {
	for _, s := range []string{
		`{"type":"block_actions","api_app_id":"A1","team":{"id":"T1"},"user":{"id":"U1","team_id":"T1"},"actions":[{"action_id":"assent:approve","value":"apr_1 sha256:00 1"}]}`,
		`{"type":"view_submission","view":{"private_metadata":"{\"a\":\"x y 1\",\"c\":\"C1\"}","state":{"values":{"text":{"text":{"value":"no"}}}}}}`,
		`{"type":"slash_command"}`, `{"team":null,"user":[]}`, `[]`, "",
	} {
		f.Add(pathInteractive, "payload="+url.QueryEscape(s))
		f.Add(pathCommand, s)
	}
	f.Add(pathCommand, "team_id=T1&api_app_id=A1&user_id=U1&text=link+lnk_"+strings.Repeat("0", 24))
	c := &Channel{o: Options{Team: "T1", AppID: "A1", API: API}}
	f.Fuzz(func(t *testing.T, path, body string) {
		p, err := parseBody(path, []byte(body))
		if err != nil {
			return
		}
		if (p.Type == typeCommand) != (path == pathCommand) {
			t.Errorf("%q came by %s", p.Type, path)
		}
		if c.whose(p) == nil && (p.Team.ID != "T1" || p.AppID != "A1" || p.User.TeamID != "T1" || !strings.HasPrefix(p.User.ID, "U") && !strings.HasPrefix(p.User.ID, "W")) {
			t.Errorf("%+v is ours", p)
		}
		if c.ours(p.ResponseURL) && !strings.HasPrefix(strings.ToLower(p.ResponseURL), "https://hooks.slack.com/") && !strings.EqualFold(p.ResponseURL, "https://hooks.slack.com") && !strings.HasPrefix(strings.ToLower(p.ResponseURL), "https://hooks.slack.com?") && !strings.HasPrefix(strings.ToLower(p.ResponseURL), "https://hooks.slack.com#") {
			t.Errorf("an answer would go to %q", p.ResponseURL)
		}
		for _, a := range p.Actions {
			if got, ok := parseAnswer(a.Value); ok && got.String() != a.Value && len(a.Value) < maxValue {
				// A version may be written with zeros or a sign before it; it is the same number.
				if again, ok := parseAnswer(got.String()); !ok || again != got {
					t.Errorf("%q is read as %q", a.Value, got)
				}
			}
		}
	})
}

// FuzzCut: what is cut is as short as Slack wants it, and whole where it fits.
func FuzzCut(f *testing.F) {
	f.Add("abc", 2)
	f.Add("𝒳𝒳𝒳", 4)
	f.Add("\xff\xff", 2)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 1 || max > 5000 || !utf8.ValidString(s) {
			return
		}
		got := cut(s, max)
		if units(got) > max {
			t.Errorf("%d units of %q, %d allowed", units(got), got, max)
		}
		if units(s) <= max && got != s {
			t.Errorf("%q fits %d, and became %q", s, max, got)
		}
	})
}
