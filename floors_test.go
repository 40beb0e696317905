package assent_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/assenthq/assent"

// floors lists our packages from the ground up (docs/architecture.md). A package may import only
// packages on lower floors: no cycles, no reaching sideways or up. A name ending in "/..." covers what lies below it.
var floors = [][]string{
	{"action", "internal/freeport", "internal/keyfile", "internal/leaves", "internal/backup", "internal/show", "internal/page", "internal/jsontext", "internal/recording", "internal/words", "internal/hookfiles", "internal/webwire", "internal/certs", "internal/netguard", "internal/sigv4", "internal/awskey", "internal/names", "internal/gates/mysql/mariadbtest", "internal/detect/detecttest", "internal/trace"},
	{"evidence", "internal/pgcluster", "internal/identity", "internal/detect"},
	{"internal/passkey/passkeytest", "internal/classify/sql", "internal/classify/mysql", "internal/classify/uses", "internal/classify/kubernetes", "internal/policy", "internal/grant", "internal/passport", "internal/audit", "internal/oidc", "internal/workload/..."},
	{"internal/mask", "internal/facts", "internal/bodies", "internal/audit/audittest", "internal/audit/bucket/...", "internal/witness", "internal/oidc/oidctest", "internal/sealed", "internal/classify/shell", "internal/classify/http", "internal/decisionpoint"},
	{"internal/scan", "internal/replay", "internal/accuracy", "internal/classify/mcp", "internal/classify/llm", "internal/classify/aws/...", "internal/session", "internal/approval", "internal/people", "internal/passkey", "internal/freeze", "internal/enrol", "internal/habit", "internal/actors"},
	{"gate", "internal/connector", "internal/change", "internal/trail", "internal/emergency", "internal/store", "internal/card", "internal/calm", "internal/suggest"},
	{"internal/veil", "internal/stream", "internal/known", "internal/controls", "internal/ocsf"},
	{"internal/erase", "internal/enforce", "gate/httpgate", "internal/rules", "internal/pins", "gate/gatetest", "internal/store/storetest", "internal/notify"},
	{"internal/remote", "internal/gates/...", "internal/store/sqlite", "internal/store/postgres", "internal/channels/...", "client"},
	{"internal/api", "internal/console", "internal/scim", "internal/asktools", "internal/notify/notifytest"},
	{"internal/server", "internal/launch"},
	{"internal/demo"},
	{"internal/cli"},
	{"cmd/assent", "cmd/assent-verify", "e2e/..."},
}

func floorOf(path string) (int, bool) {
	rel := strings.TrimPrefix(path, module+"/")
	for i, floor := range floors {
		for _, p := range floor {
			if rel == p || strings.HasSuffix(p, "/...") && strings.HasPrefix(rel+"/", strings.TrimSuffix(p, "...")) {
				return i, true
			}
		}
	}
	return 0, false
}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.ImportPath == module {
			continue
		}
		seen++
		mine, ok := floorOf(p.ImportPath)
		if !ok {
			t.Errorf("%s is on no floor: add it to floors", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module+"/") || sameHouse(p.ImportPath, imp) {
				continue
			}
			if theirs, ok := floorOf(imp); ok && theirs >= mine {
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.ImportPath, mine, imp, theirs)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("go list named %d packages; the walk is broken", seen)
	}
}

// sameHouse allows a package to import one that lies inside it, as classify/sql may its own parser.
func sameHouse(path, imp string) bool { return strings.HasPrefix(imp, path+"/") }

var (
	floorRow = regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \|$`)
	quoted   = regexp.MustCompile("`([^`]+)`")
)

// TestTheDocumentedFloors holds the table of docs/architecture.md against floors.
func TestTheDocumentedFloors(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := floorRow.FindAllStringSubmatch(string(text), -1)
	if len(rows) != len(floors) {
		t.Fatalf("the table has %d floors, the test %d", len(rows), len(floors))
	}
	for i, row := range rows {
		var told []string
		for _, m := range quoted.FindAllStringSubmatch(row[2], -1) {
			told = append(told, m[1])
		}
		want := slices.Clone(floors[i])
		slices.Sort(told)
		slices.Sort(want)
		if row[1] != strconv.Itoa(i) || !slices.Equal(told, want) {
			t.Errorf("floor %s is %v in docs/architecture.md, and floor %d %v here", row[1], told, i, want)
		}
	}
}
