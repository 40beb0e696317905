package aws

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// A rule is one row of rules.txt.
type rule struct {
	names    []string
	adds     bool // besides what is known already
	changes  bool // only for what is no read
	kinds    []action.Kind
	words    []string
	harmless string

	untrusted string
}

func (r *rule) fits(name string) bool {
	return slices.ContainsFunc(r.names, func(p string) bool { return like(p, name) })
}

// like matches a pattern with *.
func like(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for star {
		var part string
		part, rest, star = strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return name == ""
}

func parseRules(text string) (map[string][]rule, error) {
	out := map[string][]rule{}
	section := ""
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		names, words, ok := strings.Cut(line, "=>")
		r := rule{}
		if !ok {
			names, words, ok = strings.Cut(line, "+>")
			r.adds = true
		}
		if !ok || section == "" {
			return nil, fmt.Errorf("line %d: want a section, and NAME... => WORD...", n+1)
		}
		r.names = strings.Fields(names)
		for _, w := range strings.Fields(words) {
			key, val, _ := strings.Cut(w, "=")
			switch {
			case action.Kind(w).Valid():
				r.kinds = append(r.kinds, action.Kind(w))
			case w == "!read":
				r.changes = true
			case w == "mints" || w == "undo" || w == "sql" || w == "partiql":
				r.words = append(r.words, w)
			case key == "harmless" && val != "":
				r.harmless = strings.ReplaceAll(val, "_", " ")
			case key == "untrusted" && val != "":
				r.untrusted = val
			default:
				return nil, fmt.Errorf("line %d: %q is no kind and no word", n+1, w)
			}
		}
		out[section] = append(out[section], r)
	}
	return out, nil
}

// judge sets what o does: by level and verb, unless a rule says it.
func (o *operation) judge(rules []rule) {
	o.kinds, o.why = o.byLevel()
	exact := slices.ContainsFunc(rules, func(r rule) bool { return !r.adds && slices.Contains(r.names, o.name) })
	told := false
	for _, r := range rules {
		if !r.fits(o.name) || r.changes && o.reads() {
			continue
		}
		if !r.adds && (told || exact && !slices.Contains(r.names, o.name)) {
			continue
		}
		if !r.adds {
			told = true
			o.kinds, o.why = nil, "is known"
		}
		o.kinds = append(o.kinds, r.kinds...)
		o.harmless, o.untrusted = r.harmless, r.untrusted
		for _, w := range r.words {
			switch w {
			case "mints":
				o.mints = true
			case "undo":
				o.undo = true
			default:
				o.sql = w
			}
		}
	}
	if o.level == 'P' && !slices.Contains(o.kinds, action.PrivilegeChange) && !slices.Contains(o.kinds, action.AuditChange) {
		o.kinds = append(o.kinds, action.PrivilegeChange)
	}
	if len(o.kinds) > 0 {
		o.harmless = ""
	}
}

var verbs = []struct {
	kind  action.Kind
	verbs []string
}{
	{action.InfraDestroy, []string{"Delete", "Terminate", "Remove", "Deregister", "Destroy", "Purge", "Release", "BatchDelete", "Revoke", "Deprovision"}},
	{action.InfraCreate, []string{"Create", "Run", "Allocate", "Register", "Request", "Import", "Copy", "Restore", "Purchase", "Provision", "Launch", "BatchCreate"}},
	{action.InfraChange, []string{
		"Put", "Update", "Modify", "Set", "Start", "Stop", "Enable", "Disable", "Add", "Attach", "Detach", "Associate", "Disassociate", "Assign", "Unassign", "Reset", "Cancel",
		"Accept", "Reject", "Apply", "Reboot", "Monitor", "Unmonitor", "Move", "Replace", "Switch", "Promote", "Failover", "Activate", "Deactivate", "Change", "Submit", "Upload", "Send",
		"Rotate", "Continue", "Resume", "Pause", "Advertise", "Withdraw", "Authorize", "Export", "Lock", "Unlock", "BatchPut", "BatchUpdate", "BatchModify", "Publish",
	}},
}

// byLevel is what level and verb say: the level of IAM's own actions, the verb of the operation's name.
func (o *operation) byLevel() (kinds []action.Kind, why string) {
	if o.reads() {
		return []action.Kind{action.DataRead}, "only reads"
	}
	switch o.level {
	case 'T':
		return []action.Kind{action.ConfigChange}, "changes tags"
	case 'P':
		return []action.Kind{action.PrivilegeChange}, "changes permissions"
	}
	for _, v := range verbs {
		for _, verb := range v.verbs {
			if rest, is := strings.CutPrefix(o.name, verb); !is || rest != "" && (rest[0] < 'A' || rest[0] > 'Z') {
				continue
			}
			kinds = []action.Kind{v.kind}
			if o.level == '?' && (strings.Contains(o.name, "Policy") || strings.Contains(o.name, "Permission") || strings.Contains(o.name, "Grant")) {
				kinds = append(kinds, action.PrivilegeChange)
			}
			return kinds, "by its verb"
		}
	}
	if o.level == 'W' {
		return []action.Kind{action.InfraChange}, "changes something"
	}
	return []action.Kind{action.Unknown}, "is of a verb that nobody knows"
}
