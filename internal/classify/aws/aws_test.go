package aws

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
)

func classifier(t testing.TB) *Classifier {
	t.Helper()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mild are operations whose level says Write although nothing of the account changes.
var mild = map[string]string{
	"sts:DecodeAuthorizationMessage": "it reads", "athena:ExportNotebook": "it reads", "cloudtrail:StartQuery": "it is a SELECT over events", "cloudtrail:CancelQuery": "it ends one's own query", "cloudtrail:GenerateQuery": "it writes text", "kms:Verify": "it tells yes or no", "kms:VerifyMac": "it tells yes or no",
	"kms:GenerateRandom": "it returns random bytes", "kms:GetPublicKey": "public", "ecr:GetDownloadUrlForLayer": "mints, and so is no plain read", "cloudformation:DetectStackDrift": "it compares",
	"cloudformation:DetectStackResourceDrift": "it compares", "cloudformation:DetectStackSetDrift": "it compares", "logs:StartQuery": "it searches", "logs:StopQuery": "it ends a search", "logs:StartLiveTail": "it reads",
	"logs:TestTransformer": "it runs nothing", "logs:TestMetricFilter": "it runs nothing", "iam:GenerateCredentialReport": "it reads", "iam:GenerateServiceLastAccessedDetails": "it reads",
	"iam:GenerateOrganizationsAccessReport": "it reads", "sqs:ReceiveMessage": "it reads", "stepfunctions:GetActivityTask": "it reads", "stepfunctions:ValidateStateMachineDefinition": "it checks",
	"events:TestEventPattern": "it compares", "route53:TestDNSAnswer": "it answers", "cloudformation:EstimateTemplateCost": "it reckons", "cloudformation:ValidateTemplate": "it checks",
}

// TestNoWriteIsARead holds every operation of the table against its access level.
func TestNoWriteIsARead(t *testing.T) {
	c := classifier(t)
	n := 0
	for _, s := range c.services {
		for _, o := range s.ops {
			n++
			if len(o.kinds) == 0 && o.harmless == "" && o.sql == "" {
				t.Errorf("%s:%s has no kinds", s.name, o.name)
			}
			only := slices.Equal(o.kinds, []action.Kind{action.DataRead}) || len(o.kinds) == 0 && o.sql == ""
			if only && !o.reads() && mild[s.name+":"+o.name] == "" && o.harmless == "" {
				t.Errorf("%s:%s is of level %c, and called a read", s.name, o.name, o.level)
			}
			for _, k := range o.kinds {
				if !k.Valid() {
					t.Errorf("%s:%s: kind %q", s.name, o.name, k)
				}
			}
			if o.mints && !slices.Contains(o.kinds, action.SecretAccess) && s.name != "ssm" && s.name != "ecs" && o.name != "GetDownloadUrlForLayer" {
				t.Errorf("%s:%s mints a credential, and is no secret.access", s.name, o.name)
			}
		}
	}
	if n < 2900 {
		t.Errorf("the table has %d operations", n)
	}
}

// TestEveryOperationIsFound sends each operation as its model says, and reads it back.
func TestEveryOperationIsFound(t *testing.T) {
	c := classifier(t)
	for _, s := range c.services {
		for _, o := range s.ops {
			a, err := c.Classify(example(s, o))
			if err != nil {
				t.Errorf("%s:%s: %v", s.name, o.name, err)
				continue
			}
			if a.Name != o.name && !s.ops[a.Name].sameAs(o) {
				t.Errorf("%s:%s is taken for %s:%s", s.name, o.name, a.Service, a.Name)
			}
			if a.Title == "" || a.Verb == "" || a.Shape == "" {
				t.Errorf("%s:%s: %+v", s.name, o.name, a)
			}
		}
	}
}

func (o *operation) sameAs(other *operation) bool {
	return o != nil && (o.old || other.old || slices.Equal(o.kinds, other.kinds)) && o.method == other.method && slices.Equal(o.path, other.path)
}

func example(s *service, o *operation) Request {
	r := Request{Scope: s.sign, Method: "POST", Path: "/", Header: http.Header{}}
	switch s.protocol {
	case JSON:
		r.Header.Set("X-Amz-Target", s.target+"."+o.name)
		r.Header.Set("Content-Type", "application/x-amz-json-"+s.json)
		r.Body = []byte("{}")
	case Query, EC2:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = []byte("Action=" + o.name + "&Version=2016-11-15")
	default:
		r.Method = o.method
		var path []string
		for _, seg := range o.path {
			if strings.HasPrefix(seg, "{") {
				seg = "x1"
			}
			path = append(path, seg)
		}
		r.Path = "/" + strings.Join(path, "/")
		var q []string
		for name, v := range o.consts {
			q = append(q, name+"="+v)
		}
		for name, must := range o.query {
			if must {
				q = append(q, name+"=1")
			}
		}
		slices.Sort(q)
		r.Query = strings.Join(q, "&")
		for _, h := range o.headers {
			r.Header.Set(h, "x")
		}
		if s.name == "s3control" {
			r.Header.Set("X-Amz-Account-Id", "123456789012")
		}
	}
	return r
}

// A labelled line of testdata/corpus.jsonl.
type labelled struct {
	ID      string
	Request string            // "POST /path?query"
	Scope   string            // service
	Header  map[string]string `json:",omitempty"`
	Body    string            `json:",omitempty"`
	Op      string            // "ec2:TerminateInstances", "" unknown
	Kinds   []action.Kind     // exactly these; none: Refused
	Target  string            `json:",omitempty"`
	Refused bool              `json:",omitempty"`
	Never   []string          `json:",omitempty"` // words that stand in nothing that is returned
}

func corpus(t testing.TB) []labelled {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) < 2 {
		t.Fatalf("corpus: %v %v", files, err)
	}
	var out []labelled
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
			var l labelled
			d := json.NewDecoder(strings.NewReader(s.Text()))
			d.DisallowUnknownFields()
			if err := d.Decode(&l); err != nil {
				t.Fatalf("%s: %s: %v", file, s.Text(), err)
			}
			out = append(out, l)
		}
	}
	return out
}

