package server

import (
	"os"
	"strings"
	"testing"
)

func TestConfigReferenceIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil || string(got) != ConfigReference() {
		t.Errorf("docs/configuration.md is not current: go run ./cmd/assent config reference > docs/configuration.md (%v)", err)
	}
}

const good = `
people: [{ id: mira, groups: [data-owners] }]
actors: [{ id: exporter, owner: mira }]
gates:
  - name: shop
    type: postgres
    listen: 127.0.0.1:6432
    env: prod
    upstream: { host: 127.0.0.1, database: shop, user: app, tls: "off", password: { env: PW } }
`

func TestLinksLeadToWhereTheConsoleListens(t *testing.T) {
	for listen, want := range map[string]string{
		"": "http://localhost:8720", "127.0.0.1:9000": "http://localhost:9000", "127.0.0.1:0": "http://localhost:8720",
	} {
		text := good
		if listen != "" {
			text += "listen: " + listen + "\n"
		}
		if c, err := ParseConfig("a.yaml", []byte(text)); err != nil || c.PublicURL != want {
			t.Errorf("listen %q: %v, %v; want %s", listen, c.PublicURL, err, want)
		}
	}
}

func TestConfigErrorsNamePlaceAndRemedy(t *testing.T) {
	if _, err := ParseConfig("a.yaml", []byte(good)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown key", "people:", "peoples: []\npeople:", "a.yaml:2:1: unknown key \"peoples\"\n  did you mean people? docs/configuration.md"},
		{"second document", "people:", "---\nlisten: x\n---\npeople:", "second YAML document"},
		{"no owner", "owner: mira", "owner: bob", "a.yaml:3:33: actors[0].owner: \"bob\" is not among people\n  add them"},
		{"plain password", "password: { env: PW }", "password: hunter2hunter2", "a.yaml:9:"},
		{"two sources", "{ env: PW }", "{ env: PW, file: x }", "names 2 sources"},
		{"beyond loopback", "127.0.0.1:6432", "0.0.0.0:6432", "a.yaml:7:13: gates[0].listen: listens beyond loopback without TLS"},
		{"who is on call administers", "people:", "oncall: [{ group: admins, people: [mira], start: 2026-11-01T00:00:00Z, every: 7d }]\npeople:", "oncall[0].group: admins administers"},
		{"no env", "    env: prod\n", "", "gates[0].env: is missing"},
		{"unknown gate", "type: postgres", "type: oracle", "write one of: " + strings.Join(gateTypeNames(), ", ")},
		{"tls off to a far host", "host: 127.0.0.1", "host: db.example.com", "off is for loopback"},
		{"detector without anything to look for", "people:", "detect: { detectors: [{ class: badge, group: hr, regex: '[a-z]+[0-9]' }] }\npeople:", "detect.detectors[0]: regex: no text of 3 bytes"},
		{"detector with a backreference", "people:", "detect: { detectors: [{ class: badge, group: hr, regex: '(BADGE)\\1' }] }\npeople:", "detect.detectors[0]: regex: error parsing regexp"},
		{"detector of no class", "people:", "detect: { detectors: [{ class: badge, regex: BADGE }] }\npeople:", "detect.detectors[0]: class \"badge\": no such class"},
		{"column of a class nobody detects", "people:", "columns: { a.b: hr/badge }\npeople:", "columns: catalogue column"},
		{"spans in clear", "people:", "trace: { otlp: { url: 'http://otel.example.com/v1/traces' } }\npeople:", "a.yaml:2:23: trace.otlp.url: is not https"},
		{"spans of no parent", "people:", "trace: { otlp: { url: 'https://otel.example.com/v1/traces' }, came: agent, one_in: -1 }\npeople:", "trace.came: \"agent\" is neither link nor parent"},
		{"spans with a plain credential", "people:", "trace: { otlp: { url: 'https://otel.example.com/v1/traces', headers: { Authorization: hunter2 } } }\npeople:", "a.yaml:2:"},
		{"person twice", "[{ id: mira,", "[{ id: mira }, { id: mira,", "stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.from, c.to, 1)
			if text == good {
				t.Fatal("the case changes nothing")
			}
			_, err := ParseConfig("a.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant  %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// What is not the YAML we read, each with what is said of it. A value is never said.
func TestConfigBadInput(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"tab", "people:\n\t- id: hunter2\n", "a.yaml:2:1: a tab where YAML wants spaces\n  indent by spaces"},
		{"UTF-16", "\xff\xfep\x00", "a.yaml:1:1: not UTF-8 text\n  save the file as UTF-8"},
		{"not UTF-8 later", "listen: 127.0.0.1:1\ndata: \"h\xff\"\n", "a.yaml:2:9: not UTF-8 text"},
		{"control character", "listen: \"\x1b]52;c;x\a\"\n", "a.yaml:1:10: a control character"},
		{"too long", "# " + strings.Repeat("x", maxConfig), "a.yaml:1:1: longer than 1024 KiB"},
		{"nested brackets", "people: " + strings.Repeat("[\n", 1000), "nested too deeply"},
		{"nested dashes", strings.Repeat("- ", 100_000), "nested too deeply, or a line that is too long"},
		{"second document that is empty", "data: x\n---\n", "a second YAML document"},
		{"anchor", "policy: &a [x]\n", "a.yaml:1:9: policy: anchors, aliases, tags and directives are not read here\n  write the value out"},
		{"alias bomb", "policy: &a [x,x,x]\nhosts: [*a,*a,*a]\n", "a.yaml:2:9: hosts[0]: anchors"},
		{"alias of itself", "policy: &a [*a]\n", "a.yaml:1:9: policy: anchors"},
		{"merge key", "log: { level: info }\nlimits: { <<: { spool_bytes: 1 } }\n", "limits: anchors"},
		{"tag", "listen: !!binary hunter2\n", "a.yaml:1:9: listen: anchors"},
		{"scalar for the whole", "hunter2\n", "a.yaml:1:1: wants keys and values\n  its keys are data, store,"},
		{"list for the whole", "- hunter2\n", "a.yaml:1:1: wants keys and values"},
		{"number for a list", "people: 5\n", "a.yaml:1:9: people: wants a list"},
		{"list for text", "listen: [hunter2]\n", "a.yaml:1:9: listen: wants text"},
		{"section for text", "listen: { hunter2: x }\n", "a.yaml:1:9: listen: wants text"},
		{"list for a map", "gates: [{ labels: [hunter2] }]\n", "a.yaml:1:19: gates[0].labels: wants keys and values"},
		{"list in a map", "columns: { a: [x] }\n", "a.yaml:1:15: columns.a: wants text"},
		{"text for a number", "gates: [{ upstream: { port: hunter2 } }]\n", "a.yaml:1:29: gates[0].upstream.port: wants a whole number"},
		{"fraction", "limits: { pending_per_actor: 1.5 }\n", "a.yaml:1:30: limits.pending_per_actor: wants a whole number"},
		{"overflow", "limits: { spool_bytes: 99999999999999999999 }\n", "a.yaml:1:24: limits.spool_bytes: wants a whole number"},
		{"duration in words", "limits: { approval_window: 5 minutes }\n", "a.yaml:1:28: limits.approval_window: wants a duration\n  for example 90s"},
		{"duration without unit", "limits: { approval_window: 5 }\n", "limits.approval_window: wants a duration"},
		{"port", strings.Replace(good, "database:", "port: 99999, database:", 1), "gates[0].upstream.port: 99999 is no port"},
		{"listening port", "listen: 127.0.0.1:http\n", "a.yaml:1:9: listen: \"127.0.0.1:http\" is not host:port"},
		{"key twice", "listen: a\nlisten: b\n", "a.yaml:2:1: mapping key \"listen\" already defined"},
		{"empty entry", "gates:\n  - \n", "gates[0]: is empty"},
		{"half a key pair", "tls: { cert: a }\n", "a.yaml:1:6: tls: needs both cert and key"},
		{"password in the file", strings.Replace(good, "password: { env: PW }", "password: hunter2", 1), "gates[0].upstream.password: wants keys and values\n  a secret never stands in this file"},
		{"misspelt source", strings.Replace(good, "{ env: PW }", "{ evn: hunter2 }", 1), "gates[0].upstream.password: unknown key \"evn\"\n  did you mean env?"},
		{"after a marker", "listen: 127.0.0.1:1\n...\nfoo: hunter2\n", "a second YAML document"},
		{"secret beside a mistake", "data: hunter2\nlisten: a: b\ncolumns: hunter2\n", "a.yaml:2:"},
		{"block header", "data: |hunter2\n  x\n", "a.yaml:1:"},
		{"quote that does not end", "data: \"hunter2\n", "a.yaml:1:7: could not find end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseConfig("a.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant  %s", err, c.want)
			}
			if err != nil {
				mustBePlain(t, err)
			}
		})
	}
}

