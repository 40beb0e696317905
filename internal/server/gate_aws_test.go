package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/sigv4"
)

const awsPeople = `
people: [{ id: mira, groups: [reviewers] }, { id: noor, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
`

// A cloud is what a gate of AWS stands before: it takes what the real key signed, and nothing else.
type cloud struct {
	*httptest.Server
	mu   sync.Mutex
	came []string
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{}
	real := sigv4.Key{ID: "AKIAREALREALREALREAL", Secret: "real-secret"}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sum := sha256.Sum256(body)
		shown, err := sigv4.Read(r)
		if err == nil {
			_, err = shown.Verify(real.Secret, time.Now(), &sum)
		}
		if err != nil || shown.KeyID != real.ID {
			t.Errorf("the cloud does not take what came: %v", err)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		c.mu.Lock()
		c.came = append(c.came, string(body))
		c.mu.Unlock()
		switch {
		case strings.Contains(string(body), "Action=TerminateInstances"):
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, `<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instancesSet><item><instanceId>i-0a</instanceId></item></instancesSet></TerminateInstancesResponse>`)
		case strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetItem"):
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, `{"Item":{"id":{"S":"1"},"note":{"S":"write to ana.lopes@example.net"}}}`)
		default:
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) bodies() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.came...)
}

type awsBench struct {
	*bench
	up    *cloud
	token string
}

func newAWS(t *testing.T) *awsBench {
	t.Helper()
	b := &awsBench{up: newCloud(t)}
	b.bench = &bench{t: t, Server: testServer(t, strings.Replace(mcpPack, "[tool.call, data.write]", "[tool.call, data.write, infra.destroy, unknown]", 1), awsPeople+`
gates:
  - name: cloud
    type: aws
    env: prod
    listen: 127.0.0.1:0
    aws: { credential: { file: key.json }, endpoints: { "*": "`+b.up.URL+`" }, regions: [eu-central-1] }
`, map[string]string{"key.json": `{"Version":1,"AccessKeyId":"AKIAREALREALREALREAL","SecretAccessKey":"real-secret"}`})}
	b.token = b.agentToken("agent:worker")
	return b
}

// boto makes one call as a program does that assent run started: its SDK fetches its key pair by itself.
func (b *awsBench) boto(call string) (string, error) {
	python, err := filepath.Abs("../../.cache/aws/bin/python")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(python); err != nil {
		b.t.Fatalf("boto3 is not here: run scripts/install (%v)", err)
	}
	cmd := exec.CommandContext(b.t.Context(), python, "../gates/aws/testdata/client.py", call)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.t.TempDir(), "AWS_ENDPOINT_URL=http://" + b.GateAddr("cloud"), "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + b.URL() + "/v1/aws/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN=Bearer " + b.token,
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	return string(out) + errs.String(), err
}

// An agent's SDK finds its keys, reads come back masked, and what destroys waits for a
// person and then runs once, as it was asked.
func TestAnAgentOfAWSWaitsForAPerson(t *testing.T) {
	b := newAWS(t)
	out, err := b.boto(`dynamodb get_item {"TableName":"t","Key":{"id":{"S":"1"}}}`)
	if err != nil || strings.Contains(out, "ana.lopes") || !strings.Contains(out, "masked:email") {
		t.Errorf("a read: %v %s", err, out)
	}
	done := make(chan string, 1)
	go func() {
		out, err := b.boto(`ec2 terminate_instances {"InstanceIds":["i-0a"]}`)
		if err != nil {
			out += err.Error()
		}
		done <- out
	}()
	a := b.waiting(1)[0]
	if a.Verb != "ec2:terminateinstances" || a.Target != "i-0a" || len(b.up.bodies()) != 1 {
		t.Errorf("%s on %s, and %d requests went on", a.Verb, a.Target, len(b.up.bodies()))
	}
	b.approve(a)
	if out := <-done; !strings.Contains(out, `"Status": 200`) || !strings.Contains(out, "i-0a") {
		t.Errorf("once it was approved: %s", out)
	}
	if came := b.up.bodies(); len(came) != 2 || !strings.Contains(came[1], "Action=TerminateInstances") {
		t.Errorf("%q arrived", came)
	}
}

