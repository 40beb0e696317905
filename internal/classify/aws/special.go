package aws

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// special adds what only the parameters tell.
func (c *Classifier) special(a *Analysis, s *service, op *operation, p *params, r *Request) error {
	switch op.sql {
	case "sql":
		c.statements(a, s, p)
	case "partiql":
		a.partiql(p)
	}
	changes := !op.reads()
	for i := range p.list {
		c.parameter(a, s, op, &p.list[i], changes)
	}
	if s.name == "dynamodb" {
		a.chosen(p)
	}
	switch s.name + ":" + op.name {
	case "logs:StartQuery", "logs:CreateScheduledQuery", "logs:UpdateScheduledQuery":
		a.insights(p)
	case "dynamodb:Scan":
		if limit, err := strconv.Atoi(first(p.get("Limit"))); err != nil || limit > maxRows {
			a.add("a whole table is read", action.DataExport)
		}
	case "glue:GetConnection", "glue:GetConnections":
		if hide, _ := p.get("HidePassword"); hide == "true" {
			a.Kinds = slices.DeleteFunc(a.Kinds, func(k action.Kind) bool { return k == action.SecretAccess })
		}
	case "ec2:DescribeInstanceAttribute":
		if what, _ := p.get("Attribute"); strings.EqualFold(what, "userData") {
			a.add("what a machine runs when it starts often holds secrets", action.SecretAccess)
		}
	case "athena:StartQueryExecution":
		if to, is := p.get("ResultConfiguration.OutputLocation"); is {
			a.add("its result goes where the request says", action.DataExport)
			a.Destination = c.mask(clip(to, 200))
		}
	case "sns:Subscribe":
		if to, is := p.get("Endpoint"); is {
			a.Destination = c.mask(clip(to, 200))
		}
	}
	if s.name == "s3" {
		for name := range r.Header {
			l := strings.ToLower(name)
			if changes && (l == "x-amz-acl" && r.Header.Get(name) != "private" && r.Header.Get(name) != "bucket-owner-full-control" || strings.HasPrefix(l, "x-amz-grant-") || strings.HasPrefix(l, "x-amz-object-lock-")) {
				a.add("a header says who may do what with it", action.PrivilegeChange)
			}
			if l == "x-amz-bypass-governance-retention" && !strings.EqualFold(r.Header.Get(name), "false") {
				a.add("a lock on objects is passed by", action.PrivilegeChange, action.AuditChange)
			}
		}
	}
	return nil
}

// maxRows is how many items of a table one may scan before that is an export.
const maxRows = 1000

func first(s string, _ bool) string { return s }

// role is the name of a parameter by which a role is handed to something that runs with it.
var role = regexp.MustCompile(`(?i)^(iam)?[a-z]*role(arn|name|s)?$|^iaminstanceprofile`)

// policy is the name of a parameter that holds a policy.
var policy = regexp.MustCompile(`(?i)^([a-z]*policy|[a-z]*policydocument|policytext)$`)

func (c *Classifier) parameter(a *Analysis, s *service, op *operation, q *param, changes bool) {
	name := leaf(q.name)
	l := strings.ToLower(name)
	yes := strings.EqualFold(q.value, "true") || q.value == "1"
	switch {
	case l == "withdecryption" && !strings.EqualFold(q.value, "false") && s.name == "ssm":
		a.add("secure strings are decrypted", action.SecretAccess)
	case l == "unmask" && !strings.EqualFold(q.value, "false"):
		a.add("what data protection masks is shown", action.SecretAccess)
	}
	if !changes || q.value == "" {
		return
	}
	path := strings.ToLower(q.name)
	switch {
	case s.iam != "iam" && (role.MatchString(name) || strings.Contains(path, "iaminstanceprofile")) && l != "rolesessionname":
		a.add("a role is handed on", action.PrivilegeChange)
	case policy.MatchString(name) && s.name != "ec2" || (l == "name" || l == "key" || l == "attributename") && policy.MatchString(q.value):
		a.add("a policy is set", action.PrivilegeChange)
	case l == "userdata":
		a.add("the machine runs what the request says", action.Execute)
	case l == "publiclyaccessible" && yes, l == "associatepublicipaddress" && yes, l == "endpointpublicaccess":
		a.add("it may be reached from outside", action.NetworkChange)
	case l == "masteruserpassword":
		a.add("a master password is set", action.SecretAccess, action.IdentityChange)
	case strings.HasPrefix(path, "capabilities") && (strings.Contains(q.value, "IAM") || strings.Contains(q.value, "AUTO_EXPAND")):
		a.add("its template may make roles and policies", action.PrivilegeChange)
	case l == "privileged" && yes:
		a.add("a container is privileged", action.PrivilegeChange)
	}
}

