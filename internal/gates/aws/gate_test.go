package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/awskey"
	"github.com/assenthq/assent/internal/bodies"
	classify "github.com/assenthq/assent/internal/classify/aws"
	"github.com/assenthq/assent/internal/gates/aws"
	"github.com/assenthq/assent/internal/sigv4"
)

// The real key, which no agent sees.
var real = sigv4.Key{ID: "AKIAREALREALREALREAL", Secret: "the-real-secret-0000000000000000000000000", Token: "real-session-token"}

// An arrival is one request that reached the upstream.
type arrival struct {
	Service, Region, Method, Target, Body string
	Header                                http.Header
}

// A fake stands behind the gate: it takes what the real key signed, and answers as AWS would.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	came   []arrival
	answer func(arrival) (kind, body string, status int)
}

func newFake(t testing.TB) *fake {
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		shown, err := sigv4.Read(r)
		if err == nil && (shown.KeyID != real.ID || shown.Token != real.Token) {
			err = fmt.Errorf("signed with %s", shown.KeyID)
		}
		if err == nil {
			sum := sha(b)
			_, err = shown.Verify(real.Secret, time.Now(), &sum)
		}
		if err != nil {
			t.Errorf("upstream can't take the signature: %v", err)
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		a := arrival{shown.Scope.Service, shown.Scope.Region, r.Method, r.URL.RequestURI(), string(b), r.Header.Clone()}
		f.mu.Lock()
		f.came = append(f.came, a)
		say := f.answer
		f.mu.Unlock()
		kind, body, status := say(a)
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Amz-Crc32", "1")
		if status == http.StatusTemporaryRedirect {
			w.Header().Set("Location", "https://real.host.example/")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) arrivals() []arrival {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.came)
}

// answer answers what the clients of these tests ask.
func answer(a arrival) (kind, body string, status int) {
	form, _ := url.ParseQuery(a.Body)
	target := a.Header.Get("X-Amz-Target")
	switch op := form.Get("Action"); {
	case op == "GetCallerIdentity":
		return "text/xml", `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::1:role/gate</Arn><UserId>u</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, 200
	case op == "AssumeRole":
		return "text/xml", `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>minted-secret</SecretAccessKey><SessionToken>minted-token</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, 200
	case op == "TerminateInstances":
		return "text/xml", `<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instancesSet><item><instanceId>i-0a</instanceId></item></instancesSet></TerminateInstancesResponse>`, 200
	case op != "":
		return "text/xml", `<` + op + `Response><` + op + `Result/></` + op + `Response>`, 200
	case strings.HasSuffix(target, ".GetAuthorizationToken"):
		return "application/x-amz-json-1.1", `{"authorizationData":[{"authorizationToken":"minted-token","proxyEndpoint":"https://x"}]}`, 200
	case strings.HasSuffix(target, ".GetItem"):
		return "application/x-amz-json-1.0", `{"Item":{"id":{"S":"1"},"email":{"S":"planted@example.com"}}}`, 200
	case strings.HasSuffix(target, ".ListTables"):
		return "application/x-amz-json-1.0", `{}`, http.StatusTemporaryRedirect
	case target != "":
		return "application/x-amz-json-1.1", `{}`, 200
	case strings.HasPrefix(a.Target, "/2015-03-31/functions"):
		return "application/json", `{"Functions":[]}`, 200
	case a.Service == "route53":
		return "text/xml", `<ListHostedZonesResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><HostedZones/><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>`, 200
	}
	return "application/json", `{}`, 200
}

// A bench is a gate in front of a fake, and a key pair for it.
type bench struct {
	up   *fake
	addr string
	pair awskey.Pair
	keys *awskey.Maker
}

func newBench(t testing.TB, a gate.Authority, change func(*aws.Config)) *bench {
	t.Helper()
	b := &bench{up: newFake(t)}
	b.keys, b.pair = pair(t)
	serve := gateOf(t, b.keys, b.up.URL, a, change)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func pair(t testing.TB) (*awskey.Maker, awskey.Pair) {
	keys, err := awskey.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	p, err := keys.Make("cred_gatetest", time.Time{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return keys, p
}

func gateOf(t testing.TB, keys aws.Keys, upstream string, a gate.Authority, change func(*aws.Config)) func(context.Context, net.Listener) error {
	t.Helper()
	judge, err := classify.New(classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	up, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	o := aws.Config{
		Name: "cloud", Keys: keys, Classifier: judge, Key: func(context.Context) (sigv4.Key, error) { return real, nil },
		Endpoints: map[string]*url.URL{"*": up}, Transport: &http.Transport{DisableKeepAlives: true},
	}
	if change != nil {
		change(&o)
	}
	p, err := aws.New(o)
	if err != nil {
		t.Fatal(err)
	}
	store, err := bodies.NewStore(t.TempDir(), 1<<30, 1<<28, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := httpgate.New(httpgate.Config{
		Name: "cloud", Authority: a, Protocol: p, Bodies: store, AnyTarget: true, Log: slog.New(slog.DiscardHandler),
		Refused: func(ctx context.Context, from gate.Peer, what string) {
			if s, err := a.Login(ctx, gate.Verifier{Proved: true, Credential: "cred_gatetest"}, from); err == nil {
				s.Refused(ctx, what)
				s.Close()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.Serve
}

// python runs a program with the clients' packages.
func python(t testing.TB, program string) string {
	t.Helper()
	path, err := filepath.Abs("../../../.cache/aws/bin/" + program)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%s is not here: scripts/install puts it there (%v)", program, err)
	}
	return path
}

// env is what a client needs to know, as assent run sets it.
func (b *bench) env(t testing.TB) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=http://" + b.addr, "AWS_ACCESS_KEY_ID=" + b.pair.ID, "AWS_SECRET_ACCESS_KEY=" + b.pair.Secret,
		"AWS_SESSION_TOKEN=" + b.pair.Token, "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_SDK_UA_APP_ID=run-1", "AWS_PAGER=",
	}
}

// A said is what testdata/client.py tells of one call.
type said struct {
	Call, Code, Message string
	Status, Tries       int
	Reply               map[string]any
}

func (b *bench) boto(t testing.TB, calls ...string) []said {
	t.Helper()
	cmd := exec.Command(python(t, "python"), append([]string{"testdata/client.py"}, calls...)...)
	cmd.Env = b.env(t)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs.Bytes())
	}
	var all []said
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var s said
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if len(all) != len(calls) {
		t.Fatalf("%d answers to %d calls\n%s", len(all), len(calls), out)
	}
	return all
}

// send sends what a client of ours signs with the agent's pair.
func (b *bench) send(t testing.TB, method, target, service, region, body string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+b.addr+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sum := sha([]byte(body))
	if _, err := (sigv4.Key{ID: b.pair.ID, Secret: b.pair.Secret, Token: b.pair.Token}).Sign(r, region, service, hexOf(sum), time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func text(t testing.TB, resp *http.Response) string {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const form = "application/x-www-form-urlencoded"

// Each protocol arrives as it was judged, signed with the real key for the region and
// the service that the agent signed for, and nothing of the agent's pair with it.
func TestClientsWork(t *testing.T) {
	a := &gatetest.Authority{}
	b := newBench(t, a, nil)
	calls := []string{
		`sts get_caller_identity {}`, `ec2 terminate_instances {"InstanceIds":["i-0a"]}`, `dynamodb get_item {"TableName":"t","Key":{"id":{"S":"1"}}}`,
		`lambda list_functions {}`, `route53 list_hosted_zones {}`, `sqs send_message {"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/1/q","MessageBody":"hi"}`,
		`secretsmanager list_secrets {}`, `rds describe_db_instances {}`, `lambda invoke {"FunctionName":"arn:aws:lambda:eu-central-1:123456789012:function:f","Payload":"{}"}`,
	}
	for _, s := range b.boto(t, calls...) {
		if s.Code != "" && !strings.HasPrefix(s.Call, "sqs") { // whose client wants a digest of the message
			t.Errorf("%s: %d %s %s", s.Call, s.Status, s.Code, s.Message)
		}
	}
	want := []string{"sts:getcalleridentity", "ec2:terminateinstances", "dynamodb:getitem", "lambda:listfunctions", "route53:listhostedzones", "sqs:sendmessage", "secretsmanager:listsecrets", "rds:describedbinstances", "lambda:invoke"}
	var got []string
	for _, one := range a.Actions() {
		got = append(got, one.Verb)
		if one.Claims.Session != "run-1" {
			t.Errorf("%s: session %q", one.Verb, one.Claims.Session)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked %v", got)
	}
	for _, c := range b.up.arrivals() {
		if c.Region != "eu-central-1" && c.Service != "route53" {
			t.Errorf("%s is signed for %s", c.Service, c.Region)
		}
		all := fmt.Sprint(c)
		for _, secret := range []string{b.pair.ID, b.pair.Secret, b.pair.Token} {
			if strings.Contains(all, secret) {
				t.Errorf("%s: the agent's pair went on", c.Service)
			}
		}
	}
}

// The same call made again, by an SDK that puts a new token into each, is the same question.
func TestTheSameCallAgain(t *testing.T) {
	a := &gatetest.Authority{}
	b := newBench(t, a, nil)
	call := `ec2 run_instances {"ImageId":"ami-1","MinCount":1,"MaxCount":1}`
	b.boto(t, call, call, `ec2 run_instances {"ImageId":"ami-2","MinCount":1,"MaxCount":1}`)
	asked, came := a.Actions(), b.up.arrivals()
	if len(asked) != 3 || !bytes.Equal(asked[0].Payload, asked[1].Payload) || bytes.Equal(asked[0].Payload, asked[2].Payload) {
		t.Errorf("%d questions, not the first two alike", len(asked))
	}
	if len(came) != 3 || came[0].Body == came[1].Body || !strings.Contains(came[0].Body, "ClientToken=") {
		t.Errorf("%+v arrived", came)
	}
}

// A denial is told in each protocol's own document, once: no SDK sends it again.
func TestDenialsAreToldOnce(t *testing.T) {
	status := gate.StatusDenied
	var mu sync.Mutex
	n := 0
	a := &gatetest.Authority{Decide: func(context.Context, *action.Action, func(gate.Held)) error {
		mu.Lock()
		defer mu.Unlock()
		n++
		return &gate.Denied{Status: status, Reason: "no <one> may", ID: "apr_1", URL: "https://assent.example/a/1", Hint: "ask Mira"}
	}}
	b := newBench(t, a, nil)
	calls := []string{
		`sts get_session_token {}`, `ec2 terminate_instances {"InstanceIds":["i-0a"]}`, `dynamodb delete_table {"TableName":"t"}`, `lambda delete_function {"FunctionName":"f"}`,
		`route53 delete_hosted_zone {"Id":"Z1"}`, `kms decrypt {"CiphertextBlob":"x"}`, `sqs purge_queue {"QueueUrl":"https://q/1"}`, `eks delete_cluster {"name":"c"}`,
	}
	for _, one := range []struct {
		status string
		codes  []string
	}{
		{gate.StatusDenied, []string{"AccessDenied", "UnauthorizedOperation", "AccessDeniedException"}},
		{gate.StatusPending, []string{"PendingApproval", "PendingApprovalException"}},
		{gate.StatusExpired, []string{"ApprovalExpired", "ApprovalExpiredException"}},
		{gate.StatusLost, []string{"OutcomeUnknown", "OutcomeUnknownException"}},
	} {
		mu.Lock()
		status, n = one.status, 0
		mu.Unlock()
		for _, s := range b.boto(t, calls...) {
			if !slices.Contains(one.codes, s.Code) || !strings.Contains(s.Message, "no <one> may") || !strings.Contains(s.Message, "apr_1") || s.Tries != 0 {
				t.Errorf("%s %s: %d %s %q after %d retries", one.status, s.Call, s.Status, s.Code, s.Message, s.Tries)
			}
		}
		if n != len(calls) {
			t.Errorf("%s: %d questions for %d calls", one.status, n, len(calls))
		}
	}
	if came := b.up.arrivals(); len(came) > 0 {
		t.Errorf("%d requests went on", len(came))
	}
}

func TestTheCommandLine(t *testing.T) {
	a := &gatetest.Authority{Decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if a.Verb == "ec2:terminateinstances" {
			return &gate.Denied{Status: gate.StatusPending, Reason: "2 of operators decide", ID: "apr_7"}
		}
		return nil
	}}
	b := newBench(t, a, nil)
	run := func(args ...string) (string, error) {
		cmd := exec.Command(python(t, "aws"), args...)
		cmd.Env = b.env(t)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("sts", "get-caller-identity"); err != nil || !strings.Contains(out, "role/gate") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := run("ec2", "terminate-instances", "--instance-ids", "i-0a"); err == nil || !strings.Contains(out, "PendingApproval") || !strings.Contains(out, "apr_7") {
		t.Errorf("%v %s", err, out)
	}
}

// What an answer mints reaches nobody, unless the configuration lets it.
func TestMintedCredentials(t *testing.T) {
	for _, mints := range []bool{false, true} {
		b := newBench(t, &gatetest.Authority{}, func(o *aws.Config) { o.Mints = mints })
		for _, s := range b.boto(t, `sts assume_role {"RoleArn":"arn:aws:iam::123456789012:role/admin","RoleSessionName":"xx"}`, `ecr get_authorization_token {}`) {
			all := fmt.Sprint(s.Reply)
			if strings.Contains(all, "minted-") != mints || s.Code != "" {
				t.Errorf("mints %v, %s: %s %s", mints, s.Call, s.Code, all)
			}
		}
	}
}

func TestRedirectsEndHere(t *testing.T) {
	b := newBench(t, &gatetest.Authority{}, nil)
	resp := b.send(t, "POST", "/", "dynamodb", "eu-central-1", "{}", "X-Amz-Target", "DynamoDB_20120810.ListTables", "Content-Type", "application/x-amz-json-1.0")
	if body := text(t, resp); resp.StatusCode != http.StatusForbidden || strings.Contains(body+fmt.Sprint(resp.Header), "real.host") {
		t.Errorf("%d %s %v", resp.StatusCode, body, resp.Header)
	}
}

// Whose signature is not taken is told why by AWS's own name for it, and reaches nobody.
func TestSignaturesThatAreNotTaken(t *testing.T) {
	a := &gatetest.Authority{}
	b := newBench(t, a, nil)
	good := b.pair
	expired, err := b.keys.Make("cred_gatetest", time.Time{}, time.Now().Add(-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	foreign := good
	foreign.ID = "AKIAIOSFODNN7EXAMPLE"
	bent := good
	bent.Secret = "x" + bent.Secret[1:]
	for name, one := range map[string]struct {
		pair awskey.Pair
		code string
	}{"another's": {foreign, "UnrecognizedClientException"}, "expired": {expired, "ExpiredTokenException"}, "wrong secret": {bent, "InvalidSignatureException"}} {
		b.pair = one.pair
		resp := b.send(t, "POST", "/", "dynamodb", "eu-central-1", "{}", "X-Amz-Target", "DynamoDB_20120810.GetItem", "Content-Type", "application/x-amz-json-1.0")
		if body := text(t, resp); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, one.code) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
	b.pair = good
	req, _ := http.NewRequest("GET", "http://"+b.addr+"/bucket/key", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("unsigned: %d", resp.StatusCode)
	}
	if len(a.Actions()) != 0 || len(b.up.arrivals()) != 0 {
		t.Error("somebody came in")
	}
}

// A body that is not the signed one reaches nobody.
func TestAChangedBody(t *testing.T) {
	b := newBench(t, &gatetest.Authority{}, nil)
	r, _ := http.NewRequest("POST", "http://"+b.addr+"/", strings.NewReader("Action=TerminateInstances&InstanceId.1=i-1"))
	r.Header.Set("Content-Type", form)
	sum := sha([]byte("Action=DescribeInstances"))
	if _, err := (sigv4.Key{ID: b.pair.ID, Secret: b.pair.Secret, Token: b.pair.Token}).Sign(r, "eu-central-1", "ec2", hexOf(sum), time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var doc struct {
		Code string `xml:"Errors>Error>Code"`
	}
	if err := xml.NewDecoder(resp.Body).Decode(&doc); err != nil || doc.Code != "AuthFailure" || len(b.up.arrivals()) != 0 {
		t.Errorf("%d %q %v", resp.StatusCode, doc.Code, err)
	}
}

// The scope is an agent's words: it makes no host of its own.
func TestARegionIsNoHost(t *testing.T) {
	for name, one := range map[string]struct{ service, region string }{
		"a host":       {"ec2", "evil.example"},
		"a path":       {"ec2", "x"},
		"an at":        {"ec2", "a@evil"},
		"a service":    {"evil.example", "eu-central-1"},
		"another list": {"dynamodb", "us-east-1"},
		"not listed":   {"sqs", "eu-central-1"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &gatetest.Authority{}
			b := newBench(t, a, func(o *aws.Config) {
				o.Endpoints, o.Regions, o.Services = nil, []string{"eu-central-1"}, []string{"ec2", "dynamodb", "evil.example"}
				o.Transport = nowhere{t}
			})
			resp := b.send(t, "POST", "/", one.service, one.region, "Action=DescribeInstances", "Content-Type", form)
			if resp.StatusCode != http.StatusForbidden || len(a.Actions()) != 0 {
				t.Errorf("%d, %d actions", resp.StatusCode, len(a.Actions()))
			}
		})
	}
}

type nowhere struct{ t testing.TB }

func (n nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("a request went to %s", r.URL.Host)
	return nil, io.EOF
}

// Where AWS has a service is what its region says, and what is signed for follows.
func TestWhereServicesAre(t *testing.T) {
	for _, one := range []struct{ service, region, body, host, signed string }{
		{"ec2", "eu-central-1", "Action=DescribeInstances", "ec2.eu-central-1.amazonaws.com", "eu-central-1"},
		{"iam", "eu-central-1", "Action=ListUsers", "iam.amazonaws.com", "us-east-1"},
		{"iam", "aws-global", "Action=ListUsers", "iam.amazonaws.com", "us-east-1"},
		{"sts", "eu-central-1", "Action=GetCallerIdentity", "sts.eu-central-1.amazonaws.com", "eu-central-1"},
		{"ec2", "cn-north-1", "Action=DescribeInstances", "ec2.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"iam", "us-gov-west-1", "Action=ListUsers", "iam.us-gov.amazonaws.com", "us-gov-west-1"},
	} {
		went := &seen{}
		b := newBench(t, &gatetest.Authority{}, func(o *aws.Config) { o.Endpoints, o.Transport = nil, went })
		_ = b.send(t, "POST", "/", one.service, one.region, one.body, "Content-Type", form)
		if went.host != one.host || went.region != one.signed {
			t.Errorf("%s in %s went to %s, signed for %s", one.service, one.region, went.host, went.region)
		}
	}
}

type seen struct{ host, region string }

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	shown, err := sigv4.Read(r)
	if err != nil {
		return nil, err
	}
	s.host, s.region = r.URL.Host, shown.Scope.Region
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader("<a/>")), ContentLength: 4, Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

// What two readers may read in two ways is refused, in the protocol's own words.
func TestWhatNobodyCanTell(t *testing.T) {
	a := &gatetest.Authority{}
	b := newBench(t, a, nil)
	resp := b.send(t, "POST", "/?Action=DescribeInstances", "ec2", "eu-central-1", "Action=TerminateInstances&InstanceId.1=i", "Content-Type", form)
	if body := text(t, resp); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "ValidationError") || !strings.Contains(body, "<Response>") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp = b.send(t, "POST", "/", "cognito-idp", "eu-central-1", "{}", "X-Amz-Target", "AWSCognitoIdentityProviderService.AdminCreateUser", "Content-Type", "application/x-amz-json-1.1")
	if resp.StatusCode != http.StatusOK || len(a.Actions()) != 1 || !slices.Equal(a.Actions()[0].Kinds, []action.Kind{action.Unknown}) {
		t.Errorf("%d %+v", resp.StatusCode, a.Actions())
	}
}
