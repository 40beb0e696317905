package mcp

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// apply judges one call by one entry.
func (j *judge) apply(e *entry, args map[string]any) {
	r := &j.found
	if len(e.kinds) > 0 {
		j.add(e.why, e.kinds...)
	}
	if e.harmless != "" {
		j.harmless++
		r.Harmless = e.harmless
	}
	r.Untrusted = r.Untrusted || e.untrusted
	r.Reversible = e.reversible && (j.applied == 0 || r.Reversible)
	j.applied++
	judged := len(e.kinds) > 0 || e.harmless != ""
	for _, a := range e.roles {
		judged = j.argument(a, args) || judged
	}
	if !judged && e.why != "" {
		j.add("what it would run is not in its arguments", action.Unknown)
	}
}

// argument judges one argument by its role; false: it isn't there.
func (j *judge) argument(a argument, args map[string]any) bool {
	if a.role == asTarget {
		j.target(a, args)
		return false
	}
	if a.role == asRecipient || a.role == asNamed {
		return j.named(a, args)
	}
	if a.role == asArgv {
		if v, there := args[a.name]; there {
			j.argv(a.name, v)
			return true
		}
		return false
	}
	values, there := at(args, a.name)
	if !there {
		return false
	}
	for _, v := range values {
		text, is := v.(string)
		if a.role == asKind {
			if Glob(strings.ToLower(a.glob), strings.ToLower(fmt.Sprint(v))) {
				j.add(fmt.Sprintf("its %s is %s", a.name, a.glob), a.kind)
			}
			continue
		}
		if !is {
			if v != nil {
				j.add("its "+a.name+" is no text", action.Unknown)
			}
			continue
		}
		j.one(a, text)
	}
	return true
}

// named takes in whom and what a call is about; false: nothing is given.
func (j *judge) named(a argument, args map[string]any) bool {
	values := leaves(nil, args[a.name])
	if len(values) == 0 {
		return false
	}
	r := &j.found
	words := wordsOf(a.name)
	for _, v := range values {
		r.Named = append(r.Named, action.Name{Value: v, ID: among(words[max(len(words)-1, 0):], "id ids uuid guid key") != ""})
	}
	if a.role == asRecipient {
		j.add("its "+a.name+" says to whom it goes", action.MessageSend)
		if r.Destination != "" {
			values = append([]string{r.Destination}, values...)
		}
		r.Destination = strings.Join(values, ", ")
		return true
	}
	if r.Target == "" {
		r.Target = values[0]
	}
	r.Objects = append(r.Objects, values...)
	return false
}

