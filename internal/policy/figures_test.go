package policy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/policy"
)

// A labelled request is one whose worth somebody else told: 0 harmless, 1 ordinary but not
// for free, 2 dangerous.
type labelled struct {
	request
	worth int
}

// A tally counts what a pack made of labelled requests.
type tally struct{ all, flows, waits, refused [3]int }

func (t *tally) add(worth int, v policy.Verdict) {
	t.all[worth]++
	switch v {
	case policy.Allow:
		t.flows[worth]++
	case policy.Review:
		t.waits[worth]++
	default:
		t.refused[worth]++
	}
}

func share(n, of int) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d (%s %%)", n, of, strings.TrimSuffix(fmt.Sprintf("%.1f", 100*float64(n)/float64(of)), ".0"))
}

// lines of a corpus of SQL or shell, without those that people may disagree about.
func corpus(t testing.TB, file string) (out []labelled) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l struct {
			SQL, Script, Level string
			Argv               []string
			Valid, Debatable   bool
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		worth := slices.Index([]string{"allow", "review", "deny-or-review"}, l.Level)
		if !l.Valid || l.Debatable || worth < 0 {
			continue
		}
		out = append(out, labelled{request{SQL: l.SQL, Script: l.Script, Argv: l.Argv}, worth})
	}
	return out
}

// operations are those of AWS, by the access level that IAM's reference gives each.
func operations(t testing.TB) (out []labelled) {
	t.Helper()
	text, err := os.ReadFile("../classify/aws/table.txt")
	if err != nil {
		t.Fatal(err)
	}
	service := ""
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if f[0] == "@" {
			service = f[1]
		}
		if worth, told := map[string]int{"R": 0, "L": 0, "W": 1, "T": 1, "P": 2}[f[1]]; told && f[0][0] >= 'A' && f[0][0] <= 'Z' {
			out = append(out, labelled{request{AWS: service + ":" + f[0]}, worth})
		}
	}
	return out
}

