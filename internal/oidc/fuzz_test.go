package oidc

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// FuzzClaims: what two parsers could read differently is refused, and groups come whole or not at all.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{`{}`, `{"sub":"a","groups":["x"]}`, `{"sub":"a","SUB":"b"}`, `{"sub":"a","sub":"b"}`, `[1]`, `{"groups":null,"hasgroups":true}`, `{"exp":1e400}`, `{"a":1}x`, `{"_claim_names":{"groups":"s"}}`} {
		f.Add(s)
	}
	i, err := New(Config{Name: "corp", Issuer: "https://idp.example", ClientID: "assent", GroupsClaim: "groups"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaims([]byte(text))
		if err != nil {
			return
		}
		for name := range c {
			for _, n := range names {
				if name != n && strings.EqualFold(name, n) {
					t.Fatalf("%q stands beside %q", name, n)
				}
			}
		}
		_, _ = c.time("exp")
		var s SignIn
		if i.read(&s, c) != nil {
			return
		}
		var told []string
		if json.Unmarshal(c["groups"], &told) == nil {
			for _, g := range told {
				if !strings.Contains("\x00"+strings.Join(s.Groups, "\x00")+"\x00", "\x00"+g+"\x00") {
					t.Fatalf("group %q was left out silently", g)
				}
			}
		}
		if len([]rune(s.Name)) > 100 || !clean(s.Name) {
			t.Fatalf("name %q", s.Name)
		}
	})
}

// FuzzAnswer: no answer that this browser didn't ask for gets past its state, whatever is in it.
func FuzzAnswer(f *testing.F) {
	i, err := New(Config{Name: "corp", Issuer: "https://idp.example", ClientID: "assent"})
	if err != nil {
		f.Fatal(err)
	}
	b, err := NewBox([]byte(strings.Repeat("k", 32)))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"state=&code=x", "state=a&state=b", "error=%00", "iss=https://evil.example&code=x&state=x", "AAAA"} {
		f.Add(s)
	}
	flow := &Flow{Issuer: "corp", State: random(), Began: i.c.Clock()}
	f.Fuzz(func(t *testing.T, text string) {
		if q, err := url.ParseQuery(text); err == nil && i.belongs(flow, q) == nil {
			t.Fatalf("%q belongs to a flow that it doesn't know", text)
		}
		var opened Flow
		if b.Open("flow", text, &opened) == nil {
			t.Fatalf("%q opens as a flow", text)
		}
		if p := plain(text); p != text && p != "no reason it can say" {
			t.Fatalf("%q is shown as %q", text, p)
		}
	})
}