// A key pair ends with the credential that it was made of.
func TestRevocationEndsAKeyPair(t *testing.T) {
	b := newAWS(t)
	req, _ := http.NewRequest(http.MethodGet, b.URL()+"/v1/aws/credentials", nil)
	req.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var pair struct {
		ID         string `json:"AccessKeyId"`
		Secret     string `json:"SecretAccessKey"`
		Token      string
		Expiration time.Time
	}
	if err := json.NewDecoder(resp.Body).Decode(&pair); err != nil || resp.StatusCode != 200 || time.Until(pair.Expiration) > time.Hour || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %+v %v", resp.StatusCode, pair, err)
	}
	send := func() int {
		r, _ := http.NewRequest(http.MethodPost, "http://"+b.GateAddr("cloud")+"/", strings.NewReader(`{"TableName":"t","Key":{}}`))
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		sum := sha256.Sum256([]byte(`{"TableName":"t","Key":{}}`))
		if _, err := (sigv4.Key{ID: pair.ID, Secret: pair.Secret, Token: pair.Token}).Sign(r, "eu-central-1", "dynamodb", hex.EncodeToString(sum[:]), time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := send(); got != http.StatusOK {
		t.Fatalf("before: %d", got)
	}
	tokens, err := b.tokens.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range tokens {
		if tok.User() == "worker" {
			if err := (revoking{b.Server}).Revoke(t.Context(), tok.ID, "person:dana"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := send(); got != http.StatusForbidden {
		t.Errorf("after: %d", got)
	}
}

// What a configuration of a gate of AWS may not say, each with its place.
func TestAWSConfig(t *testing.T) {
	const good = "actors: [{ id: worker }]\ngates:\n  - name: cloud\n    type: aws\n    env: prod\n    listen: 127.0.0.1:7474\n    aws:\n      credential: { file: key.json }\n      endpoints: { s3: \"https://minio.example.com:9000\" }\n      regions: [eu-central-1]\n"
	if _, err := ParseConfig("a.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"no aws", good[strings.Index(good, "    aws:"):], "", "gates[0].aws: is missing"},
		{"no key", "credential: { file: key.json }", "mints: true", "gates[0].aws.credential: names 0 sources"},
		{"two keys", "credential: { file: key.json }", "credential: { file: key.json }\n      access_key_id: AKIA", "stands beside access_key_id"},
		{"an id without a secret", "credential: { file: key.json }", "access_key_id: AKIA", "secret_access_key: names 0 sources"},
		{"a secret without an id", "credential: { file: key.json }", "credential: { file: key.json }\n      secret_access_key: { file: x }", "has no access_key_id"},
		{"a plain endpoint", "https://minio", "http://minio", "is not encrypted"},
		{"a path", ":9000", ":9000/x", "is not an address"},
		{"a service", "s3:", "S3/x:", "is no service"},
		{"a region", "eu-central-1", "evil.example", "is no name of one"},
		{"a bucket", "regions:", "s3: { buckets: [{ name: a, trust: maybe }] }\n      regions:", "s3.buckets[0]: needs a name, and trust"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseConfig("a.yaml", []byte(strings.Replace(good, c.from, c.to, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A key that ends is asked for again in time; one that is read badly is told without any of it.
func TestTheRealKeyIsRenewed(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "key.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := &awsKey{c: &Config{}, of: &AWSConfig{Credential: Secret{File: file}}, now: func() time.Time { return now }}
	write(`{"Version":1,"AccessKeyId":"ONE","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-11-22T13:00:00Z"}`)
	one, err := k.Key(t.Context())
	if err != nil || one.ID != "ONE" || one.Token != "t" {
		t.Fatalf("%v %v", one, err)
	}
	write(`{"Version":1,"AccessKeyId":"TWO","SecretAccessKey":"s"}`)
	now = now.Add(54 * time.Minute)
	if key, err := k.Key(t.Context()); err != nil || key.ID != "ONE" {
		t.Errorf("while it is good: %v %v", key, err)
	}
	now = now.Add(2 * time.Minute)
	if key, err := k.Key(t.Context()); err != nil || key.ID != "TWO" {
		t.Errorf("before it ends: %v %v", key, err)
	}
	now = now.Add(time.Hour)
	for _, bad := range []string{"hunter2", `{"AccessKeyId":"hunter2"}`, `{"AccessKeyId":"A","SecretAccessKey":"hunter2","Expiration":"hunter2"}`, `{"AccessKeyId":"A","SecretAccessKey":"hunter2","Expiration":"2026-11-22T13:00:00Z"}`} {
		write(bad)
		if _, err := k.Key(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