func (l *labelled) request() Request {
	method, rest, _ := strings.Cut(l.Request, " ")
	path, query, _ := strings.Cut(rest, "?")
	r := Request{Scope: l.Scope, Method: method, Path: path, Query: query, Header: http.Header{}, Body: []byte(l.Body)}
	for name, v := range l.Header {
		for one := range strings.SplitSeq(v, "\n") {
			r.Header.Add(name, one)
		}
	}
	return r
}

func TestCorpus(t *testing.T) {
	c := classifier(t)
	for _, l := range corpus(t) {
		t.Run(l.ID, func(t *testing.T) {
			a, err := c.Classify(l.request())
			var refused *Refused
			if l.Refused {
				if !errors.As(err, &refused) {
					t.Fatalf("want it refused, got %v %+v", err, a)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Sorted(slices.Values(l.Kinds))
			op := ""
			if a.Name != "" {
				op = a.Service + ":" + a.Name
			}
			if op != l.Op || !slices.Equal(a.Kinds, want) {
				t.Errorf("%s %v, want %s %v (%v)", op, a.Kinds, l.Op, want, a.Why)
			}
			if l.Target != "" && a.Target != l.Target {
				t.Errorf("target %q, want %q", a.Target, l.Target)
			}
			text, _ := json.Marshal(a)
			for _, never := range l.Never {
				if strings.Contains(string(text), never) {
					t.Errorf("%s stands in %s", never, text)
				}
			}
		})
	}
}

// FuzzClassify: nothing breaks it, what comes back is fit to be shown, and whoever can't be told is held.
func FuzzClassify(f *testing.F) {
	for _, l := range corpus(f) {
		r := l.request()
		f.Add(r.Scope, r.Method, r.Path, r.Query, r.Header.Get("X-Amz-Target"), r.Header.Get("Content-Type"), r.Body)
	}
	c := classifier(f)
	f.Fuzz(func(t *testing.T, scope, method, path, query, target, kind string, body []byte) {
		r := Request{Scope: scope, Method: method, Path: path, Query: query, Header: http.Header{}, Body: body}
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		a, err := c.Classify(r)
		if a == nil || a.Protocol == "" {
			t.Fatalf("nothing says in which protocol to answer: %v", err)
		}
		if err != nil {
			return
		}
		if len(a.Kinds) == 0 && a.Harmless == "" {
			t.Fatalf("neither kinds nor harmless: %+v", a)
		}
		if !utf8.ValidString(a.Title) || !utf8.ValidString(a.Statement) || len(a.Title) > 2000 {
			t.Fatalf("not fit to be shown: %q", a.Title)
		}
		if a.Name == "" && !slices.Contains(a.Kinds, action.Unknown) {
			t.Fatalf("no operation, and not unknown: %+v", a)
		}
	})
}

// What SDKs make anew for each request doesn't make it another; what a caller chose does.
func TestTheSameAskedAgain(t *testing.T) {
	c := classifier(t)
	form := func(token string) labelled {
		return labelled{Scope: "ec2", Request: "POST /", Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, Body: "Action=RunInstances&ImageId=ami-1&ClientToken=" + token + "&MinCount=1"}
	}
	object := func(token string) labelled {
		return labelled{Scope: "athena", Request: "POST /", Header: map[string]string{"X-Amz-Target": "AmazonAthena.StartQueryExecution", "Content-Type": "application/x-amz-json-1.1"}, Body: `{"ClientRequestToken":"` + token + `","QueryString":"SELECT 1"}`}
	}
	for name, of := range map[string]func(string) labelled{"a form": form, "JSON": object} {
		same := func(token string) string {
			l := of(token)
			a, err := c.Classify(l.request())
			if err != nil {
				t.Fatal(err)
			}
			if a.Same == nil {
				return l.Body
			}
			return string(a.Same)
		}
		one, other := same("0f8fad5b-d9cb-469f-a165-70867728950e"), same("7c9e6679-7425-40de-944b-e07fc1f90ae7")
		if one != other || !strings.Contains(one, "1") {
			t.Errorf("%s: %q and %q", name, one, other)
		}
		if same("mine-1") == same("mine-2") || same("mine-1") == one {
			t.Errorf("%s: a token of the caller's own is dropped", name)
		}
	}
}
