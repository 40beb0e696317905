package tutorials_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/channels/slack/slacktest"
	"github.com/assenthq/assent/internal/channels/teams/teamstest"
	"github.com/assenthq/assent/internal/oidc/oidctest"
)

// eventually calls f until it succeeds.
func eventually(f func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// chat is a Slack in which mira presses a button.
func chat(t *testing.T) *parts {
	t.Helper()
	s := slacktest.New()
	t.Cleanup(s.Close)
	s.Join(slacktest.User{ID: "U0123456789", Name: "Mira"})
	s.Room("C0123456789", "approvals")
	return &parts{
		ports: itself(s.URL),
		changes: []change{
			{"app_id: A0123456789\n", "app_id: " + slacktest.App + "\n      api: " + s.URL + "\n"},
			{"T0123456789", slacktest.Team},
			{"xoxb-your-bot-token", slacktest.Token},
			{"xapp-your-app-token", slacktest.AppTok},
		},
		act: func(what string, _ scene) error {
			if what != "mira presses approve" {
				return errors.New("nobody here does that")
			}
			return eventually(func() error {
				for _, m := range s.Messages("C0123456789") {
					if _, there := m.Button("assent:approve"); there {
						return s.Press("U0123456789", &m, "assent:approve")
					}
				}
				return errors.New("no card with a button to approve")
			})
		},
	}
}

// room is a Teams in which mira presses a button.
func room(t *testing.T) *parts {
	t.Helper()
	const place = "19:approvals@thread.tacv2"
	f := teamstest.New(t)
	return &parts{
		ports: itself(f.URL),
		changes: []change{
			{"app_id: APPLICATION-ID\n", "app_id: " + teamstest.App + "\n      service_url: " + f.URL + "\n      metadata: " + f.URL + "/metadata\n      token_url: " + f.URL + "/token\n"},
			{"TENANT-ID", teamstest.Tenant},
			{"YOUR-OBJECT-ID", teamstest.Object("mira")},
			{"your-client-secret", teamstest.Secret},
		},
		act: func(what string, sc scene) error {
			if what != "mira presses approve" {
				return errors.New("nobody here does that")
			}
			return eventually(func() error {
				for _, post := range f.Posts(place) {
					button := teamstest.Button(post, "approve")
					if button == nil {
						continue
					}
					return tell(sc.text("127.0.0.1:8720"), f.Sign(teamstest.Token{}), f.Press("mira", place, button))
				}
				return errors.New("no card with a button to approve")
			})
		},
	}
}

// tell posts what Microsoft would, by the name that the page has.
func tell(at, authorization string, activity any) error {
	b, err := json.Marshal(activity)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+at+"/channels/teams/messages", bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Host = "assent.example.com"
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var says any
	if err := json.NewDecoder(res.Body).Decode(&says); err != nil {
		return fmt.Errorf("%s: %w", res.Status, err)
	}
	if !strings.Contains(teamstest.Text(says), "approved in teams") {
		return fmt.Errorf("%s: %s", res.Status, teamstest.Text(says))
	}
	return nil
}

// A provider is one in the form of a vendor's.
type provider struct {
	issuer  string // as the page has it
	o       oidctest.Options
	mira    oidctest.User
	objects map[string]string
}

var providers = map[string]provider{
	"Okta": {
		issuer: "https://ORG.okta.com",
		mira:   oidctest.User{Sub: "00u1mira", Name: "Mira", Groups: []string{"00g1reviewers", "00g9admins"}},
	},
	"Microsoft Entra ID": {
		issuer:  "https://login.microsoftonline.com/TENANT-ID/v2.0",
		o:       oidctest.Options{Path: "/" + teamstest.Tenant + "/v2.0", NoIss: true},
		mira:    oidctest.User{Sub: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", Name: "Mira", Groups: []string{"5e1a0000-0000-0000-0000-000000000001", "5e1a0000-0000-0000-0000-000000000009"}},
		objects: map[string]string{"AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ": "0b1e0000-0000-0000-0000-00000000a11a"},
	},
	"Keycloak": {
		issuer: "https://keycloak.example.com/realms/corp",
		o:      oidctest.Options{Path: "/realms/corp", GroupsInUserinfo: true},
		mira:   oidctest.User{Sub: "c0ffee00-0000-4000-8000-00000000a11a", Name: "Mira", Groups: []string{"/reviewers", "/admins"}},
	},
}

func signIn(vendor string) func(*testing.T) *parts {
	return func(t *testing.T) *parts {
		t.Helper()
		v := providers[vendor]
		v.o.Client, v.o.Users = oidctest.Client{ID: "assent", Secret: "your-client-secret"}, []oidctest.User{v.mira}
		idp, err := oidctest.New(v.o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(idp.Close)
		if v.objects != nil {
			idp.Tweak(func(id *oidctest.IDToken) {
				sub, _ := id.Claims["sub"].(string)
				id.Claims["tid"], id.Claims["oid"] = teamstest.Tenant, v.objects[sub]
			})
		}
		return &parts{
			ports: itself(idp.Issuer()), changes: []change{{v.issuer, idp.Issuer()}},
			act: func(what string, s scene) error {
				switch what {
				case "mira opens the link and signs in":
					return surf(s.shown("server"), v.mira.Sub)
				case "mira confirms the code":
					m := regexp.MustCompile(`the code (\S+) `).FindStringSubmatch(s.shown(""))
					if m == nil || !idp.Confirm(m[1], v.mira.Sub) {
						return fmt.Errorf("no code is shown that the provider knows: %q", s.shown(""))
					}
					return nil
				}
				return errors.New("nobody here does that")
			},
		}
	}
}

var (
	adminLink = regexp.MustCompile(`administrator \(once, within ten minutes\): (\S+)`)
	hidden    = regexp.MustCompile(`name="t" value="([^"]+)"`)
	problem   = regexp.MustCompile(`(?s)<p class="problem"[^>]*>(.*?)</p>`)
	away      = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]+)"`)
)

// surf does what a browser does with the link that the server shows.
func surf(server, sub string) error {
	m := adminLink.FindStringSubmatch(server)
	if m == nil {
		return fmt.Errorf("no link is shown: %s", server)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	c := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method, to, site string, form url.Values) (string, http.Header, error) {
		r, err := http.NewRequest(method, to, strings.NewReader(form.Encode()))
		if err != nil {
			return "", nil, err
		}
		r.Header.Set("Sec-Fetch-Site", site)
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := c.Do(r)
		if err != nil {
			return "", nil, err
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode >= 400 {
			err = fmt.Errorf("%s %s: %s: %s", method, to, res.Status, problem.FindSubmatch(b))
		}
		return string(b), res.Header, err
	}
	var body string
	if err := eventually(func() (err error) { // a provider that wasn't found yet has a button that can't be pressed
		if body, _, err = send("GET", m[1], "none", nil); err == nil && strings.Contains(body, " disabled>") {
			err = errors.New("the provider does not answer")
		}
		return err
	}); err != nil {
		return err
	}
	t := hidden.FindStringSubmatch(body)
	if t == nil {
		return fmt.Errorf("the link leads to no button: %.600s", body)
	}
	at, err := url.Parse(m[1])
	if err != nil {
		return err
	}
	body, _, err = send("POST", at.Scheme+"://"+at.Host+"/signin/admin", "same-origin", url.Values{"t": {html.UnescapeString(t[1])}, "issuer": {"corp"}})
	if err != nil {
		return err
	}
	to := away.FindStringSubmatch(body)
	if to == nil {
		return fmt.Errorf("the button leads to no provider: %.600s", body)
	}
	u, err := url.Parse(html.UnescapeString(to[1]))
	if err != nil {
		return err
	}
	form := u.Query()
	form.Set("sub", sub)
	u.RawQuery = ""
	_, header, err := send("POST", u.String(), "same-origin", form)
	if err != nil {
		return err
	}
	if _, _, err = send("GET", header.Get("Location"), "cross-site", nil); err != nil {
		return err
	}
	body, _, err = send("GET", at.Scheme+"://"+at.Host+"/settings", "same-origin", nil)
	if err == nil && !strings.Contains(body, "person:mira") {
		err = fmt.Errorf("mira is not signed in: %.600s", body)
	}
	return err
}
