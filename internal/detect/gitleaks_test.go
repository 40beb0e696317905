package detect

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// Rules of gitleaks whose provider we call otherwise; the others are called as
// their rule begins.
var gitleaksClass = map[string]string{
	"airtable-personnal-access-token": "airtable-token", "sendinblue": "brevo-token", "hashicorp-tf-api": "terraform-token", "hashicorp-tf-password": "dsn-password",
	"aws": "aws-key", "gcp": "gcp-key", "github": "github-token", "stripe": "stripe-key", "age": "age-key", "private-key": "pem", "jwt": "jwt",
	"cisco-meraki": "meraki-token", "microsoft-teams": "teams-webhook", "new-relic": "newrelic-token", "octopus-deploy": "octopus-token", "travisci": "travis-token",
	"sumologic": "sumo-token", "sidekiq-sensitive-url": "dsn-password", "nuget-config-password": "dsn-password", "azure": "azure-key",
	"jfrog": "artifactory-token", "freemius": "sensitive",
	"generic": "sensitive dsn-password", "curl": "sensitive dsn-password", "kubernetes-secret": "sensitive dsn-password pem",
}

// gitleaksWhy lists the examples that go another way here, by rule and a part of the
// text or path, and why.
var gitleaksWhy = []struct{ rule, part, why string }{
	{"pkcs12-file", "", "a file by its name: values are looked for, not files"},
	{"", "_TOKEN==", "a value that begins with '=' makes a comparison of the assignment"},
	{"jwt", "\\", "a generator puts backslashes into tokens: no token has any"},
	{"jwt-base64", "ZXlKemRuUWlPbjAu", "its header has no alg, so that it is no token"},
	{"azure-ad-client-secret", "GN.7Q~", "of 31 characters no sixteen stand together: secrets like it are one in twenty"},
	{"anthropic", "sk-ant-", "a key of the same provider, by another of its rules"},
	{"cloudflare", "", "a key of the same provider, by another of its rules"},
	{"mailchimp-api-key", "MailchimpSDK", "a key, in a place where theirs is not looked for"},
	{"aws-access-token", "EXAMPLE", "an example from documents is masked all the same: 0.5"},
	{"gcp-api-key", "AIza", "keys of published samples are masked all the same"},
	{"freemius-secret-key", "sk_ubb4", "the file's name is not looked at"},
	{"hashicorp-tf-password", "rootpasswd", "the file's name is not looked at"},
	{"nuget-config-password", "assword", "the file's name is not looked at, and a password of documents is a password"},
}

func gitleaksExcused(rule, path, text string) bool {
	return slices.ContainsFunc(gitleaksWhy, func(w struct{ rule, part, why string }) bool {
		return strings.HasPrefix(rule, w.rule) && (strings.Contains(text, w.part) || strings.Contains(path, w.part))
	})
}

func classOfRule(rule string) []string {
	name := rule
	for name != "" {
		if c := gitleaksClass[name]; c != "" {
			return strings.Fields(c)
		}
		if slices.Contains(tokenClasses(), Class(name+"-token")) {
			return []string{name + "-token"}
		}
		cut := strings.LastIndexByte(name, '-')
		name = name[:max(cut, 0)]
	}
	return []string{rule}
}

// TestGitleaks holds the detectors to the examples of gitleaks' own rules, which
// scripts/oracle takes from a checkout: one JSON object a line with rule, path,
// text and want.
func TestGitleaks(t *testing.T) {
	name := os.Getenv("ASSENT_GITLEAKS")
	if name == "" {
		t.Skip("ASSENT_GITLEAKS names no file of examples: scripts/oracle gitleaks CHECKOUT makes one")
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var tp, fp, found, classed, right, silent, other int
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c struct {
			Rule, Path, Text string
			Want             bool
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		got := e.ScanString(c.Text, nil)
		of := classOfRule(c.Rule)
		secrets, same := 0, 0
		for _, f := range got {
			if slices.Contains(GroupOf(f.Class), Secret) {
				secrets++
			}
			// What a general rule takes for any key may be known as that of a provider.
			if slices.Contains(of, string(f.Class)) || c.Want && of[0] == "sensitive" && slices.Contains(tokenClasses(), f.Class) {
				same++
			}
		}
		switch {
		case c.Want:
			if tp++; same > 0 {
				classed++
			}
			if secrets > 0 {
				found++
			} else if excused := gitleaksExcused(c.Rule, c.Path, c.Text); excused {
				other++
			} else {
				t.Errorf("missed %s %s: %.160q", c.Rule, c.Path, c.Text)
			}
			if secrets > 0 && same == 0 {
				t.Logf("as another %s (%s): %v", c.Rule, of, got)
			}
		default:
			if fp++; same == 0 {
				right++
			} else if excused := gitleaksExcused(c.Rule, c.Path, c.Text); excused {
				other++
			} else {
				t.Errorf("wrongly found %s %s: %.200q: %v", c.Rule, c.Path, c.Text, got)
			}
			if secrets == 0 {
				silent++
			}
		}
	}
	t.Logf("%d of %d true examples found, %d as the class of their provider; %d of %d false ones not found as the class of their rule, %d not at all; %d go another way for reasons that are listed", found, tp, classed, right, fp, silent, other)
}