// tools are those of MCP servers that were recorded, by what the servers say of them.
func tools(t testing.TB) (out []labelled) {
	t.Helper()
	for file, kind := range map[string]string{
		"context7": "search", "everything": "everything", "fetch": "fetch", "filesystem": "filesystem", "git": "git", "github": "github",
		"memory": "memory", "notion": "notion", "playwright": "browser", "sequential-thinking": "sequential-thinking", "time": "time",
	} {
		text, err := os.ReadFile(filepath.Join("../classify/mcp/testdata/lists", file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Tools []json.RawMessage }
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		for _, raw := range list.Tools {
			var hints struct {
				Annotations *struct{ ReadOnlyHint, DestructiveHint bool }
			}
			def, err := mcp.Parse(raw)
			if err := json.Unmarshal(raw, &hints); err != nil || hints.Annotations == nil {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			l := labelled{worth: 1}
			l.MCP = &struct {
				Server, Tool string
				Args         json.RawMessage
			}{Server: kind, Tool: def.Name}
			switch {
			case hints.Annotations.ReadOnlyHint:
				l.worth = 0
			case hints.Annotations.DestructiveHint:
				l.worth = 2
			}
			out = append(out, l)
		}
	}
	return out
}

// TestFigures measures how often starter packs ask, over requests that others labelled, and
// keeps docs/packs.md. Run it with -v to see the table, with -update to write the page.
func TestFigures(t *testing.T) {
	d := newDesks(t)
	var b strings.Builder
	b.WriteString("| requests | pack | environment | harmless: nobody is asked | ordinary: held | dangerous: held or refused | refused |\n|---|---|---|---|---|---|---|\n")
	for _, set := range []struct {
		name  string
		packs []string
		envs  []string
		all   []labelled
	}{
		{"SQL", []string{"default", "databases"}, []string{"prod", "dev"}, corpus(t, "../classify/sql/testdata/corpus.jsonl")},
		{"commands", []string{"default", "shell", "coding-agents"}, []string{"prod", "dev"}, corpus(t, "../classify/shell/testdata/corpus.jsonl")},
		{"AWS operations", []string{"default", "cloud"}, []string{"prod", "dev"}, operations(t)},
		{"MCP tools", []string{"default", "mcp"}, []string{"prod"}, tools(t)},
	} {
		if len(set.all) < 100 {
			t.Fatalf("%s: only %d requests", set.name, len(set.all))
		}
		for _, pack := range set.packs {
			rules := starter(t, pack)
			for _, env := range set.envs {
				var n tally
				for i := range set.all {
					l := set.all[i]
					l.Env = env
					got, err := d.decide(rules, &l.request)
					if err != nil {
						t.Fatalf("%s: %v", l.asked(), err)
					}
					n.add(l.worth, got.Verdict)
					if l.worth == 2 && got.Verdict == policy.Allow {
						t.Logf("%s lets flow in %s: %s", pack, env, l.asked())
					}
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %d |\n", set.name, pack, env, share(n.flows[0], n.all[0]),
					share(n.all[1]-n.flows[1], n.all[1]), share(n.all[2]-n.flows[2], n.all[2]), n.refused[2])
				if told := set.name != "MCP tools"; told && n.flows[2]*100 > n.all[2] || n.flows[2]*4 > n.all[2] {
					t.Errorf("%s, %s: %d dangerous requests of %d flow in %s", set.name, pack, n.flows[2], n.all[2], env)
				}
				if n.flows[0]*5 < n.all[0]*4 {
					t.Errorf("%s, %s: of %d harmless requests only %d flow in %s", set.name, pack, n.all[0], n.flows[0], env)
				}
			}
		}
	}
	t.Log("\n" + b.String())
	page(t, map[string]string{"packs": described(t), "threats": threats(t), "figures": b.String()})
}

// page holds the generated parts of docs/packs.md against what they should be.
func page(t *testing.T, parts map[string]string) {
	t.Helper()
	const file = "../../docs/packs.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	for name, want := range parts {
		begin, end := "<!-- "+name+": generated by go test ./internal/policy -run TestFigures -update -->\n", "<!-- end of "+name+" -->\n"
		before, rest, ok := strings.Cut(got, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s has no part %s", file, name)
		}
		got = before + begin + "\n" + want + "\n" + end + after
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(text) {
		t.Errorf("%s isn't current: go test ./internal/policy -run TestFigures -update", file)
	}
}

// described is each pack with its rules, and what it does not stop.
func described(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for i, name := range policy.StarterNames() {
		s, err := policy.ReadStarter(name)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "### %s\n\n%s\n\nAsks %s. %d rules, %d tests.\n\n| rule | what it is about | does | threats |\n|---|---|---|---|\n", name, s.About, quoted(s.Groups), len(s.Rules), s.Tests)
		for _, r := range s.Rules {
			does := r.Then
			if r.Count > 0 {
				from := make([]string, len(r.From))
				for i, g := range r.From {
					from[i] = strings.TrimPrefix(g, "group:")
				}
				does += fmt.Sprintf(": %d of %s", r.Count, strings.Join(from, ", "))
				if r.Then == "deny" {
					does = fmt.Sprintf("deny; in an emergency %d of %s", r.Count, strings.Join(from, ", "))
				}
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.ID, r.About, does, strings.Join(r.Tags, " "))
		}
		b.WriteString("\nDoes not stop:\n\n")
		for _, open := range s.Open {
			fmt.Fprintf(&b, "- %s\n", open)
		}
	}
	return b.String()
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, "`"+s+"`")
	}
	return strings.Join(out, ", ")
}