// partiql judges DynamoDB's statements: there is one in each text, and its first word says what it does.
func (a *Analysis) partiql(p *params) {
	a.Kinds = nil
	n := 0
	for i := range p.list {
		if !strings.EqualFold(leaf(p.list[i].name), "Statement") {
			continue
		}
		n++
		word, _, _ := strings.Cut(strings.TrimSpace(p.list[i].value)+" ", " ")
		switch strings.ToUpper(word) {
		case "SELECT":
			a.add("it selects", action.DataRead)
			if !strings.Contains(strings.ToUpper(p.list[i].value), "WHERE") {
				a.add("a whole table is read", action.DataExport)
			}
		case "INSERT", "UPDATE":
			a.add("it writes", action.DataWrite)
		case "DELETE":
			a.add("it deletes", action.DataDelete)
		default:
			a.add("it can't be told what its statement does", action.Unknown)
		}
	}
	if n == 0 {
		a.add("there is no statement", action.Unknown)
	}
}

// anyColumn stands for what may be any column of any table.
const anyColumn = "*.*"

// filters are expressions by which DynamoDB chooses items, and older parameters that do.
var filters = regexp.MustCompile(`(?i)^(filterexpression|keyconditionexpression|conditionexpression|scanfilter|queryfilter|keyconditions|expected)\b`)

// word is what may name an attribute in an expression, alone or by a placeholder.
var word = regexp.MustCompile(`#?[A-Za-z_][A-Za-z0-9_-]*`)

// chosen are the attributes that items are chosen by: an answer, or how many there
// are of them, tells of values that are not shown.
func (a *Analysis) chosen(p *params) {
	names, table := map[string]string{}, first(p.get("TableName"))
	for i := range p.list {
		if alias, is := strings.CutPrefix(p.list[i].name, "ExpressionAttributeNames."); is {
			names[alias] = p.list[i].value
		}
	}
	add := func(text string) {
		for _, w := range word.FindAllString(text, -1) {
			if name := names[w]; name != "" {
				w = name
			}
			a.Inferred = append(a.Inferred, table+"."+w)
		}
	}
	for i := range p.list {
		q := &p.list[i]
		top, rest, _ := strings.Cut(q.name, ".")
		switch {
		case strings.EqualFold(leaf(q.name), "Statement"):
			if _, where, is := cutFold(q.value, "WHERE"); is {
				add(where)
			}
		case !filters.MatchString(top):
		case strings.HasSuffix(top, "Expression"):
			add(q.value)
		default:
			attribute, _, _ := strings.Cut(rest, ".")
			a.Inferred = append(a.Inferred, table+"."+attribute)
		}
	}
}

// cutFold is strings.Cut in any case of letters.
func cutFold(s, sep string) (before, after string, found bool) {
	if i := strings.Index(strings.ToUpper(s), sep); i >= 0 {
		return s[:i], s[min(len(s), i+len(sep)):], true
	}
	return s, "", false
}

// otherDialects is what other dialects read in another way than PostgreSQL: escapes,
// comments and quotes.
const otherDialects = "\\`#"

// statements judges SQL. Where another dialect may stand behind, whatever that may read
// in another way is unknown.
func (c *Classifier) statements(a *Analysis, s *service, p *params) {
	a.Kinds = nil
	n := 0
	for i := range p.list {
		l := strings.ToLower(leaf(p.list[i].name))
		if l != "sql" && l != "sqls" && l != "sqlstatements" && l != "querystring" {
			continue
		}
		n++
		text := p.list[i].value
		if s.name != "redshift-data" && (strings.ContainsAny(text, otherDialects) || strings.Contains(text, "/*") || strings.Contains(text, "--") || strings.Contains(text, "$$")) {
			a.add("its SQL may be read in another way where it runs", action.Unknown)
		}
		res := c.sql.Classify(text, sql.State{})
		for j := range res.Statements {
			st := &res.Statements[j]
			a.add("", st.Kinds...)
			a.Why = append(a.Why, st.Why...)
			a.Objects = append(a.Objects, st.Objects...)
			a.Columns = append(a.Columns, st.Columns...)
			a.Inferred = append(a.Inferred, st.Inferred...)
			for k := range st.Columns { // answers give values without names to mask them by
				col := &st.Columns[k]
				a.Inferred = append(a.Inferred, col.Sources...)
				if col.Turned {
					a.Inferred = append(a.Inferred, anyColumn)
				}
			}
			a.Limit = st.Limit
			if len(st.Kinds) == 0 {
				a.add(st.Harmless, action.DataRead)
			}
		}
		if len(res.Statements) > 1 {
			a.Limit = action.Count{}
		}
	}
	if n == 0 {
		a.add("there is no statement", action.Unknown)
	}
	if s.name == "athena" {
		a.Columns = nil // they come with another request
	}
}
