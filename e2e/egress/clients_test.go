package egress_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
)

func hello(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello "+r.URL.Path) }

func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: scripts/install gets what it needs", err)
	}
	return path
}

func TestCurl(t *testing.T) {
	h := newHouse(t, map[string]http.Handler{"api.example.com": http.HandlerFunc(hello)})
	need(t, "curl")
	if out := h.run("curl", "-sS", "--fail", "https://api.example.com/one"); !strings.Contains(out, "hello /one") {
		t.Error(out)
	}
	if out := h.run("curl", "-sS", "--http1.1", "https://api.example.com/two"); !strings.Contains(out, "hello /two") {
		t.Error(out)
	}
	h.reached("api.example.com", "/one")
	if out := h.run("curl", "-sS", "--fail", h.url+"/v1/ca"); strings.Count(out, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("/v1/ca: %s", out)
	}
	out, err := h.assent([]string{"run", "--", "curl", "-sS", "https://unlisted.example.com/"})
	if err == nil || !strings.Contains(out, "403") {
		t.Errorf("%v: %s", err, out)
	}
}

// A held request is approved, made again, and goes on byte by byte.
func TestHeldAndApproved(t *testing.T) {
	h := newHouse(t, map[string]http.Handler{"api.example.com": http.HandlerFunc(hello)})
	body := "line one\nline two \u00e9\n"
	file := h.write("body.txt", body)
	ended := make(chan string, 1)
	go func() {
		out, _ := h.assent([]string{"run", "--", "curl", "-sS", "--data-binary", "@" + file, "https://api.example.com/send"})
		ended <- out
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	var held *client.Approval
	for held == nil {
		page, err := h.mira.Approvals(ctx, client.ListOptions{States: []string{"pending"}})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Approvals) > 0 {
			held = page.Approvals[0]
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := len(h.requests()); n != 0 {
		t.Fatalf("%d requests went on before anybody approved", n)
	}
	whole, err := h.mira.Approval(ctx, held.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.mira.Review(ctx, whole, "approve", "fine"); err != nil {
		t.Fatal(err)
	}
	select {
	case out := <-ended:
		if !strings.Contains(out, "hello /send") {
			t.Error(out)
		}
	case <-ctx.Done():
		t.Fatal("curl did not go on")
	}
	if got := h.requests(); len(got) != 1 || got[0].body != body {
		t.Errorf("%+v", got)
	}
}

func TestPython(t *testing.T) {
	h := newHouse(t, map[string]http.Handler{"api.example.com": http.HandlerFunc(hello)})
	python, err := filepath.Abs("../../.cache/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("%v: scripts/install gets what it needs", err)
	}
	if out := h.run(python, "-c", "import urllib.request as u; print(u.urlopen('https://api.example.com/urllib').read())"); !strings.Contains(out, "hello /urllib") {
		t.Error(out)
	}
	if out := h.run(python, "-c", "import requests; print(requests.get('https://api.example.com/requests').text)"); !strings.Contains(out, "hello /requests") {
		t.Error(out)
	}
	h.reached("api.example.com", "/urllib")
}

func TestNode(t *testing.T) {
	h := newHouse(t, map[string]http.Handler{"api.example.com": http.HandlerFunc(hello)})
	node, err := filepath.Abs("../mcp/node_modules/node/bin/node") // Node.js 22, whose fetch looks at proxy variables
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(node); err != nil {
		t.Fatalf("%v: scripts/install gets what it needs", err)
	}
	if out := h.run(node, "-e", "fetch('https://api.example.com/fetch').then(r => r.text()).then(console.log)"); !strings.Contains(out, "hello /fetch") {
		t.Error(out)
	}
	h.reached("api.example.com", "/fetch")
}

func TestGit(t *testing.T) {
	git := need(t, "git")
	repos := t.TempDir()
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", "work"},
		{"-C", "work", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "first"},
		{"clone", "-q", "--bare", "work", "repo.git"},
	} {
		cmd := exec.CommandContext(t.Context(), git, args...)
		cmd.Dir = repos
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	path, err := exec.CommandContext(t.Context(), git, "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, map[string]http.Handler{"git.example.com": &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + repos, "GIT_HTTP_EXPORT_ALL=1"}}})
	h.run(git, "clone", "-q", "https://git.example.com/repo.git", "copy")
	out, err := exec.CommandContext(t.Context(), git, "-C", filepath.Join(h.dir, "copy"), "log", "--format=%s").Output()
	if err != nil || strings.TrimSpace(string(out)) != "first" {
		t.Errorf("%s, %v", out, err)
	}
	h.reached("git.example.com", "/repo.git/git-upload-pack")
}

func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(f, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPip(t *testing.T) {
	wheel := archive(t, map[string]string{
		"tiny.py":                          "word = 'tiny'\n",
		"tiny-1.0.dist-info/METADATA":      "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nAuthor-email: mira@example.org\n",
		"tiny-1.0.dist-info/WHEEL":         "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"tiny-1.0.dist-info/RECORD":        "tiny.py,,\ntiny-1.0.dist-info/METADATA,,\ntiny-1.0.dist-info/WHEEL,,\ntiny-1.0.dist-info/RECORD,,\n",
		"tiny-1.0.dist-info/top_level.txt": "tiny\n",
	})
	sum := sha256.Sum256(wheel)
	h := newHouse(t, map[string]http.Handler{"pypi.org": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".whl") {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(wheel)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><a href="/packages/tiny-1.0-py3-none-any.whl#sha256=%s">tiny-1.0-py3-none-any.whl</a>`, hex.EncodeToString(sum[:]))
	})})
	python, err := filepath.Abs("../../.cache/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	h.run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--target", filepath.Join(h.dir, "into"), "tiny")
	if b, err := os.ReadFile(filepath.Join(h.dir, "into", "tiny.py")); err != nil || !strings.Contains(string(b), "tiny") {
		t.Errorf("%s, %v", b, err)
	}
	h.reached("pypi.org", "/simple/tiny/")
}

func TestNpm(t *testing.T) {
	npm := need(t, "npm")
	tarball := []byte("not looked at")
	sum := sha512.Sum512(tarball)
	h := newHouse(t, map[string]http.Handler{"registry.npmjs.org": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		dist := map[string]string{"tarball": "https://registry.npmjs.org/@tiny/one/-/one-1.0.0.tgz", "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:])}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"name": "@tiny/one", "dist-tags": map[string]string{"latest": "1.0.0"},
			"versions": map[string]any{"1.0.0": map[string]any{"name": "@tiny/one", "version": "1.0.0", "description": "a tiny package", "dist": dist}},
		})
	})})
	if out := h.run(npm, "view", "@tiny/one", "description", "--no-update-notifier", "--cache", filepath.Join(h.dir, "npm")); !strings.Contains(out, "a tiny package") {
		t.Error(out)
	}
	h.reached("registry.npmjs.org", "/@tiny/one")
}

func TestGo(t *testing.T) {
	mod := archive(t, map[string]string{"example.com/tiny@v1.0.0/go.mod": "module example.com/tiny\n", "example.com/tiny@v1.0.0/tiny.go": "package tiny\n"})
	h := newHouse(t, map[string]http.Handler{"proxy.golang.org": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch filepath.Ext(r.URL.Path) {
		case ".zip":
			_, _ = w.Write(mod)
		case ".mod":
			_, _ = io.WriteString(w, "module example.com/tiny\n")
		default:
			_, _ = io.WriteString(w, `{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}`)
		}
	})})
	out, err := h.assent([]string{"run", "--", need(t, "go"), "mod", "download", "-json", "example.com/tiny@v1.0.0"},
		"GOFLAGS=-modcacherw", "GOPROXY=https://proxy.golang.org", "GONOSUMDB=*", "GOPATH="+filepath.Join(h.dir, "gopath"), "GOTOOLCHAIN=local")
	if err != nil || !strings.Contains(out, `"Version": "v1.0.0"`) {
		t.Errorf("%v\n%s", err, out)
	}
	h.reached("proxy.golang.org", "/example.com/tiny/@v/v1.0.0.zip")
}

const javaProgram = `import java.net.*; import java.io.*;
public class Fetch {
  public static void main(String[] a) throws Exception {
    String[] who = URI.create(System.getenv("HTTPS_PROXY")).getUserInfo().split(":", 2);
    Authenticator.setDefault(new Authenticator() {
      protected PasswordAuthentication getPasswordAuthentication() { return new PasswordAuthentication(who[0], who[1].toCharArray()); }
    });
    try (InputStream in = new URL("https://api.example.com/java").openStream()) { System.out.println(new String(in.readAllBytes())); }
  }
}
`

func TestJava(t *testing.T) {
	java := need(t, "java")
	h := newHouse(t, map[string]http.Handler{"api.example.com": http.HandlerFunc(hello)})
	out := h.run(java, h.write("Fetch.java", javaProgram))
	if !strings.Contains(out, "hello /java") {
		t.Error(out)
	}
	if strings.Contains(out, h.agent) {
		t.Error("Java prints the credential")
	}
	h.reached("api.example.com", "/java")
}

// assent exec leads as assent run does, and a run inside a run keeps what is set.
func TestExec(t *testing.T) {
	h := newHouse(t, map[string]http.Handler{"api.example.com": http.HandlerFunc(hello)})
	for _, args := range [][]string{
		{"exec", "--no-stdin", "--no-preview", "--", "printenv", "HTTPS_PROXY", "SSL_CERT_FILE", "no_proxy"},
		{"run", "--", mustSelf(t), "exec", "--no-stdin", "--no-preview", "--", "printenv", "HTTPS_PROXY", "SSL_CERT_FILE", "no_proxy"},
	} {
		out, err := h.assent(args)
		if err != nil || !strings.Contains(out, "@127.0.0.1:") || !strings.Contains(out, "all.pem") || !strings.Contains(out, "localhost,127.0.0.1,::1") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func mustSelf(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}