// names of the threats that tags stand for: OWASP Top 10 for Agentic Applications 2026, and
// MITRE ATT&CK v19.
var names = map[string]string{
	"ASI01": "Agent Goal Hijack", "ASI02": "Tool Misuse and Exploitation", "ASI03": "Identity and Privilege Abuse", "ASI04": "Agentic Supply Chain Vulnerabilities",
	"ASI05": "Unexpected Code Execution", "ASI06": "Memory and Context Poisoning", "ASI07": "Insecure Inter-Agent Communication", "ASI08": "Cascading Failures",
	"ASI09": "Human-Agent Trust Exploitation", "ASI10": "Rogue Agents",
	"T1003.008": "OS Credential Dumping: /etc/passwd and /etc/shadow", "T1005": "Data from Local System", "T1020": "Automated Exfiltration",
	"T1041": "Exfiltration Over C2 Channel", "T1048": "Exfiltration Over Alternative Protocol", "T1053.003": "Scheduled Task/Job: Cron",
	"T1059": "Command and Scripting Interpreter", "T1059.004": "Command and Scripting Interpreter: Unix Shell", "T1059.006": "Command and Scripting Interpreter: Python",
	"T1070": "Indicator Removal", "T1070.004": "Indicator Removal: File Deletion", "T1071.001": "Application Layer Protocol: Web Protocols",
	"T1098": "Account Manipulation", "T1098.001": "Account Manipulation: Additional Cloud Credentials", "T1098.003": "Account Manipulation: Additional Cloud Roles",
	"T1098.004": "Account Manipulation: SSH Authorized Keys", "T1098.006": "Account Manipulation: Additional Container Cluster Roles",
	"T1105": "Ingress Tool Transfer", "T1136": "Create Account", "T1136.003": "Create Account: Cloud Account",
	"T1195.001": "Supply Chain Compromise: Compromise Software Dependencies and Development Tools", "T1195.002": "Supply Chain Compromise: Compromise Software Supply Chain",
	"T1213": "Data from Information Repositories", "T1222.002": "File and Directory Permissions Modification: Linux and Mac", "T1485": "Data Destruction",
	"T1489": "Service Stop", "T1490": "Inhibit System Recovery", "T1505.001": "Server Software Component: SQL Stored Procedures", "T1528": "Steal Application Access Token",
	"T1530": "Data from Cloud Storage", "T1534": "Internal Spearphishing", "T1537": "Transfer Data to Cloud Account", "T1539": "Steal Web Session Cookie",
	"T1546.004": "Event Triggered Execution: Unix Shell Configuration Modification", "T1550.001": "Use Alternate Authentication Material: Application Access Token",
	"T1552": "Unsecured Credentials", "T1552.001": "Unsecured Credentials: Credentials In Files", "T1552.004": "Unsecured Credentials: Private Keys",
	"T1552.007": "Unsecured Credentials: Container API", "T1555": "Credentials from Password Stores", "T1555.006": "Credentials from Password Stores: Cloud Secrets Management Stores",
	"T1561": "Disk Wipe", "T1565.001": "Data Manipulation: Stored Data Manipulation", "T1567": "Exfiltration Over Web Service", "T1567.001": "Exfiltration Over Web Service: Exfiltration to Code Repository",
	"T1578": "Modify Cloud Compute Infrastructure", "T1578.002": "Modify Cloud Compute Infrastructure: Create Cloud Instance", "T1578.003": "Modify Cloud Compute Infrastructure: Delete Cloud Instance",
	"T1609": "Container Administration Command", "T1610": "Deploy Container", "T1611": "Escape to Host", "T1648": "Serverless Execution", "T1657": "Financial Theft",
	"T1685": "Disable or Modify Tools", "T1685.002": "Disable or Modify Tools: Disable or Modify Cloud Log", "T1686": "Disable or Modify System Firewall", "T1686.001": "Disable or Modify System Firewall: Cloud Firewall",
}

// threats is each tag with the rules that are about it.
func threats(t *testing.T) string {
	t.Helper()
	rules := map[string][]string{}
	for _, pack := range policy.StarterNames() {
		s, err := policy.ReadStarter(pack)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Rules {
			for _, tag := range r.Tags {
				if names[tag] == "" {
					t.Errorf("%s/%s: nobody has looked up %s", pack, r.ID, tag)
				}
				rules[tag] = append(rules[tag], "`"+pack+"/"+r.ID+"`")
			}
		}
	}
	var b strings.Builder
	b.WriteString("| threat | rules |\n|---|---|\n")
	var tags []string
	for tag := range names {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	for _, tag := range tags {
		if len(rules[tag]) == 0 {
			t.Errorf("%s is named, and no rule is about it", tag)
		}
		fmt.Fprintf(&b, "| %s %s | %s |\n", tag, names[tag], strings.Join(rules[tag], ", "))
	}
	return b.String()
}