// mustBePlain fails where an error shows a value, or the inside of the decoder.
func mustBePlain(t *testing.T, err error) {
	t.Helper()
	for _, s := range []string{"hunter2", "unmarshal", "Go struct", "interface {}", "goccy", "ast.", "token."} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error says %q: %v", s, err)
		}
	}
}

func TestConfigWithByteOrderMark(t *testing.T) {
	c, err := ParseConfig("a.yaml", []byte("\ufeff"+good))
	if err != nil || len(c.Gates) != 1 {
		t.Errorf("ParseConfig = %v, %v", c, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("limits: { approval_window: 5m, <<: { spool_bytes: 0x10 } }\n"))
	f.Add([]byte("log: |+2\n  x\n---\n"))
	f.Add([]byte("people: [~, { id: a, groups: [b] }]\ndefault: { prod: review }\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig("a.yaml", b)
		if (c == nil) == (err == nil) && err == nil {
			t.Fatal("neither a configuration nor an error")
		}
		if err == nil {
			return
		}
		for _, s := range []string{"Go struct", "unmarshal", "interface {}"} {
			if strings.Contains(err.Error(), s) && !strings.Contains(string(b), s) {
				t.Errorf("the error says %q: %v", s, err)
			}
		}
		if !strings.HasPrefix(err.Error(), "a.yaml:") {
			t.Errorf("the error has no place: %v", err)
		}
	})
}
