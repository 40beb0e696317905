package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
)

// Bounds of what people are shown. All of it is bound by the digest of what goes upstream.
const (
	maxTarget    = 200
	maxObjects   = 1000
	maxValue     = 4 << 10
	maxStatement = 64 << 10
)

// named sets verb, target, objects and title from the parsed parameters.
func (a *Analysis) named(c *Classifier, s *service, op *operation, p *params) {
	a.Verb = lower(s.name + ":" + op.name)
	var objects []string
	switch {
	case s.name == "s3":
		bucket, _ := p.get("Bucket")
		if key, has := p.get("Key"); has {
			bucket += "/" + key
		}
		if bucket != "" {
			objects = append(objects, bucket)
		}
	default:
		for _, t := range op.targets {
			for _, v := range p.values(t) {
				if v != "" && !s.sensitive(t) && utf8.ValidString(v) {
					objects = append(objects, clip(v, maxTarget))
				}
			}
			if len(objects) > 0 {
				break
			}
		}
		if len(objects) == 0 { // the labels of the path are what it is about
			for _, q := range p.list {
				if slices.Contains(op.path, "{"+q.name+"}") && !s.sensitive(q.name) {
					objects = append(objects, clip(q.value, maxTarget))
				}
			}
		}
	}
	a.Objects = append(objects[:min(len(objects), maxObjects)], a.Objects...)
	for i, o := range a.Objects {
		a.Objects[i] = c.mask(strings.ToValidUTF8(o, "\uFFFD"))
	}
	if len(objects) > 0 {
		a.Target = clip(a.Objects[0], maxTarget)
	}
	a.Title = service1(s.name) + " " + op.name
	switch {
	case len(objects) > 1:
		a.Title += fmt.Sprintf(" on %s and %d more", a.Target, len(objects)-1)
	case a.Target != "":
		a.Title += " on " + a.Target
	}
}

func service1(name string) string {
	if full := map[string]string{
		"s3": "S3", "s3control": "S3 Control", "ec2": "EC2", "iam": "IAM", "sts": "STS", "rds": "RDS", "rds-data": "RDS Data", "kms": "KMS", "ssm": "SSM", "ecs": "ECS", "eks": "EKS", "ecr": "ECR",
		"sns": "SNS", "sqs": "SQS", "dynamodb": "DynamoDB", "lambda": "Lambda", "cloudformation": "CloudFormation", "cloudtrail": "CloudTrail", "secretsmanager": "Secrets Manager", "route53": "Route 53",
		"logs": "CloudWatch Logs", "organizations": "Organizations", "events": "EventBridge", "stepfunctions": "Step Functions", "glue": "Glue", "athena": "Athena", "redshift-data": "Redshift Data",
	}[name]; full != "" {
		return full
	}
	return name
}

// reviewed are parameters that the models call sensitive, and that people have to see
// to answer: what runs, and with what. Values in them are masked like all text.
var reviewed = map[string]string{
	"lambda": "payload", "ssm": "parameters description input values configuration ownerinformation taskparameters", "ec2": "userdata description value url uploadpolicy launchspecification",
	"stepfunctions": "input definition description output cause error versiondescription statename variables context", "events": "sql sqls value graphqloperation",
	"organizations": "accountname email id name notes sourcename", "rds": "value initquery", "sns": "phonenumber", "s3": "kmskeyarn kmskeyid kmsmasterkeyid keyid", "kms": "message",
	"glue": "description codegenconfigurationnodes evaluationmessage",
}

// sensitive says that a parameter, or one that it is in, is not to be shown.
func (s *service) sensitive(name string) bool {
	for part := range strings.SplitSeq(strings.ToLower(name), ".") {
		if s.secretIn[part] && !slices.Contains(strings.Fields(reviewed[s.name]), part) {
			return true
		}
		for _, w := range []string{"password", "secretaccesskey", "privatekey", "secretstring", "sessiontoken", "accesstoken", "clientsecret"} {
			if strings.Contains(part, w) {
				return true
			}
		}
	}
	return false
}

// finish sorts, and makes the statement and the shape.
func (a *Analysis) finish(c *Classifier, p *params) {
	slices.Sort(a.Kinds)
	a.Kinds = slices.Compact(a.Kinds)
	if len(a.Kinds) > 0 {
		a.Harmless = ""
	} else if a.Harmless == "" {
		a.add("nothing is known of it", action.Unknown)
	}
	for _, k := range a.Kinds {
		if k == action.DataDelete || k == action.InfraDestroy || k == action.Unknown {
			a.Reversible = false
		}
	}
	slices.Sort(a.Objects)
	a.Objects = slices.Compact(a.Objects)
	slices.Sort(a.Inferred)
	a.Inferred = slices.Compact(a.Inferred)
	var b strings.Builder
	b.WriteString(strings.TrimSpace(a.Service + " " + a.Name))
	names := []string{a.Service, a.Name}
	if p != nil {
		s := c.services[a.Service]
		for _, q := range p.list {
			names = append(names, indexless(q.name))
			if b.Len() < maxStatement {
				fmt.Fprintf(&b, "\n%s = %s", strings.ToValidUTF8(q.name, "\uFFFD"), s.value(&q))
			}
		}
		if p.raw && len(p.body) > 0 && s.protocol != RestXML {
			b.WriteString("\n" + show(string(p.body[:min(len(p.body), maxStatement)])))
		}
	}
	a.Statement = b.String()
	slices.Sort(names[2:])
	sum := sha256.Sum256(fmt.Appendf(nil, "assent-aws-shape/1 %q", slices.Compact(names)))
	a.Shape = hex.EncodeToString(sum[:16])
}

func (s *service) value(q *param) string {
	switch {
	case s.sensitive(q.name):
		return "[not shown]"
	case strings.EqualFold(leaf(q.name), "UserData"): // a script, mostly
		if text, err := base64.StdEncoding.DecodeString(q.value); err == nil && utf8.Valid(text) {
			return clip(string(text), maxValue)
		}
	case len(q.value) > maxValue && !strings.EqualFold(leaf(q.name), "sql") && !strings.EqualFold(leaf(q.name), "querystring"):
		return show(clip(q.value, maxValue))
	}
	return show(q.value)
}

// show is text that stays text: bytes that are none are named.
func show(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return fmt.Sprintf("[%d bytes that are no text]", len(s))
}

// indexless is a parameter's name without numbers.
func indexless(name string) string {
	parts := strings.Split(name, ".")
	return strings.Join(slices.DeleteFunc(parts, number), ".")
}