// leaves are the texts and numbers in v.
func leaves(out []string, v any) []string {
	switch v := v.(type) {
	case nil, bool:
	case string:
		if strings.TrimSpace(v) != "" {
			out = append(out, v)
		}
	case []any:
		for _, e := range v {
			out = leaves(out, e)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = leaves(out, v[k])
		}
	default:
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func (j *judge) one(a argument, text string) {
	switch a.role {
	case asSQL:
		j.shown(a.name, text)
		j.statements(text)
	case asOtherSQL:
		j.shown(a.name, text)
		if problem := dialect(text); problem != "" {
			j.add(problem, action.Unknown)
		}
		j.statements(text)
	case asShell:
		j.shown(a.name, text)
		j.script(text)
	case asRead:
		j.path(text, "a file that it reads", readKinds)
	case asWrite:
		j.path(text, "a file that it writes", writeKinds)
	case asPath:
		j.path(text, "a file that it names", sensitive)
	case asURL:
		j.url(text)
	case asDestination:
		j.found.Destination = j.server.Name + ":" + text
	}
}

// shown remembers the one text that is judged by itself.
func (j *judge) shown(name, text string) {
	if j.calls == 1 && j.text == "" && !strings.Contains(name, ".") {
		j.textArg, j.text = name, text
	}
}

func (j *judge) target(a argument, args map[string]any) {
	var parts []string
	for name := range strings.SplitSeq(a.name, ",") {
		if v, there := at(args, name); there && len(v) == 1 {
			switch v := v[0].(type) {
			case nil, map[string]any, []any:
			default:
				parts = append(parts, fmt.Sprint(v))
			}
		}
	}
	if t := strings.Join(parts, "/"); t != "" && j.found.Target == "" {
		j.found.Target = t
		j.found.Objects = append(j.found.Objects, t)
	}
}

// at are the values of an argument, which may lie one level down; lists are their members.
func at(args map[string]any, name string) ([]any, bool) {
	outer, inner, down := strings.Cut(name, ".")
	v, there := args[outer]
	if !there {
		return nil, false
	}
	list, is := v.([]any)
	if !is {
		list = []any{v}
	}
	if !down {
		return list, true
	}
	var out []any
	for _, e := range list {
		if m, is := e.(map[string]any); is && m[inner] != nil {
			out = append(out, m[inner])
		}
	}
	return out, len(out) > 0
}

func (j *judge) statements(text string) {
	res := j.c.sql.Classify(text, sql.State{Database: j.server.Name})
	j.shape = append(j.shape, res.Fingerprint)
	r := &j.found
	r.Harmless, r.Reversible = "", len(res.Statements) > 0
	worst := 0
	for i := range res.Statements {
		st := &res.Statements[i]
		for _, w := range st.Why {
			j.add(w)
		}
		j.add("", st.Kinds...)
		if st.Harmless != "" {
			r.Harmless = st.Harmless
		}
		r.Objects = append(r.Objects, st.Objects...)
		r.Columns = append(r.Columns, st.Columns...)
		j.infer(st)
		r.Reversible = r.Reversible && st.Reversible
		if weight := weigh(st.Kinds); i == 0 || weight > worst {
			worst, r.Verb, r.Target = weight, st.Verb, st.Target
		}
	}
	if len(res.Statements) == 1 {
		r.Limit = res.Statements[0].Limit
	}
	if r.Harmless != "" && len(r.Kinds) == 0 {
		j.harmless = j.calls
	}
}

// infer finds the classes that a statement's answer could give away unseen.
func (j *judge) infer(st *sql.Statement) {
	columns := slices.Clone(st.Inferred)
	for i := range st.Columns {
		if c := &st.Columns[i]; c.Derived || c.Turned || c.Aggregate {
			columns = append(columns, c.Sources...)
		}
	}
	for _, c := range columns {
		if class := j.c.class(c); class != "" {
			j.found.Inferred = append(j.found.Inferred, class)
		}
	}
}

// weigh tells which of several statements gives the call its verb.
func weigh(kinds []action.Kind) int {
	w := 0
	for _, k := range kinds {
		if k != action.DataRead {
			w += 10
		}
		if k == action.Unknown || k == action.Execute || k == action.PrivilegeChange {
			w += 5
		}
		w++
	}
	return w
}

// dialect says what in a text another dialect than PostgreSQL's could read otherwise.
func dialect(text string) string {
	for _, sign := range []string{"\\", "#", "--", "/*", "`", "@", ":="} {
		if strings.Contains(text, sign) {
			return "SQL of a dialect that is not judged: " + sign
		}
	}
	return ""
}

func (j *judge) path(p, why string, kinds func(string) []action.Kind) {
	j.found.Objects = append(j.found.Objects, p)
	if k := kinds(p); len(k) > 0 {
		j.add(why, k...)
	}
	if j.found.Target == "" {
		j.found.Target = p
	}
}

func (j *judge) url(text string) {
	if !strings.Contains(text, "://") {
		return // a path, or a name: other roles speak of it
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		j.add("a URL that can't be read", action.NetFetch, action.Unknown)
		return
	case strings.EqualFold(u.Scheme, "file"):
		j.path(u.Path, "a file that it reads", readKinds)
		j.add("a file by its URL", action.DataRead)
		return
	case !slices.Contains([]string{"http", "https", "ws", "wss", "ftp"}, strings.ToLower(u.Scheme)):
		j.add("a URL of a scheme on no list", action.Unknown)
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if numeric(host) {
		j.add("an address in numbers that hide it", action.Unknown)
	}
	j.add("it fetches from the network", action.NetFetch)
	if metadata(host) {
		j.add("that host hands out credentials of the machine", action.SecretAccess)
	}
	j.found.Destination = host
	if j.found.Target == "" {
		j.found.Target = host
	}
	j.found.Objects = append(j.found.Objects, host)
}

// metadata reports hosts where clouds hand out credentials.
func metadata(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsLinkLocalUnicast() || ip.String() == "fd00:ec2::254") ||
		host == "metadata.google.internal" || host == "metadata" || host == "instance-data"
}

// numeric reports hosts whose last label is a number, which browsers read as an
// address and net.ParseIP doesn't: 2852039166, 0xa9.254.0xa9fe.
func numeric(host string) bool {
	if net.ParseIP(host) != nil {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil || last != "" && strings.Trim(last, "0123456789") == ""
}
