package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// TestDockerfile: BuildKit reads it without a warning, and the image has no root and no shell to want one.
func TestDockerfile(t *testing.T) {
	b, err := os.ReadFile("../../packaging/docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	ast, err := parser.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ast.Warnings {
		t.Error(w.Short)
	}
	l := linter.New(&linter.Config{Warn: func(rule, _, _, what string, _ []parser.Range) { t.Errorf("%s: %s", rule, what) }})
	stages, _, err := instructions.Parse(ast.AST, l)
	if err != nil {
		t.Fatal(err)
	}
	user, health, entry := "", false, false
	for _, c := range stages[len(stages)-1].Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.HealthCheckCommand:
			health = len(c.Health.Test) > 1 && c.Health.Test[0] == "CMD" && c.Health.Test[1] == "/usr/bin/assent"
		case *instructions.EntrypointCommand:
			entry = !c.PrependShell
		case *instructions.RunCommand:
			t.Error("the image has no shell to run anything with")
		case *instructions.EnvCommand:
			t.Errorf("a variable in the image: %v", c)
		}
	}
	if user != "65532:65532" || !health || !entry {
		t.Errorf("user %q, health check by the program %v, started without a shell %v", user, health, entry)
	}
}

// What the build's context leaves out, git must not track: Go would find the clone changed, and the binary bear
// no clean version. And what may be secret stays out.
func TestDockerignore(t *testing.T) {
	b, err := os.ReadFile("../../packaging/docker/Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	out := func(path string) bool {
		is, err := m.MatchesOrParentMatches(path)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	list, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if out(path) {
			t.Errorf("%s is tracked and left out", path)
		}
	}
	for _, path := range []string{"assent-data/keys/seal.key", "deploy/assent-data/assent.db", "pg.password", "coder.token", "a/b/corp.secret", "keys/log.key"} {
		if !out(path) {
			t.Errorf("%s gets into the build", path)
		}
	}
}

// TestCompose: compose-go reads it, by Compose's own schema; nothing is secret, nothing open beyond this machine,
// and the guarded database shares a network with Assent alone.
func TestCompose(t *testing.T) {
	const file = "../../packaging/docker/compose.yaml"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	load := func(text []byte) (*types.Project, error) {
		return loader.LoadWithContext(t.Context(), types.ConfigDetails{WorkingDir: "../../packaging/docker", ConfigFiles: []types.ConfigFile{{Filename: file, Content: text}}})
	}
	p, err := load(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(bytes.Replace(b, []byte("cap_drop:"), []byte("cap_dorp:"), 1)); err == nil {
		t.Error("a misspelled key is taken")
	}
	shares := map[string][]string{}
	for name, s := range p.Services {
		if s.Privileged || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s listens beyond this machine: %v", name, port)
			}
		}
		for key, value := range s.Environment {
			if strings.Contains(key, "PASSWORD") && !strings.HasSuffix(key, "_FILE") {
				t.Errorf("%s: %s is %v", name, key, value)
			}
		}
		for network := range s.Networks {
			shares[network] = append(shares[network], name)
		}
	}
	for _, network := range []string{"shop", "store"} {
		who := shares[network]
		slices.Sort(who)
		if !slices.Equal(who, []string{"assent", network}) || !p.Networks[network].Internal {
			t.Errorf("network %s: %q, internal %v", network, who, p.Networks[network].Internal)
		}
	}
	if a := p.Services["assent"]; !a.ReadOnly || a.User != "65532:65532" || !slices.Equal(a.CapDrop, []string{"ALL"}) || len(a.CapAdd) > 0 {
		t.Error("Assent may write its image, is root, or has capabilities")
	}
}
