// Package aws says what a request of an AWS API would do: which operation it is,
// which kinds of effect that has, and on what.
//
// It promises that an operation on no list is called unknown, that an operation
// whose access level says write is never taken for a read, and that a request in
// which two servers may see two operations is refused: two matching paths, a
// target header beside Action=, a parameter that stands twice. Values that the
// services' models call sensitive are in nothing that it returns.
//
// What it can't see: what stands behind a name (what a function does when it is
// invoked, what a template makes), what a policy document grants, and the dialect
// of SQL behind rds-data; and which bucket a host names, which its caller says.
package aws

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// A Request is what of a request says which operation it is.
type Request struct {
	Scope  string // service of the signature's scope: "s3", "ec2", "states"
	Method string
	Path   string // escaped, as sent; of S3 always with the bucket first
	Query  string // raw, without what belongs to a presigned signature
	Header http.Header
	Body   []byte // nil of S3, whose objects aren't looked at here
}

// An Operation is one operation of a service.
type Operation struct {
	Service   string // by botocore's name: "s3control"; "" when the scope is unknown
	Name      string // "TerminateInstances"; "" when no operation is known
	Protocol  string // the one that the request speaks, also where Name is ""
	JSON      string // version of the JSON protocol, "1.0" or "1.1"
	Level     string // access level: List, Read, Write, Permissions, Tagging; "" when nobody says
	Host      string // prefix of its endpoint's name
	Global    string // name of the endpoint that serves all regions
	Mints     bool   // its answer holds a credential, or a link that works by itself
	Untrusted string // what others wrote in its answer
	Secrets   []string
}

// The protocols, for whoever answers.
const (
	Query    = "query"
	EC2      = "ec2"
	JSON     = "json"
	RestJSON = "rest-json"
	RestXML  = "rest-xml"
)

// An Analysis is what one request would do.
type Analysis struct {
	Operation
	Kinds       []action.Kind // sorted, each once; empty only where Harmless says why
	Harmless    string
	Verb        string // "ec2:terminateinstances"
	Target      string
	Title       string
	Shape       string // without values
	Objects     []string
	Statement   string // for people, without sensitive values
	Reversible  bool
	Destination string // where data goes, when elsewhere than to the asker
	Columns     []action.Column
	Inferred    []string // "table.column" whose values steer an answer, or stand in it without their names; "*": any
	Limit       action.Count
	Same        []byte // the body without what SDKs write anew each time; nil: as it is
	Why         []string
}

// A Refused is a request that two servers may read in two ways, or that can't be
// read. It holds no value of it.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

