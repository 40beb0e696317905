//go:build s3suite

package aws

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/sigv4"
)

// TestS3Suite runs ceph/s3-tests, whose checkout ASSENT_S3_TESTS names, against a server
// of its own, directly and through the gate, and holds that the gate loses no test but
// those that docs/aws.md explains. scripts/conformance s3 runs it.
func TestS3Suite(t *testing.T) {
	checkout, venv := os.Getenv("ASSENT_S3_TESTS"), os.Getenv("ASSENT_S3_PYTHON")
	if checkout == "" || venv == "" {
		t.Fatal("ASSENT_S3_TESTS must name a checkout of ceph/s3-tests, ASSENT_S3_PYTHON a Python that has what it needs: scripts/conformance s3 CHECKOUT")
	}
	direct := suite(t, checkout, venv, "direct", func() string { return moto(t) })
	through := suite(t, checkout, venv, "gate", func() string {
		g := newS3Gate(t, setup{region: "us-east-1", upstream: forwardTo(t, moto(t))})
		g.up.quiet = true
		return g.URL
	})
	var lost, won []string
	for name, passed := range direct {
		switch {
		case passed && !through[name]:
			lost = append(lost, name)
		case !passed && through[name]:
			won = append(won, name)
		}
	}
	slices.Sort(lost)
	slices.Sort(won)
	count := func(m map[string]bool) (n int) {
		for _, ok := range m {
			if ok {
				n++
			}
		}
		return n
	}
	fmt.Printf("direct: %d of %d pass; through the gate: %d of %d\n", count(direct), len(direct), count(through), len(through))
	for _, name := range won {
		fmt.Println("passes through the gate only:", name)
	}
	for _, name := range lost {
		fmt.Println("passes directly only:", name)
		if !slices.Contains(explained, name) {
			t.Errorf("%s passes directly, not through the gate, and docs/aws.md doesn't say why", name)
		}
	}
}

// explained are the tests that the gate fails for a reason that docs/aws.md gives.
var explained = []string{
	// Nobody signed them.
	"test_bucket_list_objects_anonymous", "test_bucket_listv2_objects_anonymous", "test_object_raw_get",
	"test_object_raw_get_bucket_acl", "test_object_raw_get_bucket_gone", "test_object_raw_get_object_gone",
	"test_object_anon_put_write_access", "test_object_delete_key_bucket_gone",
	// An Expect that is not 100-continue: 417 (RFC 9110 section 10.1.1).
	"test_bucket_create_bad_expect_mismatch", "test_object_create_bad_expect_mismatch",
	// A date that Signature Version 4 doesn't have.
	"test_object_create_amz_date_and_no_date", "test_object_create_date_and_amz_date",
	// Refused here before the server could say what is wrong with the name.
	"test_bucket_create_naming_bad_short_one",
	// A body whose length is not said.
	"test_object_write_with_chunked_transfer_encoding",
}

// forwardTo is a server as it is, behind one that checks signatures.
func forwardTo(t *testing.T, to string) http.Handler {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host
	}}
}

// moto starts moto's server, which knows more of S3 than gofakes3 does.
func moto(t *testing.T) string {
	t.Helper()
	free, err := freeport.Port()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free)
	cmd := exec.Command(python(t, "moto_server"), "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close()
			return "http://127.0.0.1:" + port
		}
	}
	t.Fatal("moto's server did not start")
	return ""
}

// The suite's users. Behind the gate they are one: it has one key.
var suiteKeys = map[string]string{"AKIAMAIN": "main-secret", "AKIAALT": "alt-secret", "AKIATENANT": "tenant-secret", "AKIAIAM": "iam-secret", "AKIAROOT": "root-secret", "AKIAALTROOT": "altroot-secret"}

func suiteCaller(r *http.Request) (httpgate.Caller, error) {
	s, err := sigv4.Read(r)
	if err != nil {
		return httpgate.Caller{}, err
	}
	proof, err := s.Verify(suiteKeys[s.KeyID], time.Now(), nil)
	if err == nil {
		err = proof.Take(r)
	}
	return httpgate.Caller{Proved: gate.Verifier{Proved: true, Credential: "cred_gatetest"}}, err
}

func init() { otherCaller = suiteCaller }

// suite runs all tests at a server of its own, and those whose set-up failed, on what another test had left, at one more.
func suite(t *testing.T, checkout, venv, name string, start func() string) map[string]bool {
	t.Helper()
	all, broken := runSuite(t, checkout, venv, start(), name, os.Getenv("ASSENT_S3_ONLY"))
	if len(broken) == 0 {
		return all
	}
	fmt.Printf("%s: the set-up of %d tests failed; they are run again\n", name, len(broken))
	again, _ := runSuite(t, checkout, venv, start(), name+"-again", strings.Join(broken, " or "))
	for _, test := range broken {
		all[test] = again[test]
	}
	return all
}

// runSuite says which tests passed, and of which the suite's own set-up failed.
func runSuite(t *testing.T, checkout, venv, at, name, only string) (all map[string]bool, broken []string) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var conf strings.Builder
	fmt.Fprintf(&conf, "[DEFAULT]\nhost = %s\nport = %s\nis_secure = False\n[fixtures]\nbucket prefix = house-%s-{random}-\niam name prefix = s3-\niam path prefix = /s3/\n", u.Hostname(), u.Port(), name)
	user := func(section, key, more string) {
		fmt.Fprintf(&conf, "[%s]\ndisplay_name = %s\nuser_id = %s\nemail = %s@example.com\naccess_key = %s\nsecret_key = %s\n%s", section, key, key, key, key, suiteKeys[key], more)
	}
	user("s3 main", "AKIAMAIN", "api_name = default\n")
	user("s3 alt", "AKIAALT", "")
	user("s3 tenant", "AKIATENANT", "tenant = testx\n")
	user("iam", "AKIAIAM", "")
	user("iam root", "AKIAROOT", "")
	user("iam alt root", "AKIAALTROOT", "")
	file := filepath.Join(dir, "s3tests.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Minute)
	defer stop()
	report := filepath.Join(dir, "report.xml")
	skip := "lifecycle or lifecycle_expiration or lifecycle_transition or cloud_transition or cloud_restore or s3website or iam_account or iam_tenant or iam_user or iam_role or bucket_logging or sns or auth_aws2 or encryption or sse_s3 or test_of_sts or webidentity_test or target_by_bucket"
	args := []string{"-m", "pytest", "-q", "--timeout=300", "--tb=short", "--no-header", "-p", "no:cacheprovider", "--junit-xml=" + report, "-m", "not (" + skip + ")", "s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py"}
	if only != "" {
		args = append(args, "-k", only)
	}
	cmd := exec.CommandContext(ctx, venv, args...)
	cmd.Dir = checkout
	cmd.Env = append(os.Environ(), "S3TEST_CONF="+file, "AWS_EC2_METADATA_DISABLED=true")
	out, err := cmd.CombinedOutput()
	if log := os.Getenv("ASSENT_S3_LOG"); log != "" {
		_ = os.WriteFile(log+"-"+name+".log", out, 0o600)
	}
	b, rerr := os.ReadFile(report)
	if rerr != nil {
		t.Fatalf("%s: %v: %s", name, err, out[max(0, len(out)-2000):])
	}
	var doc struct {
		Cases []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	all = map[string]bool{}
	for _, c := range doc.Cases {
		if c.Skipped == nil {
			all[c.Name] = c.Failure == nil && c.Error == nil
			if c.Error != nil {
				broken = append(broken, c.Name)
			}
		}
	}
	return all, broken
}