func refuse(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// Options configure a Classifier. The zero value works.
type Options struct {
	SQL *sql.Classifier // nil: one of its own
	// Mask masks what is taken from parameters into a Title, a Target and Objects,
	// which go into records as they are. nil: nothing is masked.
	Mask func(string) string
}

// A Classifier judges requests. It is safe for concurrent use.
type Classifier struct {
	sql      *sql.Classifier
	mask     func(string) string
	services map[string]*service // by botocore's name
	scopes   map[string]*service // by signing name
}

//go:embed table.txt
var shippedTable string

//go:embed rules.txt
var shippedRules string

// New reads the shipped table.
func New(o Options) (*Classifier, error) {
	c := &Classifier{sql: o.SQL, mask: o.Mask}
	if c.mask == nil {
		c.mask = func(s string) string { return s }
	}
	if c.sql == nil {
		c.sql = sql.New(sql.Options{})
	}
	rules, err := parseRules(shippedRules)
	if err != nil {
		return nil, fmt.Errorf("the rules of AWS operations: %w", err)
	}
	if c.services, err = parseTable(shippedTable, rules); err != nil {
		return nil, fmt.Errorf("the table of AWS operations: %w", err)
	}
	c.scopes = map[string]*service{}
	for _, s := range c.services {
		if s.name != "s3control" { // it signs as S3
			c.scopes[s.sign] = s
		}
	}
	c.scopes["s3-outposts"], c.scopes["s3express"], c.scopes["s3-object-lambda"] = c.services["s3"], c.services["s3"], c.services["s3"]
	return c, nil
}

// Services are the services of the table, by botocore's names, sorted.
func (c *Classifier) Services() []string {
	var out []string
	for name := range c.services {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Classify says what r would do. A *Refused error comes with an Analysis that
// tells as much as is known: its protocol, so that the answer can be in it.
func (c *Classifier) Classify(r Request) (*Analysis, error) {
	a := &Analysis{}
	if err := plainHeaders(r.Header); err != nil {
		a.Protocol = guess(&r)
		return a, err
	}
	s, err := c.service(&r)
	if err != nil {
		a.Protocol = RestXML
		return a, err
	}
	if s == nil {
		a.Protocol = guess(&r)
		a.unknown(r.Scope, "", "no service of this name is known")
		a.finish(c, nil)
		return a, nil
	}
	a.Service, a.Protocol, a.JSON, a.Host, a.Global = s.name, s.protocol, s.json, s.host, s.global
	op, p, err := s.find(&r, a)
	if err != nil {
		return a, err
	}
	if op == nil {
		a.unknown(s.name, a.Name, "the operation is not known")
		a.Name = ""
		a.finish(c, p)
		return a, nil
	}
	a.Name, a.Level, a.Mints, a.Untrusted, a.Secrets, a.Reversible = op.name, levels[op.level], op.mints, op.untrusted, s.secretOut, op.undo
	a.Harmless = op.harmless
	a.add("", op.kinds...)
	a.Why = append(a.Why, s.name+":"+op.name+" "+op.why)
	if err := c.special(a, s, op, p, &r); err != nil {
		return a, err
	}
	a.named(c, s, op, p)
	a.finish(c, p)
	a.Same = s.same(a.Protocol, r.Body)
	return a, nil
}

// service is the one of the scope: S3 Control signs as S3, and is known by its path.
func (c *Classifier) service(r *Request) (*service, error) {
	if r.Scope != "s3" {
		return c.scopes[r.Scope], nil
	}
	control := len(r.Path) >= 10 && (r.Path == "/v20180820" || r.Path[:10] == "/v20180820" && r.Path[10] == '/')
	account := r.Header.Get("X-Amz-Account-Id") != ""
	switch {
	case control && account:
		return c.services["s3control"], nil
	case control:
		return nil, refuse("the path is S3 Control's, or of a bucket v20180820: without x-amz-account-id nobody can tell")
	case account:
		return nil, refuse("x-amz-account-id is S3 Control's, and the path is not")
	}
	return c.services["s3"], nil
}

var levels = map[byte]string{'L': "List", 'R': "Read", 'W': "Write", 'P': "Permissions", 'T': "Tagging"}

func (a *Analysis) add(why string, kinds ...action.Kind) {
	for _, k := range kinds {
		if !slices.Contains(a.Kinds, k) {
			a.Kinds = append(a.Kinds, k)
		}
	}
	if why != "" && !slices.Contains(a.Why, why) {
		a.Why = append(a.Why, why)
	}
}

func (a *Analysis) unknown(service, name, why string) {
	a.Verb, a.Title = "unknown", "An unknown request of "+clip(clean(service), 40)
	if name = clean(name); name != "" {
		a.Verb, a.Title = lower(clip(clean(service), 40)+":"+clip(name, 80)), clip(clean(service), 40)+" "+clip(name, 80)
	}
	a.add(why, action.Unknown)
}

// Named says what an operation does as far as its name alone tells: "ec2",
// "TerminateInstances". Parameters may add to it.
func (c *Classifier) Named(service, name string) *Analysis {
	a := &Analysis{}
	s := c.services[service]
	if s == nil || s.ops[name] == nil {
		a.unknown(service, name, "the operation is not known")
		a.finish(c, nil)
		return a
	}
	op := s.ops[name]
	a.Operation = Operation{Service: service, Name: name, Protocol: s.protocol, JSON: s.json, Level: levels[op.level], Host: s.host, Global: s.global, Mints: op.mints, Untrusted: op.untrusted, Secrets: s.secretOut}
	a.Harmless, a.Reversible = op.harmless, op.undo
	a.add(service+":"+name+" "+op.why, op.kinds...)
	if op.sql != "" {
		a.add("a statement among its parameters says what it does", action.Unknown)
	}
	a.named(c, s, op, &params{})
	a.finish(c, nil)
	return a
}

// Protocol is the protocol of the service that is signed for under a name; "": nobody knows.
func (c *Classifier) Protocol(scope string) string {
	if s := c.scopes[scope]; s != nil {
		return s.protocol
	}
	return ""
}
